"""AUTOMATIC1111's routes for finished pictures, against a front door without a worker."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo
from starlette.testclient import TestClient

from backend.errors import Problem
from backend.request.choices import EXTRAS
from backend.request.request import Request
from tests.pure.door import Door
from tests.pure.test_http import app, client, door, fields

__all__ = ["app", "client", "door"]
SINGLE, BATCH = "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images"
# What AUTOMATIC1111 1.10's own client sends: every entry of its form.
WHOLE = {"resize_mode": 0, "show_extras_results": True, "gfpgan_visibility": 0, "codeformer_visibility": 0, "codeformer_weight": 0,
         "upscaling_resize": 3, "upscaling_resize_w": 512, "upscaling_resize_h": 512, "upscaling_crop": True, "upscaler_1": "Lanczos",
         "upscaler_2": "None", "extras_upscaler_2_visibility": 0, "upscale_first": False}


def picture(text: str = "", size: tuple[int, int] = (24, 16)) -> str:
    info, out = PngInfo(), io.BytesIO()
    if text:
        info.add_text("parameters", text)
    Pillow.new("RGB", size, "teal").save(out, "PNG", pnginfo=info)
    return base64.b64encode(out.getvalue()).decode()


def asked(door: Door) -> Request:
    return list(door.all.values())[-1].request


def test_a_whole_payload_is_answered_in_their_shape(client: TestClient, door: Door) -> None:
    answer = client.post(SINGLE, json={**WHOLE, "image": picture("a cat\nSteps: 9, Sampler: Euler, Seed: 4, Size: 24x16")})
    assert answer.status_code == 200 and set(answer.json()) == {"html_info", "image"}
    assert base64.b64decode(answer.json()["image"])[:4] == b"\x89PNG"
    assert "Postprocess upscale by: 3.0, Postprocess upscaler: Lanczos" in answer.json()["html_info"]
    request = asked(door)
    assert (request.process, request.upscaler_1, request.upscale_by, request.upscale_to_width) == (EXTRAS, "Lanczos", 3, 0)
    assert request.source_text.startswith("a cat\nSteps: 9")


def test_what_is_left_out_has_their_defaults(client: TestClient, door: Door) -> None:
    assert client.post(SINGLE, json={"image": picture(), "upscaler_1": "nearest"}).status_code == 200
    assert (asked(door).upscale_by, asked(door).upscaler_1, asked(door).upscaler_2) == (2, "Nearest", "None")
    client.post(SINGLE, json={"image": picture(), "resize_mode": 1, "upscaling_resize_w": 100, "upscaling_crop": False})
    assert (asked(door).upscale_to_width, asked(door).upscale_to_height, asked(door).upscale_crop) == (100, 512, False)


def test_a_data_url_is_a_picture_too(client: TestClient) -> None:
    assert client.post(SINGLE, json={"image": f"data:image/png;base64,{picture()}"}).status_code == 200


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF", "JPEG", "WEBP"])
def test_every_format_is_taken(client: TestClient, kind: str) -> None:
    out = io.BytesIO()
    Pillow.new("RGB", (24, 16), "teal").save(out, kind)
    assert client.post(SINGLE, json={**WHOLE, "image": base64.b64encode(out.getvalue()).decode()}).status_code == 200


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\x00\x01 garbage: , : \udfff".encode("utf-8", "replace").decode() * 50, "Steps: x, Seed: y, Size: 0x0"],
                         ids=["1 MB", "garbage", "wrong"])
def test_an_odd_text_in_the_picture_does_not_stop_it(client: TestClient, text: str) -> None:
    assert client.post(SINGLE, json={**WHOLE, "image": picture(text)}).status_code == 200


@pytest.mark.parametrize("payload, named", [
    ({"image": ""}, {"image"}), ({"image": "%%%"}, {"image"}), ({}, {"image"}), ({"image": 5}, {"image"}),
    ({"image": base64.b64encode(b"text").decode()}, {"image"}),
    ({"image": picture(), "resize_mode": 2}, {"resize_mode"}),
    ({"image": picture(), "upscaling_resize": 99, "gfpgan_visibility": 2}, {"upscaling_resize", "gfpgan_visibility"}),
    ({"image": picture(), "codeformer_weight": "much"}, {"codeformer_weight"}),
    ({"image": picture(), "upscaler_1": 5}, {"upscaler_1"}),
])
def test_what_is_wrong_is_named(client: TestClient, payload: dict[str, Any], named: set[str]) -> None:
    answer = client.post(SINGLE, json=payload)
    assert {detail["loc"][-1] for detail in answer.json()["detail"]} == named and fields(answer)


def test_a_batch_answers_in_order_and_keeps_the_names(client: TestClient, door: Door) -> None:
    entries = [{"data": picture(size=(8 * n, 8)), "name": f"some/place {n}.png"} for n in (1, 2, 3)]
    answer = client.post(BATCH, json={**WHOLE, "imageList": entries})
    assert set(answer.json()) == {"html_info", "images"} and len(answer.json()["images"]) == 3
    assert [job.request.output_name for job in door.all.values()] == ["place 1", "place 2", "place 3"]


@pytest.mark.parametrize("entries, place", [
    ([], "imageList"), (None, "imageList"), ("x", "imageList"), ([5], "0"), ([{"data": picture(), "name": 5}], "0"),
    ([{"data": picture(), "name": "a"}, {"data": "x!", "name": "b"}], "data"),
])
def test_a_wrong_entry_is_named_and_nothing_is_queued(client: TestClient, door: Door, entries: Any, place: str) -> None:
    answer = client.post(BATCH, json={**WHOLE, "imageList": entries})
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"][-1] == place
    assert not door.all


def test_a_job_that_fails_is_an_error_with_its_field(client: TestClient, door: Door) -> None:
    finish = door.finish
    door.finish = lambda job: finish(job, "failed", (Problem("is too large", "upscale_by"),))
    answer = client.post(SINGLE, json={**WHOLE, "image": picture()})
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "upscaling_resize"]


def test_the_lists_never_tell_a_path(client: TestClient) -> None:
    rows = client.get("/sdapi/v1/upscalers").json()
    assert rows[3] == {"name": "4x-Test", "model_name": None, "model_path": None, "model_url": None, "scale": 4}
    assert client.get("/sdapi/v1/face-restorers").json() == [{"name": "GFPGAN", "cmd_dir": None}]
    assert "/srv" not in client.get("/sdapi/v1/upscalers").text


def test_the_page_may_submit_them_too(client: TestClient, door: Door) -> None:
    upload = client.post("/easel/upload", content=base64.b64decode(picture())).json()["id"]
    answer = client.post("/easel/jobs", json={"process": EXTRAS, "init_image": upload, "upscaler_1": "Lanczos", "source_text": "a cat"})
    assert answer.status_code == 200 and asked(door).source_text == "a cat"
