"""Gradio's own routes, given what no page would send: they answer 4xx and the log stays quiet."""

from __future__ import annotations

import errno
import json
import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import ui
from backend import Backend, Settings
from backend.http import create_app
from backend.http.foreign_routes import ForeignRoutes
from ui import gradio_errors

LOCAL = "http://127.0.0.1:7860"
LONG = "x" * 5000
POSTS = ("/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/api/predict", "/gradio_api/call/predict", "/gradio_api/upload",
         "/gradio_api/reset", "/gradio_api/component_server", "/gradio_api/cancel", "/gradio_api/run/0", "/gradio_api/call/v2/x")
GETS = (f"/static/{LONG}", f"/assets/{LONG}", f"/static/{'a/' * 2000}", f"/gradio_api/file={LONG}", "/gradio_api/file=%00", f"/{LONG}",
        f"/svelte/{LONG}", "/static/..%2f..%2fapp.py", "/gradio_api/upload_progress", f"/theme.css?{LONG}", "/gradio_api/stream/a/b/c/playlist.m3u8")
JSON = ["", "{", "[]", "7", "null", '"x"', "{}", "[" * 50_000, '{"data": 5}', '{"data": [], "fn_index": "x"}', '{"fn_index": 1e400}', "\xff",
        '{"data": {}, "fn_index": null}', '{"data": [[1]], "fn_index": -5, "session_hash": 7}', '{"event_id": []}', '{"data": [{"path": 1}], "fn_index": 3}',
        '{"component_id": "a", "fn_name": 5, "data": 1}', '{"session_hash": "a", "event_id": "b", "fn_index": {}}', '{"data": null, "trigger_id": "x", "fn_index": 0}']
FORMS = [b"", b"--x", b"--x\r\nContent-Disposition: form-data; name=\"files\"\r\n\r\nabc\r\n--x--\r\n",
         b"--x\r\nContent-Disposition: form-data; name=\"files\"; filename=\"" + LONG.encode() + b"\"\r\n\r\nabc\r\n--x--\r\n",
         b"--x\r\nContent-Disposition: nonsense\r\n\r\n--x--", b"\0" * 100]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("foreign")
    house = Backend(Settings(data=folder / "data"), start_workers=False)
    app = create_app(house)
    ui.mount(app, house, path="/")
    with TestClient(app, base_url=LOCAL) as client:        # an error that gets through fails the test
        yield client
    house.close()


def quiet(caplog: pytest.LogCaptureFixture) -> bool:
    return not any(record.exc_info or record.levelno > logging.WARNING for record in caplog.records)


@pytest.mark.parametrize("path", POSTS)
def test_bodies_that_make_no_sense(client: TestClient, caplog: pytest.LogCaptureFixture, path: str) -> None:
    for body in JSON:
        answer = client.post(path, content=body.encode("latin-1"), headers={"Content-Type": "application/json"})
        assert answer.status_code < 500, (path, body[:80])
    for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "text/plain", "application/x-www-form-urlencoded", "\xff"):
        for body in FORMS:
            assert client.post(path, content=body, headers={"Content-Type": kind.encode("latin-1")}).status_code < 500, (path, kind, body[:80])
    assert quiet(caplog)


@pytest.mark.parametrize("path", GETS, ids=lambda path: path[:30])
def test_addresses_that_make_no_sense(client: TestClient, caplog: pytest.LogCaptureFixture, path: str) -> None:
    assert client.get(path).status_code < 500 and client.head(path).status_code < 500
    assert quiet(caplog)


@pytest.mark.slow
def test_random_bodies(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(5)
    keys = ("data", "fn_index", "session_hash", "event_id", "trigger_id", "event_data", "component_id", "fn_name", "simple_format", "batched")
    values = (None, 0, -1, 10**30, "x", [], {}, [None], [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}], True, 1.5, [[[]]], {"a": {"b": []}})
    for _ in range(300):
        body = {key: dice.choice(values) for key in dice.sample(keys, dice.randrange(len(keys)))}
        path = dice.choice(POSTS)
        assert client.post(path, content=json.dumps(body)).status_code < 500, (path, body)
    assert quiet(caplog)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_a_body_as_deep_as_it_can_be_read(client: TestClient, caplog: pytest.LogCaptureFixture, brackets: str) -> None:
    opening, closing = ('{"a":', "}") if brackets == "{}" else brackets
    for depth in range(700, 1000):
        body = opening * depth + '"x/y"' + closing * depth
        assert client.post("/gradio_api/run/predict", content=body).status_code < 500, depth
    assert quiet(caplog)


def test_letters_that_no_file_has_in_its_name(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("\\ud800/x", "a/\\udcff", "/\\u0000/x"):
        answer = client.post("/gradio_api/run/predict", content=f'{{"data": ["{text}"], "fn_index": 0}}')
        assert answer.status_code < 500
    assert quiet(caplog)


@pytest.mark.parametrize("body", ['["' + "a/" * 2_000_000 + '"]', '["' + "/.." * 1_000_000 + '/etc/passwd"]', json.dumps(["a/" * 2000 + str(n) for n in range(1000)]),
                                  json.dumps([f"/tmp/{n}" for n in range(80_000)]), '["' + "x" * 9_000_000 + '"]'],
                         ids=["long", "upwards", "many long", "many", "large"])
def test_paths_that_take_long_to_look_up_hold_up_nobody(client: TestClient, body: str) -> None:
    begun = time.monotonic()
    assert 400 <= client.post("/gradio_api/run/predict", content=body).status_code < 500
    assert time.monotonic() - begun < 3


def test_a_long_address_of_a_file_is_answered_at_once(client: TestClient) -> None:
    begun = time.monotonic()
    for path in ("a/" * 30_000, "/.." * 20_000 + "/etc/passwd", "./" * 30_000 + "app.py"):
        assert 400 <= client.get(f"/gradio_api/file={path}").status_code < 500
    assert time.monotonic() - begun < 1


def test_a_path_of_a_file_that_takes_long_to_look_up(client: TestClient) -> None:
    begun, sent = time.monotonic(), {"path": "a/" * 1_000_000, "meta": {"_type": "gradio.FileData"}}
    for function in range(0, 40, 4):
        assert 400 <= client.post("/gradio_api/run/predict", json={"data": [sent], "fn_index": function}).status_code < 500
    assert time.monotonic() - begun < 3


def test_calls_of_functions_that_cannot_be_are_told_in_a_line(
    client: TestClient, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    strange = {"path": "\ud800/x", "meta": {"_type": "gradio.FileData"}}
    for function in range(60):
        for data in ([], ["x" * 5000], [strange] * 200):
            body = json.dumps({"data": data, "fn_index": function, "session_hash": "s"})
            assert client.post("/gradio_api/run/predict", content=body).status_code < 500
    assert quiet(caplog) and "Traceback" not in capfd.readouterr().err


def test_a_function_of_the_page_that_fails_is_told_whole(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise RuntimeError("an extension's own")

    with gr.Blocks() as page:
        gr.Button().click(broken, api_name="broken")
        gr.Button().click(lambda text: text, gr.Textbox(), api_name="takes")
    gradio_errors.keep_short()
    client = TestClient(gr.mount_gradio_app(FastAPI(), page, "/"))
    assert client.post("/gradio_api/run/takes", json={"data": []}).status_code == 500
    assert [bool(record.exc_info) for record in caplog.records if record.name == gradio_errors.__name__] == [False]
    assert client.post("/gradio_api/run/broken", json={"data": []}).status_code == 500
    assert any(record.exc_info and record.exc_info[1].args == ("an extension's own",) for record in caplog.records)


def test_what_works_is_handed_on_and_easels_own_errors_stay_its_own() -> None:
    def broken(_: object) -> None:
        raise RuntimeError("ours")

    app = ForeignRoutes(Starlette(routes=[Route("/fine", lambda _: PlainTextResponse("yes")), Route("/easel/x", broken), Route("/x", broken)]))
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/fine").text == "yes" and client.get("/x").status_code == 404
    assert client.get("/easel/x").status_code == 500


def test_a_full_disk_is_told() -> None:
    def full(_: object) -> PlainTextResponse:
        raise OSError(errno.ENOSPC, "No space left on device")

    answer = TestClient(ForeignRoutes(Starlette(routes=[Route("/gradio_api/upload", full, methods=["POST"])]))).post("/gradio_api/upload")
    assert (answer.status_code, answer.json()) == (507, {"detail": "The disk is full"})


def test_the_page_is_still_there(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/").status_code == client.get("/config").status_code == 200
