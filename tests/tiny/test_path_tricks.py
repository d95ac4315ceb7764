"""Names that are paths, in every text that a client can send: no file outside is opened, nothing of it told, no 500."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.http import create_app
from backend.http.a1111.reactor_routes import ARGUMENTS, TARGET
from backend.request.field import Field
from backend.request.request import FIELDS
from tests.pure.a1111_payloads import BLENDER, SMALL
from tests.pure.door import Door
from tests.tiny.house import FakeCatalog

LOCAL = "http://127.0.0.1:7860"
TURNS = 3           # tries of each name with another trick
SECRET = "what nobody may read"
# What answers only when pictures are drawn, or never ends; the first ones are tried over a door that draws at once.
DRAWING = ("/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images")
ENDLESS = ("/easel/events", "/api/events", "/v1/images/generations", "/v1/images/edits", "/api/images", "/login/oidc")
TEXTS = ("text", "texts", "choice", "seed", "checkpoint", "second_checkpoint", "upscaler", "vae", "picture", "pictures", "guide_model", "object_detector")
KEYS = ("image", "picture", "pictures", "name", "names", "id", "ids", "job", "plot", "to", "folder", "title", "label", "values", "kind", "kinds", "text", "was",
        "styles", "prompt", "negative_prompt", "notes", "words", "description", "reference", "encoder", "first", "second", "password", "email", "token",
        "module", "model", "unit", "controlnet_module", "controlnet_input_images", "id_task", "force_task_id", "url", "webhook", "code", "role", "scopes",
        "folder_pattern", "name_pattern", "output_name", "output_folder", "sd_model_checkpoint", "sd_vae", "theme", "language", "board", "axes", "request",
        "image_format", "search", "user", "images", "init_image", "mask", "next", "note", "samples_filename_pattern", "outdir_samples", "columns", "options")
opened: list[str] = []


def hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and watched and isinstance(arguments[0], str | bytes):
        opened.append(os.path.realpath(os.fsdecode(arguments[0])))


watched: list[str] = []
sys.addaudithook(hear)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with files that are nobody's business; whoever opens one is found out."""
    folder = tmp_path_factory.mktemp("outside")
    for name in ("secret", "secret.png", "secret.safetensors", "secret.pt", "secret.json", "secret.txt"):
        (folder / name).write_text(SECRET)
    watched.append(str(folder))
    yield folder
    watched.clear()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, outside: Path) -> Path:
    """Folders with the operator's own links to another disk, beside which the secrets lie."""
    models, disk = tmp_path_factory.mktemp("models"), outside / "disk"
    disk.mkdir()
    for kind, ending in (("loras", ".safetensors"), ("vae", ".safetensors"), ("embeddings", ".pt"), ("upscalers", ".pt"), ("wildcards", ".txt")):
        (models / kind).mkdir()
        (models / kind / "folder").symlink_to(disk)
        (models / kind / f"linked{ending}").write_bytes(b"no model")
    return models


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Backend]:
    """Without a worker: what is queued stays in the queue."""
    data = tmp_path_factory.mktemp("data")
    for name in ("wildcards", "styles"):
        (data / name).mkdir(exist_ok=True)
        (data / name / "linked.txt").symlink_to(models.parent / "outside0" / "secret.txt")
    backend = Backend(Settings(data=data, models=(models,)), catalog=FakeCatalog(models), worker="tests.tiny.fake_worker", start_workers=False)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def client(house: Backend) -> Iterator[TestClient]:
    with TestClient(create_app(house), base_url=LOCAL, raise_server_exceptions=False) as client:
        yield client


def tricks(outside: Path) -> list[str]:
    up = "../" * 12
    return [str(outside / "secret.png"), f"{up}{str(outside)[1:]}/secret", "../secret", "..\\..\\secret", "linked", "folder/../secret", "secret\0.png", "x" * 5000, "CON", "aux.png",
            "/dev/zero", "/dev/stdin", "/proc/self/environ", f"file://{outside}/secret.png", "http://127.0.0.1:9/x.png", "\\\\host\\share\\x", "C:\\Windows\\win.ini",
            "%2e%2e%2fsecret", "~/secret", "\ud800", "..", ".", "__../secret__ __linked__", "<lora:../secret:1> <lora:folder/../secret:1>"]


def check(answer: Any, what: object, outside: Path) -> None:
    assert answer.status_code != 500, (what, answer.text[:300])
    assert SECRET not in answer.text, what
    seen = [path for path in opened if path.startswith((str(outside), "/dev/zero", "/proc/self/environ")) and path != str(outside / "disk")]
    assert not seen, (what, seen)


def sent(client: TestClient, method: str, path: str, **body: Any) -> Any:
    content = json.dumps(body["json"]).encode() if "json" in body else b""
    return client.request(method, path, content=content, headers={"Content-Type": "application/json"})


def wanted(field: Field, trick: str) -> list[Any]:
    """What a field may be sent: the text, and where it is a list or has records of its own, inside of those."""
    if field.kind == "records":
        return [[{name: value, "enabled": True}] for name, inner in field.record.items() for value in wanted(inner, trick)]
    return [trick, [trick]] if field.kind in ("texts", "pictures") else [trick] if field.kind in TEXTS else []


def test_no_field_of_a_request_opens_what_it_names(client: TestClient, outside: Path) -> None:
    """Each field is tried with some of the tricks; all are tried many times over."""
    all_tricks = tricks(outside)
    for number, field in enumerate(FIELDS.values()):
        for turn in range(TURNS):
            trick = all_tricks[(number + 5 * turn) % len(all_tricks)]
            for value in wanted(field, trick):
                check(sent(client, "POST", "/easel/jobs", json={"width": 64, "height": 64, field.name: value}), trick, outside)
    client.post("/easel/jobs/cancel")


def test_no_route_opens_what_it_is_asked_for(client: TestClient, outside: Path) -> None:
    described = client.get("/openapi.json").json()["paths"]
    assert len(described) > 150
    routes = [(path, method, told) for path, methods in described.items() for method, told in methods.items() if path not in (*DRAWING, *ENDLESS)]
    all_tricks = tricks(outside)
    for number, (path, method, told) in enumerate(routes):
        for turn in range(TURNS):
            trick = all_tricks[(number + 5 * turn) % len(all_tricks)]
            others = [all_tricks[(number + place + turn) % len(all_tricks)] for place in range(len(KEYS))]
            address = asked(path, told, trick)
            if method == "get" and (address == path or normpath(address.partition("?")[0]) in ENDLESS):
                continue
            bodies = [{}] if method == "get" else [dict(zip(KEYS, others, strict=True)), {key: [each] for key, each in zip(KEYS, others, strict=True)}]
            for body in bodies:
                check(sent(client, method.upper(), address, **({"json": body} if body else {})), trick, outside)


def asked(path: str, told: dict[str, Any], trick: str) -> str:
    """The address of a route whose texts, in the path and behind it, all are the trick."""
    written, query = quote(trick.encode("utf-8", "replace").decode(), safe=""), []
    for parameter in told.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", written)
        elif parameter["in"] == "query" and parameter["schema"].get("type") not in ("integer", "number", "boolean"):
            query.append(f"{parameter['name']}={written}")
    return path + ("?" + "&".join(query) if query else "")


@pytest.mark.parametrize("path, base", [(DRAWING[0], SMALL), (DRAWING[1], BLENDER), (DRAWING[2], {"image": BLENDER["init_images"][0]}),
                                        (DRAWING[3], {"imageList": [{"data": BLENDER["init_images"][0], "name": "a.png"}]})])
def test_no_name_in_automatic1111s_json_opens_what_it_names(tmp_path: Path, outside: Path, path: str, base: dict[str, Any]) -> None:
    with TestClient(create_app(Door(Settings(data=tmp_path))), base_url=LOCAL, raise_server_exceptions=False) as client:
        schema = client.get("/openapi.json").json()
        reference = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        names = [*schema["components"]["schemas"][reference]["properties"], "imageList"]
        for number, trick in enumerate(tricks(outside)):
            for name in names[number % 5 :: 5]:
                check(sent(client, "POST", path, json=base | {name: trick}), trick, outside)
            units = {"image": trick, "module": trick, "model": trick, "enabled": True}
            scripts = {"controlnet": {"args": [units]}, "reactor": {"args": [trick, True, trick, trick, trick, trick]}, "ADetailer": {"args": [True, False, {"ad_model": trick}]}}
            check(sent(client, "POST", path, json=base | {"alwayson_scripts": scripts, "override_settings": {"sd_vae": trick}}), trick, outside)
            check(sent(client, "POST", path, json=base | {"imageList": [{"data": trick, "name": trick}, {"data": BLENDER["init_images"][0], "name": trick}]}), trick, outside)
        assert not list(tmp_path.rglob("*secret*")), "no file was named by a client"


def test_no_name_in_reactors_json_opens_what_it_names(tmp_path: Path, outside: Path) -> None:
    with TestClient(create_app(Door(Settings(data=tmp_path))), base_url=LOCAL, raise_server_exceptions=False) as client:
        base = {"source_image": BLENDER["init_images"][0], "target_image": BLENDER["init_images"][0]}
        for trick in tricks(outside):
            for more in ({name: trick} for name in (*ARGUMENTS, TARGET, "result_file_path", "force_task_id")):
                check(sent(client, "POST", "/reactor/image", json=base | more), trick, outside)
            check(sent(client, "POST", "/reactor/image", json=base | {"select_source": 1, "face_model": trick}), trick, outside)
            check(sent(client, "POST", "/reactor/image", json=base | {"select_source": 2, "source_folder": trick}), trick, outside)
            check(sent(client, "POST", "/reactor/image", json=base | {"save_to_file": 1, "result_file_path": trick}), trick, outside)
        assert not list(tmp_path.rglob("*secret*")), "no file was named by a client"


@pytest.mark.parametrize("path, body", [
    ("/easel/networks/lora/picture?name=x", {"image": "\ud800"}), ("/easel/boards", {"name": "\ud800"}), ("/easel/history/star", {"ids": ["\ud800"], "on": True}),
    ("/easel/plots/check", {"kind": "xyz", "axes": [{"label": "\ud800", "values": "\ud800"}]}), ("/easel/interrogate", {"picture": "\ud800"}),
])
def test_half_a_character_is_the_clients_mistake(client: TestClient, path: str, body: dict[str, Any]) -> None:
    assert sent(client, "POST", path, json=body).status_code < 500
