"""The HTTP door against a front door without a worker."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image as Pillow
from starlette.testclient import TestClient

from backend.catalog.model_file import ModelFile
from backend.errors import (
    CheckpointError,
    NotAllowed,
    NotFound,
    OutOfMemory,
    Problem,
    StorageError,
    UserError,
    WorkerLost,
)
from backend.http import build_routes, create_app
from backend.http.a1111.requests import TXT2IMG
from backend.http.errors import status_of
from backend.image import save
from backend.request.request import FIELDS, Request
from backend.settings import Settings
from tests.pure.door import DEMO, Door

LOCAL = "http://127.0.0.1:7860"
GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "extras.json").read_text("utf-8"))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(Settings(data=tmp_path))


@pytest.fixture
def app(door: Door) -> FastAPI:
    return create_app(door)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, base_url=LOCAL) as client:
        yield client


def fields(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [problem["field"] for problem in answer.json()["problems"]]


# ---- txt2img ----


def test_txt2img_answers_pictures_parameters_and_info(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", "seed": 5, "batch_size": 2, "steps": 3}).json()
    assert [base64.b64decode(image)[:4] for image in answer["images"]] == [b"\x89PNG"] * 2
    assert answer["parameters"]["n_iter"] == 1 and answer["parameters"]["sampler_name"] == "DPM++ 2M"
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [5, 6] and info["all_prompts"] == ["a cat"] * 2 and len(info["infotexts"]) == 2
    assert (info["sd_model_name"], info["sd_model_hash"], info["index_of_first_image"]) == ("demo", "0123456789", 0)


def test_values_left_out_come_from_the_checkpoint(client: TestClient, door: Door) -> None:
    client.post("/sdapi/v1/txt2img", json={"width": None})
    request = door.jobs("local")[0].request
    assert (request.width, request.steps) == (64, 4)


def test_send_images_false_answers_none(client: TestClient) -> None:
    assert client.post("/sdapi/v1/txt2img", json={"send_images": False}).json()["images"] == []


@pytest.mark.parametrize("payload, expected", [
    ({"sampler_index": "Euler a"}, ("Euler a", "Automatic")),
    ({"sampler_name": "k_euler", "sampler_index": "DDIM"}, ("Euler", "Automatic")),
    ({"sampler_name": "DPM++ 2M Karras"}, ("DPM++ 2M", "Karras")),
    ({"sampler_name": "Euler", "scheduler": "sgm_uniform"}, ("Euler", "SGM Uniform")),
])
def test_names_of_samplers(client: TestClient, door: Door, payload: dict, expected: tuple[str, str]) -> None:
    assert client.post("/sdapi/v1/txt2img", json=payload).status_code == 200
    request = door.jobs("local")[0].request
    assert (request.sampler, request.schedule) == expected


def test_an_upscaler_without_a_name_is_the_usual_one(client: TestClient, door: Door) -> None:
    payload = {"enable_hr": True, "hr_upscaler": ""}
    assert client.post("/sdapi/v1/txt2img", json=payload).status_code == 200
    assert door.jobs("local")[0].request.hr_upscaler == "Latent"
    assert Request.parse({"hr_upscaler": " ", "sd_upscale": ""}) == Request()


def test_override_settings_reach_the_request(client: TestClient, door: Door) -> None:
    overrides = {"sd_model_checkpoint": "demo.safetensors", "CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337,
                 "randn_source": "NV", "sd_vae": "Automatic", "samples_save": True, "enable_pnginfo": True, "grid_format": "png",
                 "s_noise": 1.0, "sd_checkpoint_hash": "0123456789"}
    assert client.post("/sdapi/v1/txt2img", json={"override_settings": overrides}).status_code == 200
    request = door.jobs("local")[0].request
    assert (request.checkpoint, request.clip_skip, request.ensd, request.seed_source) == ("demo.safetensors", 2, 31337, "NV")


def test_an_infotext_fills_what_is_not_given(client: TestClient, door: Door) -> None:
    client.post("/sdapi/v1/txt2img", json={"infotext": "a dog\nSteps: 7", "prompt": "a cat"})
    request = door.jobs("local")[0].request
    assert (request.prompt, request.steps) == ("a cat", 7)


NEUTRAL = {
    "styles": [], "restore_faces": False, "tiling": None, "enable_hr": False, "hr_scale": 2.0, "hr_upscaler": "Latent",
    "denoising_strength": 0.75, "firstphase_width": 0, "refiner_checkpoint": None, "refiner_switch_at": 0.8, "script_name": "",
    "script_args": [1], "alwayson_scripts": {"x": {"args": []}, "y": {"args": [False, {"enabled": False, "weight": 1}]}, "z": {}},
    "sampler_name": "", "scheduler": "", "seed_resize_from_w": -1, "seed_resize_from_h": -1, "subseed": -1, "cfg_scale": None, "save_images": True, "do_not_save_grid": True, "comments": {},
    "override_settings_restore_afterwards": True, "disable_extra_networks": False, "force_task_id": "task(1)", "hr_prompt": "",
}


def test_a_full_payload_with_everything_switched_off_is_accepted(client: TestClient) -> None:
    assert client.post("/sdapi/v1/txt2img", json=NEUTRAL).status_code == 200


def test_other_checkpoints_and_half_drawn_pictures_have_automatic1111s_names(client: TestClient, door: Door) -> None:
    payload = {"refiner_checkpoint": "xl", "refiner_switch_at": 0.6, "enable_hr": True, "hr_checkpoint_name": "other",
               "override_settings": {"save_incomplete_images": True, "hires_fix_refiner_pass": "both passes"}}
    assert client.post("/sdapi/v1/txt2img", json=payload).status_code == 200
    request = door.jobs("local")[0].request
    assert (request.refiner_checkpoint, request.refiner_switch_at, request.hr_checkpoint_name) == ("xl", 0.6, "other")
    assert request.save_incomplete_images and request.hires_fix_refiner_pass == "both passes"
    empty = {"refiner_checkpoint": None, "refiner_switch_at": None, "hr_checkpoint_name": ""}
    assert client.post("/sdapi/v1/txt2img", json=empty).status_code == 200
    request = door.jobs("local")[0].request
    assert (request.refiner_checkpoint, request.hr_checkpoint_name) == ("None", "Use same checkpoint")


@pytest.mark.parametrize("name, value", [
    ("script_name", "x/y plot"), ("alwayson_scripts", [1]),
])
def test_what_easel_does_not_have_is_refused_by_name(client: TestClient, name: str, value: object) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={name: value})
    assert fields(answer) == [name] and answer.json()["detail"][0]["loc"] == ["body", name]


def test_what_hires_fix_does_not_have_is_refused_where_it_is_on(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"enable_hr": True, "firstpass_image": "x"})
    assert fields(answer) == ["firstpass_image"]


def test_a_picture_tells_its_settings(client: TestClient) -> None:
    text = "a cat\nNegative prompt: dog\nSteps: 7, Sampler: Euler, Seed: 3"
    file = save.encode(Pillow.new("RGB", (8, 8)), "PNG", text)
    answer = client.post("/sdapi/v1/png-info", json={"image": base64.b64encode(file).decode()}).json()
    assert answer["info"] == answer["items"]["parameters"] == text
    assert answer["parameters"]["Steps"] == "7" and answer["parameters"]["Negative prompt"] == "dog"
    for wrong in (None, "", "%", base64.b64encode(b"text").decode()):
        assert fields(client.post("/sdapi/v1/png-info", json={"image": wrong})) == ["image"]


def test_upscalers_are_named(client: TestClient) -> None:
    assert [row["name"] for row in client.get("/sdapi/v1/upscalers").json()] == ["None", "Lanczos", "Nearest", "4x-Test", "RealESRGAN_x4plus"]
    assert client.get("/sdapi/v1/latent-upscale-modes").json()[0] == {"name": "Latent"}


def test_scripts_that_are_switched_on_are_refused_each_by_its_name(client: TestClient) -> None:
    scripts = {"idle": {"args": [False]}, "x": "y"}
    answer = client.post("/sdapi/v1/txt2img", json={"alwayson_scripts": scripts})
    assert fields(answer) == ["alwayson_scripts.x"]


def test_an_unknown_override_is_refused_by_name(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"override_settings": {"sd_unet": "fine.safetensors"}})
    assert answer.json()["detail"][0]["loc"] == ["body", "override_settings", "sd_unet"]


@pytest.mark.parametrize("body, named", [
    ('{"steps": 0}', ["steps"]), ('{"cfg_scale": NaN}', ["cfg_scale"]), ('{"cfg_scale": 1e999}', ["cfg_scale"]),
    ('{"width": -1, "height": 7}', ["width", "height"]), ('{"n_iter": "many"}', ["batch_count"]), ('{"sampler_name": 3}', ["sampler"]),
    ('{"seed": 1' + "0" * 400 + "}", ["seed"]), ('{"prompt": [1]}', ["prompt"]), ('{"override_settings": [1]}', ["override_settings"]),
    ('{"infotext": 4}', ["infotext"]),
])
def test_wrong_values_name_their_fields(client: TestClient, body: str, named: list[str]) -> None:
    answer = client.post("/sdapi/v1/txt2img", content=body, headers={"Content-Type": "application/json"})
    assert fields(answer) == named


@pytest.mark.parametrize("body", ["", "[1]", "{", '"x"', "NaN", "[" * 5000, '{"seed": ' + "9" * 5000 + "}"])
def test_a_body_that_is_no_payload_is_the_clients_error(client: TestClient, body: str) -> None:
    answer = client.post("/sdapi/v1/txt2img", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and [problem["field"] for problem in answer.json()["problems"]] == [""]
    if body == "{":
        assert "no JSON, from character 1 on" in answer.json()["errors"]


def test_a_size_below_the_smallest_is_named_as_it_was_sent(client: TestClient) -> None:
    assert "63 is not" in client.post("/sdapi/v1/txt2img", json={"width": 63}).json()["errors"]


@pytest.mark.parametrize("content_type, status", [(None, 200), ("application/json; charset=utf-8", 200), ("text/plain", 422)])
def test_json_needs_no_content_type_but_not_a_wrong_one(client: TestClient, content_type: str | None, status: int) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post("/sdapi/v1/txt2img", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert status == 200 or "must be a JSON object" in answer.json()["errors"]


def test_every_field_of_the_table_can_be_sent(client: TestClient) -> None:
    sent = {name: field.default for name, field in TXT2IMG.items() if not field.override}
    overrides = {field.override: field.default for field in FIELDS.values() if field.override}
    answer = client.post("/sdapi/v1/txt2img", json={**sent, "width": 64, "height": 64, "override_settings": overrides})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("field, status", [("width", 422), ("", 500)])
def test_a_failed_job_is_an_error_with_its_problems(app: FastAPI, door: Door, field: str, status: int) -> None:
    door.at_once = False
    with TestClient(app, base_url=LOCAL) as client:
        ending = threading.Thread(target=_end_soon, args=(door, "failed", (Problem("went wrong", field),)))
        ending.start()
        answer = client.post("/sdapi/v1/txt2img", json={})
    assert answer.status_code == status and answer.json()["problems"] == [{"field": field, "message": "went wrong"}]
    assert {"error", "detail", "errors", "body"} <= set(answer.json())


def test_pictures_are_answered_when_their_model_was_taken_away(
    client: TestClient, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(name: str = "") -> ModelFile:
        raise NotFound("'demo' is not in the list")

    finish = door.finish
    monkeypatch.setattr(door, "finish", lambda job: monkeypatch.setattr(door, "checkpoint", gone) or finish(job))
    answer = client.post("/sdapi/v1/txt2img", json={"override_settings": {"sd_model_checkpoint": "demo"}})
    info = json.loads(answer.json()["info"])
    assert len(answer.json()["images"]) == 1 and (info["sd_model_name"], info["sd_model_hash"]) == ("demo", "")


def test_an_interrupted_job_answers_what_is_finished(app: FastAPI, door: Door) -> None:
    door.at_once = False
    with TestClient(app, base_url=LOCAL) as client:
        threading.Thread(target=_end_soon, args=(door, "cancelled", ())).start()
        answer = client.post("/sdapi/v1/txt2img", json={})
    assert answer.status_code == 200 and answer.json()["images"] == []


def _end_soon(door: Door, state: str, problems: tuple[Problem, ...]) -> None:
    while not door.queue("local"):
        time.sleep(0.01)
    door.finish(door.queue("local")[0], state, problems)


def test_a_client_that_hangs_up_cancels_its_job(app: FastAPI, door: Door) -> None:
    door.at_once = False
    asyncio.run(_hang_up(app, door))
    assert door.jobs("local")[0].state == "cancelled"


async def _hang_up(app: FastAPI, door: Door) -> None:
    messages = iter([{"type": "http.request", "body": b"{}"}])

    async def receive() -> dict:
        message = next(messages, None)
        while message is None and not door.queue("local"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return message or {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        pass

    await app(_scope("POST", "/sdapi/v1/txt2img"), receive, send)


def _scope(method: str, path: str) -> dict:
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    return {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 7860), "scheme": "http", "http_version": "1.1", "root_path": ""}


# ---- the other routes of AUTOMATIC1111's API ----


def test_progress_is_zero_when_nothing_runs(client: TestClient) -> None:
    answer = client.get("/sdapi/v1/progress").json()
    assert answer["progress"] == 0 and answer["current_image"] is None and answer["state"]["job"] == ""


def test_progress_of_a_running_job(client: TestClient, door: Door) -> None:
    door.at_once = False
    door.submit({})
    answer = client.get("/sdapi/v1/progress").json()
    assert (answer["progress"], answer["eta_relative"]) == (0.25, 6.0)
    assert (answer["state"]["job"], answer["state"]["sampling_step"], answer["state"]["sampling_steps"]) == ("scripts_txt2img", 3, 12)
    assert base64.b64decode(answer["current_image"]).startswith(b"\x89PNG")
    assert client.get("/sdapi/v1/progress?skip_current_image=true").json()["current_image"] is None


def test_another_owners_job_is_not_seen(client: TestClient, door: Door) -> None:
    door.at_once = False
    job = door.submit({}, owner="somebody else")
    assert client.get("/sdapi/v1/progress").json()["state"]["job"] == ""
    assert client.post(f"/easel/jobs/{job.id}/cancel").status_code == 404
    assert client.get(f"/easel/preview/{job.id}").status_code == 404


def test_interrupt_and_skip(client: TestClient, door: Door) -> None:
    door.at_once = False
    door.submit({})
    assert client.post("/sdapi/v1/skip").json() is None and client.post("/sdapi/v1/interrupt").json() == {}
    assert door.calls == ["skip", "cancel"]


def test_samplers_have_the_names_and_options_of_automatic1111(client: TestClient) -> None:
    ours = {row["name"]: row for row in client.get("/sdapi/v1/samplers").json()}
    marks = ("scheduler", "uses_ensd", "second_order", "brownian_noise", "discard_next_to_last_sigma")
    for row in GOLDEN["sampler_table"]:
        options = {name: str(value) for name, value in row["options"].items() if name in marks}
        assert ours[row["label"]]["options"] == options, row["label"]
        assert set(row["aliases"]) <= set(ours[row["label"]]["aliases"])


def test_schedulers_have_the_shape_of_automatic1111(client: TestClient) -> None:
    ours = {row["name"]: row for row in client.get("/sdapi/v1/schedulers").json()}
    for row in GOLDEN["scheduler_table"]:
        del row["has_function"]
        assert ours[row["name"]] == row


def test_models_show_no_path(client: TestClient) -> None:
    answer = client.get("/sdapi/v1/sd-models")
    assert "secret" not in answer.text
    assert answer.json()[0] == {"title": DEMO.title, "model_name": "demo", "hash": "0123456789", "sha256": DEMO.sha256,
                                "filename": "demo.safetensors", "config": None}
    assert client.post("/sdapi/v1/refresh-checkpoints").json() is None


def test_options_are_kept_for_their_owner_and_used(client: TestClient, door: Door) -> None:
    before = client.get("/sdapi/v1/options").json()
    assert before["sd_model_checkpoint"] == DEMO.title and before["samples_format"] == "png" and before["CLIP_stop_at_last_layers"] == 1
    chosen = {"sd_model_checkpoint": "demo", "CLIP_stop_at_last_layers": 2, "sd_vae": "Automatic"}
    assert client.post("/sdapi/v1/options", json=chosen).json() is None
    assert client.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == 2
    client.post("/sdapi/v1/txt2img", json={})
    client.post("/sdapi/v1/txt2img", json={"override_settings": {"CLIP_stop_at_last_layers": 3}})
    assert [job.request.clip_skip for job in door.jobs("local")] == [3, 2]


def test_all_options_can_be_sent_back(client: TestClient) -> None:
    before = client.get("/sdapi/v1/options").json()
    assert client.post("/sdapi/v1/options", json=before).status_code == 200
    assert client.get("/sdapi/v1/options").json() == before


def test_a_model_that_cannot_be_used_is_no_option(client: TestClient, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = dataclasses.replace(DEMO, problem="the file is cut off")
    monkeypatch.setattr(door, "checkpoint", lambda name="": broken)
    answer = client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "demo"})
    assert fields(answer) == ["checkpoint"] and "cut off" in answer.json()["errors"]


def test_options_can_be_read_before_there_is_a_model(client: TestClient, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str = "") -> ModelFile:
        raise NotFound("there is no checkpoint yet")

    monkeypatch.setattr(door, "checkpoint", none)
    answer = client.get("/sdapi/v1/options").json()
    assert answer["sd_model_checkpoint"] is None and answer["samples_format"] == "png"


@pytest.mark.parametrize("options, field", [
    ({"inpainting_mask_weight": 0.5, "nonsense": 1}, "inpainting_mask_weight"), ({"CLIP_stop_at_last_layers": 99}, "clip_skip"), ({"sd_model_checkpoint": "absent"}, "checkpoint"),
    ({"sd_vae": "x"}, "vae"),
])
def test_wrong_options_are_refused_and_not_kept(client: TestClient, options: dict, field: str) -> None:
    before = client.get("/sdapi/v1/options").json()
    assert fields(client.post("/sdapi/v1/options", json=options)) == [field]
    assert client.get("/sdapi/v1/options").json() == before


# ---- the page's routes ----


def test_pictures_come_with_type_name_and_caching(client: TestClient, door: Door) -> None:
    image = door.submit({"prompt": "a cat"}).images[0]
    answer = client.get(f"/easel/image/{image.id}")
    assert answer.content == door.image_file(image.id, "local").read_bytes()
    assert answer.headers["content-type"] == "image/png" and answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'inline; filename="{image.name}"'
    assert "immutable" in answer.headers["cache-control"] and "private" in answer.headers["cache-control"]
    assert "sandbox" in answer.headers["content-security-policy"]
    assert client.get(f"/easel/image/{image.id}?download=1").headers["content-disposition"].startswith("attachment")
    assert client.get(f"/easel/image/{image.id}/thumb").content[8:12] == b"WEBP"
    info = client.get(f"/easel/image/{image.id}/info").json()
    assert info["infotext"].startswith("a cat") and info["request"]["seed"] == str(image.seed)


def test_pictures_are_listed_newest_first_in_pages(client: TestClient, door: Door) -> None:
    door.submit({"batch_size": 3})
    first = client.get("/easel/images?limit=2").json()["images"]
    rest = client.get(f"/easel/images?limit=2&before={first[-1]['id']}").json()["images"]
    assert [image["index"] for image in first + rest] == [2, 1, 0]
    assert client.get("/easel/images?limit=0").status_code == 422


def test_a_picture_that_is_gone_or_not_the_callers_is_not_found(client: TestClient, door: Door) -> None:
    mine, other = door.submit({}).images[0], door.submit({}, owner="other").images[0]
    door.image_file(mine.id, "local").unlink()
    for path in (mine.id, other.id, "..%2f..%2fetc%2fpasswd", "x"):
        assert client.get(f"/easel/image/{path}").status_code == 404, path
    assert client.get(f"/easel/image/{mine.id}/thumb").status_code == 404


def test_jobs_are_listed_cancelled_and_tried_again(client: TestClient, door: Door) -> None:
    door.at_once = False
    job = door.submit({"prompt": "a cat"})
    listed = client.get("/easel/jobs").json()["jobs"][0]
    assert (listed["id"], listed["state"], listed["prompt"], listed["done"]) == (job.id, "running", "a cat", 0)
    assert client.get(f"/easel/preview/{job.id}?n=1").headers["cache-control"] == "no-store"
    assert client.post(f"/easel/jobs/{job.id}/cancel").json() == {"id": job.id, "state": "cancelled"}
    late = client.get(f"/easel/preview/{job.id}?n=2")
    assert (late.status_code, late.content) == (204, b""), "a page that asks late has done nothing wrong"
    assert client.post(f"/easel/jobs/{job.id}/cancel").status_code == 409
    assert client.post(f"/easel/jobs/{job.id}/retry").json() == {"id": job.id, "state": "queued"}
    door.submit({"prompt": "a dog"})
    assert client.get("/easel/queue?limit=1").json()["total"] == 2
    (second,) = client.get("/easel/queue?start=1&limit=5").json()["jobs"]
    assert (second["prompt"], second["state"]) == ("a dog", "running")
    assert client.get("/easel/queue?limit=0").status_code == 422
    assert client.post("/easel/jobs/cancel").json() == {"ok": True}
    assert door.jobs("local")[0].state == "cancelled"


def test_the_queue_is_paused_reordered_and_its_notices_are_dismissed(client: TestClient, door: Door) -> None:
    assert client.get("/easel/queue").json() == {"jobs": [], "total": 0, "paused": False, "all_paused": False, "may_pause_all": True}
    for route, body in (("queue/pause", {}), ("queue/resume", {"everybody": True}), ("jobs/a/move", {"to": "front"}),
                        ("jobs/a/dismiss", {}), ("jobs/dismiss", {})):
        assert client.post(f"/easel/{route}", json=body).json() == {"ok": True}
    assert door.calls[-5:] == ["pause local", "resume everybody", "move a front", "dismiss a", "dismiss None"]
    assert client.post("/easel/jobs/a/move", json={}).status_code == 422


def test_failed_workers_are_started_again_on_request(client: TestClient, door: Door) -> None:
    assert client.post("/easel/workers/restart").json() == {"ok": True} and "restart_workers" in door.calls


@pytest.mark.parametrize("error, status", [
    (NotAllowed("x"), 409), (StorageError("x"), 507), (CheckpointError("x"), 422), (WorkerLost("x"), 503), (OutOfMemory("x"), 500),
    (UserError("x"), 422),
])
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_a_mistake_of_easels_own_tells_no_details(app: FastAPI, door: Door) -> None:
    door.checkpoints = lambda: 1 / 0
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        answer = client.get("/sdapi/v1/sd-models")
    assert answer.status_code == 500 and answer.json()["error"] == "ZeroDivisionError" and "division" not in answer.text


# ---- events ----


async def _read_events(app: FastAPI, headers: dict[str, str], wanted: int, act: object = None) -> list[str]:
    """The first `wanted` blocks of the stream; then the page goes away."""
    blocks: list[str] = []
    gone = asyncio.Event()
    scope = _scope("GET", "/easel/events")
    scope["headers"] = [(b"host", b"localhost"), *((k.encode(), v.encode()) for k, v in headers.items())]

    async def receive() -> dict:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        new = message.get("body", b"").decode().split("\n\n")
        blocks.extend(block for block in new if block and not block.startswith(":"))
        if len(blocks) == 2 and act:
            act()
        if len(blocks) >= wanted:
            gone.set()

    await asyncio.wait_for(app(scope, receive, send), 60)
    return blocks


def test_a_stream_starts_with_everything_and_goes_on_with_changes(app: FastAPI, door: Door) -> None:
    blocks = asyncio.run(_read_events(app, {}, 3, act=lambda: door.submit({})))
    assert blocks[0].startswith("retry:") and blocks[1].startswith("id: 1\n") and blocks[2].startswith("id: 2\n")
    assert json.loads(blocks[1].split("data: ")[1])["type"] == "queue"


def test_a_broken_stream_resumes_where_it_broke(app: FastAPI, door: Door) -> None:
    threading.Timer(0.3, door.submit, ({},)).start()
    assert asyncio.run(_read_events(app, {"last-event-id": "1"}, 2))[1].startswith("id: 2\n")


@pytest.mark.parametrize("last", ["nonsense", "9" * 30, "-4"])
def test_a_cursor_that_means_nothing_starts_over(app: FastAPI, last: str) -> None:
    assert asyncio.run(_read_events(app, {"last-event-id": last}, 2))[1].startswith("id: 1\n")


def test_sixty_open_pages_keep_one_thread_waiting_and_all_hear(app: FastAPI, door: Door) -> None:
    before = threading.active_count()       # what other tests have left

    async def pages() -> list[list[str]]:
        have_the_state_of_now = asyncio.Semaphore(0)
        act = have_the_state_of_now.release
        reading = [asyncio.ensure_future(_read_events(app, {}, 3, act)) for _ in range(60)]
        for _ in reading:
            await have_the_state_of_now.acquire()
        assert threading.active_count() - before < 60
        with httpx.Client():
            await asyncio.to_thread(door.submit, {})
        return await asyncio.gather(*reading)

    assert all(blocks[-1].startswith("id: 2") for blocks in asyncio.run(pages()))


def test_streams_end_when_the_server_stops(app: FastAPI) -> None:
    async def stopped() -> list[str]:
        has_the_state_of_now = asyncio.Event()
        reading = asyncio.ensure_future(_read_events(app, {}, 99, has_the_state_of_now.set))
        await has_the_state_of_now.wait()
        app.state.changes.close()
        return await asyncio.wait_for(reading, 30)

    assert len(asyncio.run(stopped())) == 2


def test_routes_are_made_before_the_first_request_waits_for_them(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    build_routes(app)
    for name in ("create_model_field", "get_dependant"):        # what FastAPI takes a quarter of a second for, all routes together
        monkeypatch.setattr(f"fastapi.routing.{name}", lambda **_: pytest.fail("made while a request waits"))
    client = TestClient(app, base_url=LOCAL)
    assert [client.get(path).status_code for path in ("/openapi.json", "/easel/jobs", "/api/fields", "/sdapi/v1/options", "/nothing")] == [200] * 4 + [404]
