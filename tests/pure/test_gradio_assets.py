"""What the page foretells of Gradio's own files, and how they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import gradio as gr
import pytest
from starlette.testclient import TestClient

import ui
from backend import Backend, Settings
from backend.http import create_app
from ui import gradio_assets, gradio_start
from ui.gradio_assets import Foretold

TYPES = ("textbox", "number", "dropdown", "checkbox", "button", "html", "accordion", "column", "row", "tabs", "tabitem")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    house = Backend(Settings(data=tmp_path_factory.mktemp("kept") / "data"), start_workers=False)
    app = create_app(house)
    ui.mount(app, house, path="/")
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client
    house.close()


def linked(html: str) -> list[str]:
    return re.findall(r'href="\./assets/([\w.-]+)"', html)


def foretold(types: Iterable[str]) -> list[str]:
    known = Foretold.of(types)
    return linked(known.head() + known.tail("/one.css"))


def test_what_every_component_needs_is_foretold() -> None:
    names = foretold(TYPES)
    assert names[0].startswith("index-") and len(names) == len(set(names)) > 40
    assert {"core", "Blocks", "runtime", "statustracker", "HTML"} <= {name.split("-")[0] for name in names}
    for kind in TYPES:
        assert len(foretold([kind])) > len(foretold([])), kind
    assert all((gradio_assets.FRONTEND / "assets" / name).is_file() for name in names)


def test_another_build_of_gradio_foretells_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<head></head>")
    monkeypatch.setattr(gradio_assets, "FRONTEND", tmp_path)
    assert foretold(TYPES) == [] and Foretold.of(TYPES).tail("/one.css") == ""


def test_only_what_is_seen_first_is_foretold() -> None:
    with gr.Blocks() as page:
        gr.Number()
        gr.JSON(visible=False)
        with gr.Tabs():
            with gr.Tab("one"), gr.Column(visible=False):
                gr.Gallery()
            with gr.Tab("one more"):
                gr.Radio()
    assert set(gradio_assets.seen_first(page)) >= {"number", "tabs", "tabitem"}
    assert not {"json", "gallery", "radio"} & set(gradio_assets.seen_first(page))


def test_all_style_sheets_are_one_and_are_not_asked_for_again(client: TestClient) -> None:
    page = client.get("/").text
    sheet = client.get(re.search(r'href="\.(/easel/assets/\w+/gradio\.css)"', page)[1]).text
    disabled = re.findall(r'<link rel="stylesheet" disabled href="\./assets/([\w.-]+)">', page)
    assert len(disabled) > 20 and all((gradio_assets.FRONTEND / "assets" / name).read_text("utf-8") in sheet for name in disabled)
    assert not gradio_assets.BESIDE.search(sheet)
    assert page.index("gradio.css") > max(place.start() for place in re.finditer(r'<link rel="stylesheet"(?! disabled)', page[:page.index("</head>")])) - 1


def test_the_colours_are_asked_for_with_the_rest(client: TestClient) -> None:
    html = client.get("/").text
    address = re.search(r'<link rel="preload" as="style" href="\./(theme\.css\?v=\w+)">', html[:html.index("window.gradio_config =")])
    assert address and address[1].removeprefix("theme.css?v=") in html[html.index("window.gradio_config ="):]
    assert client.get(f"/{address[1]}").headers["content-type"].startswith("text/css")


def test_a_file_is_kept_and_given_whole(client: TestClient) -> None:
    page = client.get("/").text
    name = linked(page)[0]
    assert page.index("/scripts.js") < page.index(name), "the import map that it writes may not come behind a module"
    first = client.get(f"/assets/{name}")
    assert first.headers["cache-control"] == gradio_assets.IMMUTABLE and first.headers["content-encoding"] in ("br", "gzip")
    again = client.get(f"/assets/{name}", headers={"If-None-Match": first.headers.get("etag", "x")})
    plain = client.get(f"/assets/{name}", headers={"Accept-Encoding": "identity"})
    assert first.text == again.text == plain.text == (gradio_assets.FRONTEND / "assets" / name).read_text("utf-8")
    assert client.get("/assets/nothing.js").status_code == 404


@pytest.mark.parametrize(("script", "written", "served"), [
    ("Blocks", "le(()=>{v(),oe(()=>{O.reload(", "le(()=>{v()&&oe(()=>{O.reload("),
    ("Blocks", "async set_event_args(e,t){", "async set_event_args(e,t){if(!Object.keys(t).length)return()=>{};"),
    ("core", ".targets.find(([t])=>t===e.id)", ".targets.find(t=>t[0]===$id)"), ("core", "find_attached_events(e,t){", "find_attached_events(e,t){let $id=e.id;"),
])
def test_the_scripts_of_the_page_do_nothing_twice(client: TestClient, script: str, written: str, served: str) -> None:
    """Another build of Gradio has to be looked at anew: only what is found as it was here is left out."""
    own = next((gradio_assets.FRONTEND / "assets").glob(f"{script}-*.js"))
    text = own.read_text("utf-8")
    for coding in ("gzip", "identity"):
        answer = client.get(f"/assets/{own.name}", headers={"Accept-Encoding": coding})
        assert answer.headers["cache-control"] == gradio_assets.IMMUTABLE and answer.headers["content-type"].startswith("text/javascript")
        assert text.count(written) in (1, 2) and answer.text.count(served) == text.count(written) and written not in answer.text.replace(served, "")
    assert gradio_start.shortened(answer.text) == answer.text and gradio_start.shortened("another") == "another"
