"""The page's scripts and styles: addresses that change with the content, imports that lead somewhere, a public face each."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import ui
from backend import Table
from backend.http.accounts.identification import Identification
from backend.http.guard import Guard
from backend.settings import Settings
from tests.pure.door import Door
from ui import assets
from ui.assets import ENTRY, OWN_ADDRESS, PACK, STYLE, Assets
from ui.tabs.table import Tabs

LATER = re.compile(r"""\bimport\(["']([^"']+)["']\)""")
TAKEN_LATER = re.compile(r"""\{ (\w+) \} = await import\(["']([^"']+)["']\)""")
IMPORT = re.compile(r"""^\s*(?:import|export)\s+(?:([^'";]+?)\s+from\s+)?["']([^"']+)["']""", re.M)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const|let) (\w+)", re.M)
CONSTANTS = re.compile(r"^export const .*$", re.M)
WORKER = "scripts/stream_worker.js"        # started by its address, a world of its own
FACE = "scripts/easel.js"


def own_tabs() -> Tabs:
    return ui.fill(Table("tabs", key="NAME"))


@pytest.fixture(scope="module")
def page() -> Assets:
    return assets.collect(own_tabs())


def scripts(page: Assets) -> dict[str, str]:
    """Easel's own."""
    return {path: content.decode() for path, content in page.files.items() if path.endswith(".js") and not path.startswith("vendor/")}


def target(path: str, source: str) -> str:
    if source == "easel":
        return FACE
    return os.path.normpath(PurePosixPath(path).parent / source)


def imports(path: str, text: str) -> Iterator[tuple[str, list[str]]]:
    """Which file, and the names that are taken from it."""
    for names, source in IMPORT.findall(text):
        taken = re.search(r"\{([^}]*)\}", names)
        yield target(path, source), [name.split(" as ")[0].strip() for name in taken[1].split(",")] if taken else []


def exported(text: str) -> set[str]:
    constants = re.findall(r"(?:const|,) ([A-Z]+) = ", "\n".join(CONSTANTS.findall(text)))
    lists = [part.split(" as ")[-1].strip() for names in re.findall(r"^export \{([^}]*)\}", text, re.M) for part in names.split(",")]
    return {*EXPORT.findall(text), *constants, *lists}


def missed(page: Assets, known: dict[str, str], source: str, names: list[str]) -> object:
    """Names that the file does not export; of what is not Easel's own only the file is asked for."""
    if source in known:
        return sorted(set(names) - exported(known[source]))
    return source not in page.files and "is not there"


def test_every_import_finds_its_file_and_its_names(page):
    known = scripts(page)
    wrong = [f"{path}: {source} {missing}" for path, text in known.items() for source, names in imports(path, text)
             if (missing := missed(page, known, source, names))]
    assert not wrong


def test_what_is_imported_is_used(page):
    bodies = {path: re.sub(r"^export .*from.*$", "", text, flags=re.M) for path, text in scripts(page).items() if path != FACE}
    wrong = [f"{path}: {name}" for path, text in bodies.items() for names, _ in IMPORT.findall(text)
             for name in re.findall(r"(?:\bas )?(\w+)(?=\s*[,}]|$)", names) if len(re.findall(rf"\b{name}\b", text)) == 1]
    assert not wrong


def test_what_is_exported_is_used(page):
    """By another script, or by the public face, where Gradio's events and extensions find it."""
    taken = {(source, name) for path, text in scripts(page).items() for source, names in imports(path, text) for name in names}
    taken |= {(target(path, source), name) for path, text in scripts(page).items() for name, source in TAKEN_LATER.findall(text)}
    spaces = {target(path, source): alias for path, text in scripts(page).items()
              for alias, source in re.findall(r'^(?:import|export) \* as (\w+) from "([^"]+)"', text, re.M)}
    everything = "\n".join(scripts(page).values()) + "\n".join(file.read_text("utf-8") for file in Path(ui.__file__).parent.rglob("*.py"))
    wrong = [f"{path}: {name}" for path, text in scripts(page).items() if path != FACE
             for name in exported(text) - {name for source, name in taken if source == path}
             if not (path in spaces and re.search(rf"\.{name}\b|[\"']{name}[\"']", everything))]
    assert not wrong


def test_no_script_imports_itself_in_a_circle(page):
    known, done = scripts(page), set()

    def walk(path: str, way: tuple[str, ...]) -> None:
        assert path not in way, " -> ".join((*way[way.index(path):], path))
        if path in done or path not in known:
            return
        for source, _ in imports(path, known[path]):
            walk(source, (*way, path))
        done.add(path)

    for path in known:
        walk(path, ())


def test_every_script_comes_to_the_page(page):
    known, reached, waiting = scripts(page), set(), [ENTRY, WORKER]
    every = {path for path in page.files if path.endswith(".js")}
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += [source for source, _ in imports(path, known.get(path, ""))]
            waiting += [target(path, source) for source in LATER.findall(known.get(path, "")) if source != "easel"]
    assert sorted(every ^ reached) == []


def test_nothing_lies_on_the_window(page):
    """Scripts know each other by imports; what stands before them in the page's HTML is `page_head.js`."""
    assert not [path for path, text in scripts(page).items() if re.search(r"\b(window|self|globalThis)\.easel(?!Preferences\b)\w*\b", text)]


def test_the_pack_holds_every_script_under_its_name(page):
    pack = TestClient(routed(page)).get(f"{page.folder}/{PACK}").text
    packed = json.loads(re.search(r"const FILES = (.*);\n", pack)[1])
    assert set(packed) | set(OWN_ADDRESS) == {path for path in page.files if path.endswith(".js")}
    asked = {name for text in packed.values() for name in re.findall(r"""\b(?:from|import)\s*\(?\s*["']([\w./-]+)["']""", text)}
    assert asked <= {"easel", *(f"easel/{path}" for path in {*packed, *OWN_ADDRESS})}
    assert "easel/vendor/photoswipe/photoswipe.esm.min.js" in asked and len(asked) > 60
    assert "import.meta.url" not in pack and f'new URL(".{page.folder}/scripts/stream.js", document.baseURI).href' in packed["scripts/stream.js"]
    assert f'<script src=".{page.folder}/{PACK}">' in page.head() and page.head().index(PACK) < page.head().index("module")


def test_the_address_changes_with_any_content(page):
    folder = page.folder
    assert Assets(dict(reversed(page.files.items()))).folder == folder
    for path in page.files:
        assert Assets(page.files | {path: page.files[path] + b"\n"}).folder != folder, path
    assert Assets({"a.js": b"1", "b.js": b""}).folder != Assets({"a.js": b"", "b.js": b"1"}).folder


def test_the_styles_of_all_tabs_and_parts_are_one_sheet(page):
    sheet = page.files[STYLE].decode()
    assert all(word in sheet for word in (".history-bar", ".compare-stage", ".suggestions", "#bar", ".info-found"))
    assert sheet.count("{") == sheet.count("}") and sheet.index("@keyframes") < sheet.index(":root:root:root {")
    assert all("@keyframes" not in rules for rules in sheet.split(":root:root:root {")[1:]), "keyframes inside a rule are lost"
    assert "pswp-clockwise {\n  0%" in sheet.split(":root:root:root {")[0]


def routed(page: Assets) -> FastAPI:
    app = FastAPI()
    app.include_router(assets.route(page))
    return app


@pytest.fixture
def app(page) -> FastAPI:
    return routed(page)


def test_browsers_keep_the_files_for_good(app, page):
    client = TestClient(app)
    for path in page.files:
        answer = client.get(f"{page.folder}/{path}")
        assert answer.status_code == 200 and answer.content == page.files[path]
        assert "immutable" in answer.headers["cache-control"] and "max-age=31536000" in answer.headers["cache-control"]
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["/scripts/nothing.js", "/..%2f..%2f..%2fbackend/settings.py", "/%2e%2e/0123456789abcdef/page.css", ""])
def test_what_is_not_there_is_not_kept(app, page, path):
    answer = TestClient(app).get(f"{page.folder}{path}")
    assert answer.status_code == 404 and answer.headers["cache-control"] == "no-store"


def test_strangers_do_not_get_them(app, page, tmp_path):
    settings = Settings(data=tmp_path, users={"ann": "secret"})
    door = Door(settings)
    identification = Identification(settings, door.accounts, door.sessions, door.access_tokens, door.audit_log)
    app.add_middleware(Guard, settings=settings, identification=identification, sessions=door.sessions)
    client = TestClient(app, base_url="http://127.0.0.1")
    assert client.get(f"{page.folder}/{ENTRY}").status_code == 401
    assert client.get(f"{page.folder}/{ENTRY}", auth=("ann", "secret")).status_code == 200


def test_the_page_asks_for_few_files(tmp_path):
    app = ui.mount(FastAPI(), Door(Settings(data=tmp_path)))
    html = TestClient(app).get("/").text
    head = html[:html.index("</head>")]
    assert head.index(PACK) < head.index("modulepreload") < head.index(f'import "easel/{ENTRY}"')
    addresses = re.findall(r'(?:src|href)="\./easel/assets/(\w+)/([^"]+)"', head)
    assert [path for _, path in addresses] == [STYLE, PACK, ui.GRADIO_STYLE] and len({folder for folder, _ in addresses}) == 1


class Extra:
    """A tab as an extension brings it."""

    NAME, TITLE = "sketches", "Sketches"

    def __init__(self, folder: Path) -> None:
        self.__file__ = str(folder / "tab.py")

    def place(self, backend, bar, page) -> None:
        import gradio as gr
        gr.HTML("<p>Sketches</p>", elem_id="sketches")


def test_a_tab_of_an_extension_brings_its_scripts_and_styles(tmp_path):
    (tmp_path / "sketches.js").write_text('import { say } from "easel";\nsay("here");\n', "utf-8")
    (tmp_path / "sketches.css").write_text(".sketches { color: red; }", "utf-8")
    tabs = own_tabs()
    tabs.add(Extra(tmp_path))
    found = assets.collect(tabs).files
    assert b'"../tabs/sketches/sketches.js"' in found["scripts/tab_scripts.js"] and "tabs/sketches/sketches.js" in found
    assert b".sketches { color: red; }" in found[STYLE]
