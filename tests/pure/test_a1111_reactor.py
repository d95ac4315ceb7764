"""ReActor's own routes, against a front door without a worker: what they ask for, in whose words they refuse."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.errors import Problem
from backend.http.a1111.face_swap import ON_CPU
from backend.http.a1111.reactor_routes import NO_FILE
from backend.request.choices import EXTRAS
from tests.pure.door import Door
from tests.pure.test_extras_http import asked, picture
from tests.pure.test_http import app, client, door

__all__ = ["app", "client", "door"]
# Every entry of ReActor's example
WHOLE = {"source_image": picture(size=(9, 9)), "target_image": picture(), "source_faces_index": [0], "face_index": [0], "upscaler": "4x-Test", "scale": 2,
         "upscale_visibility": 1, "face_restorer": "CodeFormer", "restorer_visibility": 0.9, "codeformer_weight": 0.7, "restore_first": 1, "model": "inswapper_128.onnx",
         "gender_source": 0, "gender_target": 2, "save_to_file": 0, "result_file_path": "", "device": "CPU", "mask_face": 1, "select_source": 0, "face_model": "None",
         "source_folder": "", "random_image": 0, "upscale_force": 1, "det_thresh": 0.6, "det_maxnum": 3}


def sent(client: TestClient, **more: Any) -> Any:
    return client.post("/reactor/image", json=WHOLE | more)


def test_a_whole_payload_is_answered_in_their_shape(client: TestClient, door: Door) -> None:
    answer = sent(client)
    assert answer.status_code == 200 and set(answer.json()) == {"image"} and base64.b64decode(answer.json()["image"])[:4] == b"\x89PNG"
    request = asked(door)
    assert (request.process, request.upscaler_1, request.face_swap_order, request.face_swap_count_all) == (EXTRAS, "None", "Left to right", True)
    assert (request.face_swap_upscaler, request.face_swap_upscale_by, request.face_swap_upscale_first, request.face_swap_upscale_always) == ("4x-Test", 2, False, True)
    assert (request.codeformer_visibility, request.codeformer_weight, request.gfpgan_visibility) == (0.9, 0.7, 0)
    assert (request.face_swap_gender, request.face_swap_mask, request.face_swap_threshold, request.face_swap_most) == ("Male", True, 0.6, 3)
    assert door.uploads.file(request.face_swap, "local") != door.uploads.file(request.init_image, "local")


def test_what_is_left_out_has_their_defaults(client: TestClient, door: Door) -> None:
    assert client.post("/reactor/image", json={name: WHOLE[name] for name in ("source_image", "target_image")}).status_code == 200
    request = asked(door)
    assert (request.face_swap_targets, request.face_swap_sources, request.face_swap_upscaler, request.codeformer_visibility) == ("0", "", "None", 0)
    assert not request.face_swap_mask and request.face_swap_threshold == 0.5
    sent(client, source_faces_index=[1, 0], face_index=[0, 2], face_restorer="GFPGAN", restore_first=0)
    request = asked(door)
    assert (request.face_swap_sources, request.face_swap_targets, request.gfpgan_visibility, request.face_swap_upscale_first) == ("1,0", "0,2", 0.9, True)
    sent(client, select_source=1, face_model="elena.safetensors", source_image="")
    assert asked(door).face_swap_model == "elena.safetensors" and not asked(door).face_swap


@pytest.mark.parametrize(("more", "field"), [
    ({"target_image": ""}, "target_image"), ({"source_image": "%%"}, "source_image"), ({"model": "reswapper.onnx"}, "model"), ({"face_restorer": "GPEN"}, "face_restorer"),
    ({"scale": 99}, "scale"), ({"restorer_visibility": "much"}, "restorer_visibility"), ({"select_source": 7}, "select_source"), ({"select_source": 1}, "face_model"),
    ({"select_source": 2, "source_folder": "C:/faces"}, "source_folder"), ({"source_faces_index": [0, 1, 2]}, "source_faces_index"), ({"det_thresh": 0}, "det_thresh")])
def test_what_is_wrong_is_named_in_their_words(client: TestClient, more: dict[str, Any], field: str) -> None:
    answer = sent(client, **more)
    assert answer.status_code == 422 and [problem["field"] for problem in answer.json()["problems"]] == [field]


def test_what_is_not_done_is_told(client: TestClient) -> None:
    answer = sent(client, device="CUDA", save_to_file=1, result_file_path="C:/out.png")
    assert answer.json()["notes"] == [ON_CPU, NO_FILE]
    passed = client.post("/reactor/image", json={**WHOLE, "model": "reswapper.onnx"}, headers={"X-Easel-Unknown": "ignore"})
    assert passed.status_code == 200 and passed.json()["notes"] == ["reactor: model was passed over"]


def test_why_a_picture_could_not_be_made_names_their_argument(client: TestClient, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = door.finish
    monkeypatch.setattr(door, "finish", lambda job: finish(job, "failed", (Problem("shows no face", "face_swap"),)))
    answer = sent(client)
    assert answer.status_code == 422 and answer.json()["problems"] == [{"field": "source_image", "message": "shows no face"}]


def test_what_there_is(client: TestClient) -> None:
    assert client.get("/reactor/upscalers").json() == {"upscalers": ["None", "Lanczos", "Nearest", "4x-Test", "RealESRGAN_x4plus"]}
    assert client.get("/reactor/models").json() == {"models": []} and client.get("/reactor/facemodels").json() == {"facemodels": []}
