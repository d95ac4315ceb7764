"""AUTOMATIC1111's lists and probes, how far a call is, and whose call it is."""

from __future__ import annotations

import base64
import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from backend import Live, Worker
from backend.http import create_app
from backend.http.a1111.calls import MAX_TASK
from backend.http.a1111.progress import Standing
from backend.http.openapi_a1111_answers import ANSWERS
from backend.messages import MemoryUse
from backend.request.request import Request
from backend.settings import Settings
from backend.store.view_types import Status
from tests.pure.a1111_payloads import BLENDER, PICTURE
from tests.pure.door import Door
from tests.pure.test_http import LOCAL, app, client, door

__all__ = ["app", "client", "door"]
SD = "/sdapi/v1"



@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """For questions that leave nothing behind."""
    with TestClient(create_app(Door(Settings(data=tmp_path_factory.mktemp("asked")))), base_url=LOCAL) as client:
        yield client


@pytest.fixture(scope="module")
def described(asked: TestClient) -> dict[str, Any]:
    return asked.get("/openapi.json").json()


LISTS: list[tuple[str, Any]] = [
    ("sd-vae", [{"model_name": "fine.safetensors", "filename": "fine.safetensors"}]),
    ("sd-modules", [{"model_name": name, "filename": name} for name in ("fine.safetensors", "words.safetensors")]),
    ("hypernetworks", [{"name": "hyper", "path": "hyper.pt"}]),
    ("loras", [{"name": "detail", "alias": "add_detail", "path": "detail.safetensors",
                "metadata": {"sshs_model_hash": "ab", "ss_output_name": "add_detail"}}]),
    ("realesrgan-models", [{"name": "R-ESRGAN 4x+", "path": "RealESRGAN_x4plus.pth", "scale": 4}]),
    ("face-restorers", [{"name": "GFPGAN", "cmd_dir": None}]),
]


@pytest.mark.parametrize("name, rows", LISTS, ids=[name for name, _ in LISTS])
def test_the_lists_have_automatic1111s_shape(asked: TestClient, name: str, rows: Any) -> None:
    assert asked.get(f"{SD}/{name}").json() == rows


def test_extensions_are_told_with_what_their_folders_say(client: TestClient) -> None:
    told = {row["name"]: row for row in client.get(f"{SD}/extensions").json()}
    assert told["freeu"] == {"name": "freeu", "remote": "", "branch": "", "commit_hash": "", "version": "1.0", "commit_date": "",
                             "enabled": False}      # this house was opened without any


def test_embeddings_are_told_by_the_model_that_they_fit(client: TestClient) -> None:
    told = client.get(f"{SD}/embeddings").json()
    assert {name: set(rows) for name, rows in told.items()} == {"loaded": {"easy"}, "skipped": {"large"}}
    assert told["loaded"]["easy"] == {"step": None, "sd_checkpoint": None, "sd_checkpoint_name": None, "shape": 768, "vectors": 2}


def test_the_memory_of_the_card_is_told_once_its_worker_has_told_it(client: TestClient, door: Door) -> None:
    door.status = lambda: Status(workers=(Worker(name="cuda:0", state="ready", device="A card", memory=2**33),))
    assert client.get(f"{SD}/memory").json()["cuda"]["system"] == {"total": 2**33}
    door.measures.memory["cuda:0"] = MemoryUse(tensors=2**30, worker=2**31, device=2**32)
    assert client.get(f"{SD}/memory").json()["cuda"] == {
        "system": {"free": 2**32, "used": 2**32, "total": 2**33}, "allocated": {"current": 2**30}, "reserved": {"current": 2**31}}


def test_flags_memory_and_probes_answer(client: TestClient) -> None:
    flags, memory = client.get(f"{SD}/cmd-flags").json(), client.get(f"{SD}/memory").json()
    assert flags["api"] is True and flags["port"] == 7860 and flags["listen"] is False and flags["gradio_auth"] is None
    assert memory["ram"]["total"] == memory["ram"]["free"] + memory["ram"]["used"] and "error" in memory["cuda"]
    assert client.get("/queue/status").json()["msg"] == "estimation" and client.get("/internal/ping").json() == {}
    assert client.get("/internal/sysinfo").json()["Config"]["send_seed"] is True


def test_folders_are_looked_through_again_and_models_unloaded(client: TestClient, door: Door) -> None:
    for name in ("checkpoints", "vae", "loras", "embeddings", "upscalers"):
        assert client.post(f"{SD}/refresh-{name}").json() is None
    assert client.post(f"{SD}/unload-checkpoint").json() == {} == client.post(f"{SD}/reload-checkpoint").json()
    assert door.calls == ["refresh checkpoint", "refresh vae", "refresh lora", "refresh embedding", "refresh upscaler", "unload_models"]


@pytest.mark.parametrize("path", ["create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork"])
def test_what_easel_does_not_do_is_said_to_be_so(asked: TestClient, path: str) -> None:
    answer = asked.post(f"{SD}/{path}", json={"image": PICTURE})
    assert answer.status_code == 501 and "Easel does not" in answer.json()["errors"]


@pytest.mark.parametrize("method, path, status, allowed", [
    ("GET", f"{SD}/txt2img", 405, "POST"), ("GET", f"{SD}/interrogate", 405, "POST"), ("POST", f"{SD}/samplers", 405, "GET"),
    ("PUT", f"{SD}/options", 405, "GET, POST"), ("GET", "/internal/progress", 405, "POST"), ("GET", f"{SD}/nothing", 404, None),
    ("POST", f"{SD}/train/something", 422, None), ("GET", "/internal/x", 404, None),
])
def test_a_wrong_method_is_told_from_a_wrong_path(asked: TestClient, method: str, path: str, status: int, allowed: str | None) -> None:
    answer = asked.request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allowed)


def test_a_batch_of_extras_and_foreign_names(client: TestClient) -> None:
    sent = {"image": PICTURE, "upscaler_1": "Lanczos", "upscaling_resize": "2", "model": "clip", "override_settings": {}, "resize_mode": "0"}
    answer = client.post(f"{SD}/extra-single-image", json=sent)
    assert answer.status_code == 200 and "<p>Passed over: model, override_settings</p>" in answer.json()["html_info"]


# ---- the description ----


def test_bodies_are_described_from_the_field_table(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    drawing = schemas["TextToImageRequest"]["properties"]
    assert drawing["steps"] == {"type": "integer", "title": "Sampling steps", "default": 20, "minimum": 1, "maximum": 1000}
    assert drawing["alwayson_scripts"]["type"] == "object" and "init_images" not in drawing
    assert schemas["ImageToImageRequest"]["required"] == ["init_images"]
    assert schemas["ImageToImageRequest"]["properties"]["inpainting_fill"] | {"title": ""} == {
        "type": "integer", "title": "", "minimum": 0, "maximum": 3, "default": 0,
        "description": "0 fill, 1 original, 2 latent noise, 3 latent nothing"}
    body = described["paths"][f"{SD}/txt2img"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/TextToImageRequest"}
    assert "Euler a" in drawing["sampler_name"]["enum"] and schemas["Options"]["properties"]["uni_pc_order"]["default"] == 3


# ---- how far it is ----


def live(**values: Any) -> Live:
    return Live(job="x", **values)


@pytest.mark.parametrize("request_, state, expected", [
    (Request(steps=20, batch_count=3), None, Standing(3)),
    (Request(steps=20, batch_count=3, batch_size=2), live(index=2, done=2, count=6, step=5, steps=20), Standing(3, 1, 5, 20)),
    (Request(steps=20, batch_count=3), live(index=0, done=1, count=3, step=20, steps=20), Standing(3, 1)),
    (Request(steps=5, enable_hr=True), live(step=4, steps=10), Standing(2, 0, 4, 5)),
    (Request(steps=5, enable_hr=True), live(step=7, steps=10), Standing(2, 1, 2, 5)),
    (Request(steps=5, enable_hr=True, hr_second_pass_steps=15, batch_count=2), live(index=1, done=1, count=2, step=6, steps=20), Standing(4, 3, 1, 15)),
    (Request(steps=20, sampler="Heun"), live(step=20, steps=39), Standing(1, 0, 10, 20)),
    (Request(steps=9, loopback_loops=3, init_image="a" * 64, batch_size=2), live(index=1, done=1, count=6, step=1, steps=9), Standing(6, 1, 1, 9)),
])
def test_progress_counts_batches_and_passes(request_: Request, state: Live | None, expected: Standing) -> None:
    assert Standing.of(request_, state) == expected


# ---- whose call it is ----


class Clients:
    """Clients of one application, each with a program of its own, whose drawing calls wait. All are in one event loop, as in a server."""

    def __init__(self, server: TestClient, door: Door) -> None:
        self.server, self.door, self.pool = server, door, ThreadPoolExecutor(8)
        door.at_once = False

    def named(self, program: str) -> TestClient:
        client = TestClient(self.server.app, base_url=LOCAL, headers={"User-Agent": program})
        client.portal = self.server.portal
        return client

    def draw(self, program: str, **payload: Any) -> Any:
        """A call on its way; its job has been queued."""
        before = len(self.door.all)
        path, base = ("img2img", BLENDER) if "init_images" in payload else ("txt2img", {})
        waiting = self.pool.submit(self.named(program).post, f"{SD}/{path}", json={**base, **payload})
        until(lambda: len(self.door.all) > before)
        return waiting

    def job(self, number: int) -> Any:
        return list(self.door.all.values())[number]

    def queue(self, number: int) -> None:
        """As if no worker had it yet."""
        job = self.job(number)
        self.door.all[job.id] = dataclasses.replace(job, state="queued")


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 20
    while not (value := true()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return value


@pytest.fixture
def clients(app: FastAPI, door: Door) -> Iterator[Clients]:
    with TestClient(app, base_url=LOCAL) as server:
        clients = Clients(server, door)
        yield clients
        for job in list(door.all.values()):
            if job.state in ("queued", "running"):
                door.finish(job)
        clients.pool.shutdown()


def ended(answer: Any) -> httpx.Response:
    return answer.result(timeout=20)


def test_an_interrupt_stops_the_callers_own_job(clients: Clients) -> None:
    first, second = clients.draw("one"), clients.draw("two")
    assert clients.named("two").post(f"{SD}/interrupt").json() == {}
    info = ended(second).json()["info"]
    assert "interrupted: 0 of 1 pictures are here, 0 of them half-drawn" in info and clients.job(0).state == "running"
    state = clients.named("two").get(f"{SD}/progress").json()["state"]
    assert state["interrupted"] is True and state["job"] == ""         # its own call; what others draw is not its business
    assert clients.named("two").post(f"{SD}/interrupt").json() == {} and clients.job(0).state == "running"
    clients.named("two").post(f"{SD}/skip")
    assert clients.door.calls == ["cancel"]
    assert clients.named("watches").get(f"{SD}/progress").json()["state"]["job"] == "scripts_txt2img"
    clients.named("one").post(f"{SD}/interrupt")
    ended(first)
    assert clients.named("one").get(f"{SD}/progress").json()["state"] | {"job_timestamp": ""} == {
        "skipped": False, "interrupted": True, "stopping_generation": False, "job": "", "job_count": 0, "job_timestamp": "",
        "job_no": 0, "sampling_step": 0, "sampling_steps": 0}


def test_a_client_that_waits_stops_nobody(clients: Clients) -> None:
    clients.draw("one")
    clients.draw("two")
    clients.queue(1)
    clients.named("two").post(f"{SD}/interrupt")
    assert [clients.job(n).state for n in (0, 1)] == ["running", "queued"]
    assert clients.named("two").get(f"{SD}/progress").json()["textinfo"] == "Waiting in the queue"


def test_a_job_that_is_about_to_run_is_stopped(clients: Clients) -> None:
    waiting = clients.draw("one")
    clients.queue(0)
    clients.named("one").post(f"{SD}/interrupt")
    assert ended(waiting).json()["images"] == [] and clients.job(0).state == "cancelled"


def test_a_client_that_never_drew_stops_what_runs(clients: Clients) -> None:
    waiting = clients.draw("one")
    clients.named("curl").post(f"{SD}/interrupt")
    assert ended(waiting).json()["images"] == []


def test_a_task_id_tells_calls_of_one_program_apart(clients: Clients) -> None:
    clients.draw("same", force_task_id="task(a)")
    second = clients.draw("same", force_task_id="task(b)")
    assert clients.named("x").get("/internal/pending-tasks").json() == {"size": 2, "tasks": ["task(a)", "task(b)"]}
    clients.named("same").post(f"{SD}/interrupt", json={"force_task_id": "task(b)"})
    ended(second)
    assert clients.job(0).state == "running" and clients.job(1).state == "cancelled"
    clients.named("same").post(f"{SD}/interrupt?force_task_id=task(c)")
    assert clients.job(0).state == "running"
    ask = {"id_live_preview": -1, "live_preview": True}
    done = clients.named("x").post("/internal/progress", json={"id_task": "task(b)", **ask}).json()
    assert (done["active"], done["queued"], done["completed"]) == (False, False, True)
    now = clients.named("x").post("/internal/progress", json={"id_task": "task(a)", **ask}).json()
    assert now["active"] and now["progress"] == 0.25 and now["live_preview"].startswith("data:image/png;base64,") and now["id_live_preview"] == 1
    again = clients.named("x").post("/internal/progress", json={"id_task": "task(a)", "id_live_preview": 1}).json()
    assert again["live_preview"] is None and again["id_live_preview"] == 1
    none = clients.named("x").post("/internal/progress", json={"id_task": "y" * (MAX_TASK + 1)}).json()
    assert (none["active"], none["queued"], none["completed"], none["textinfo"]) == (False, False, False, "Waiting...")


def test_a_skip_is_told_until_the_next_picture(clients: Clients) -> None:
    clients.draw("one", n_iter=2)
    clients.named("one").post(f"{SD}/skip")
    assert clients.door.calls == ["skip"] and clients.named("one").get(f"{SD}/progress").json()["state"]["skipped"] is True
    clients.door.live = lambda job, owner: live(index=1, done=0, count=2, step=1, steps=4, fraction=0.6)
    told = clients.named("one").get(f"{SD}/progress").json()
    assert told["state"]["skipped"] is False and told["progress"] == 0.6


def test_an_interrupt_counts_before_the_job_is_queued(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    come, go_on = threading.Event(), threading.Event()
    submit = clients.door.submit_all

    def slow(values: Any, owner: str = "local") -> Any:
        come.set()
        assert go_on.wait(20)
        return submit(values, owner)

    monkeypatch.setattr(clients.door, "submit_all", slow)
    waiting = clients.pool.submit(clients.named("one").post, f"{SD}/txt2img", json={})
    assert come.wait(20)
    clients.named("one").post(f"{SD}/interrupt")
    go_on.set()
    assert ended(waiting).json()["images"] == [] and clients.job(0).state == "cancelled"


def test_several_pictures_are_one_call(clients: Clients) -> None:
    clients.draw("one", init_images=[PICTURE, PICTURE], n_iter=2)
    until(lambda: len(clients.door.all) == 4)
    clients.door.finish(clients.job(0))
    told = clients.named("one").get(f"{SD}/progress").json()
    assert (told["state"]["job"], told["state"]["job_count"], told["state"]["job_no"]) == ("scripts_img2img", 4, 1)
    assert told["progress"] == pytest.approx((1 + 0.25) / 4) and base64.b64decode(told["current_image"])[:4] == b"\x89PNG"


SENT = {"/sdapi/v1/txt2img": {}, "/sdapi/v1/img2img": BLENDER, "/sdapi/v1/extra-single-image": {"image": PICTURE},
        "/sdapi/v1/extra-batch-images": {"imageList": [{"data": PICTURE, "name": "a.png"}]}, "/sdapi/v1/png-info": {"image": PICTURE},
        "/internal/progress": {"id_task": "x"}}
TYPES: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}


@pytest.mark.parametrize("path", ANSWERS)
def test_answers_are_what_the_description_says(asked: TestClient, described: dict[str, Any], path: str) -> None:
    method, _, kind = ANSWERS[path]
    answer = asked.get(path) if method == "get" else asked.post(path, json=SENT[path])
    assert answer.status_code == 200, answer.text
    fits(answer.json(), kind)
    assert "200" in described["paths"][path][method]["responses"]


def fits(value: Any, kind: Any) -> None:
    if isinstance(kind, list):
        assert isinstance(value, list)
        for entry in value:
            fits(entry, kind[0])
    elif isinstance(kind, Mapping):
        assert set(value) == set(kind)
        for name, inner in kind.items():
            fits(value[name], inner)
    elif kind != "any":
        assert value is None and kind.endswith("?") or isinstance(value, TYPES[kind.rstrip("?")]), (value, kind)


def test_the_page_of_the_api_loads_nothing_from_elsewhere(app: FastAPI, door: Door) -> None:
    from ui import api_page, assets

    app.include_router(assets.route(assets.of_the_api()))
    app.include_router(api_page.route(assets.of_the_api()))
    with TestClient(app, base_url=LOCAL) as client:
        page = client.get("/docs").text
        loaded = re.findall(r'<(?:link|script|img)\b[^>]* (?:href|src)="([^"]+)"', page)
        assert len(loaded) == 2 and all(client.get(address).status_code == 200 for address in loaded)
        assert "http" not in re.sub(r"\{\{.*\}\}", "", page) and 'url: "./openapi.json"' in page
