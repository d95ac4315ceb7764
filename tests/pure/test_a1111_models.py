"""AUTOMATIC1111 1.10.1's request models, name by name, against what Easel does with each name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.http import create_app
from backend.http.a1111 import extras
from backend.http.a1111.fields import IMG2IMG, NOT_HERE_YET, READ_IMG2IMG, READ_TXT2IMG, TXT2IMG, WITHOUT_EFFECT
from backend.settings import Settings
from tests.pure.a1111_payloads import PICTURE, passed_over
from tests.pure.door import Door

LOCAL = "http://127.0.0.1:7860"

# Names and defaults of the pydantic models of its API.
BOTH: dict[str, Any] = {
    "prompt": "", "negative_prompt": "", "styles": None, "seed": -1, "subseed": -1, "subseed_strength": 0, "seed_resize_from_h": -1,
    "seed_resize_from_w": -1, "sampler_name": None, "scheduler": None, "batch_size": 1, "n_iter": 1, "steps": 50, "cfg_scale": 7.0,
    "width": 512, "height": 512, "restore_faces": None, "tiling": None, "do_not_save_samples": False, "do_not_save_grid": False, "eta": None,
    "denoising_strength": None, "s_min_uncond": None, "s_churn": None, "s_tmax": None, "s_tmin": None, "s_noise": None, "override_settings": None,
    "override_settings_restore_afterwards": True, "refiner_checkpoint": None, "refiner_switch_at": None, "disable_extra_networks": False,
    "firstpass_image": None, "comments": None, "sampler_index": "Euler", "script_name": None, "script_args": [], "send_images": True,
    "save_images": False, "alwayson_scripts": {}, "force_task_id": None, "infotext": None,
}
HIRES: dict[str, Any] = {
    "enable_hr": False, "denoising_strength": 0.75, "firstphase_width": 0, "firstphase_height": 0, "hr_scale": 2.0, "hr_upscaler": None,
    "hr_second_pass_steps": 0, "hr_resize_x": 0, "hr_resize_y": 0, "hr_checkpoint_name": None, "hr_sampler_name": None, "hr_scheduler": None,
    "hr_prompt": "", "hr_negative_prompt": "",
}
FROM_PICTURE: dict[str, Any] = {
    "init_images": None, "denoising_strength": 0.75, "resize_mode": 0, "image_cfg_scale": None, "mask": None, "mask_blur_x": 4, "mask_blur_y": 4,
    "mask_blur": None, "mask_round": True, "inpainting_fill": 0, "inpaint_full_res": True, "inpaint_full_res_padding": 0,
    "inpainting_mask_invert": 0, "initial_noise_multiplier": None, "latent_mask": None, "include_init_images": False,
}
FINISHED: dict[str, Any] = {
    "resize_mode": 0, "show_extras_results": True, "gfpgan_visibility": 0, "codeformer_visibility": 0, "codeformer_weight": 0,
    "upscaling_resize": 2, "upscaling_resize_w": 512, "upscaling_resize_h": 512, "upscaling_crop": True, "upscaler_1": "None",
    "upscaler_2": "None", "extras_upscaler_2_visibility": 0, "upscale_first": False,
}
# A small number of steps and a small picture stand for "what was asked for": their defaults are costly, not strange.
FAST = {"width": 64, "height": 64, "steps": 2}
MODELS: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]] = {
    "txt2img": (BOTH | HIRES, TXT2IMG, READ_TXT2IMG), "img2img": (BOTH | FROM_PICTURE, IMG2IMG, READ_IMG2IMG),
}


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return Door(Settings(data=tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def client(door: Door) -> Iterator[TestClient]:
    with TestClient(create_app(door), base_url=LOCAL) as client:
        yield client


@pytest.mark.parametrize("route", MODELS)
def test_every_name_of_its_models_has_a_place_here(route: str) -> None:
    model, fields, read = MODELS[route]
    assert [name for name in model if name not in fields and name not in read and name not in WITHOUT_EFFECT and name not in NOT_HERE_YET] == []
    places = [*read, *WITHOUT_EFFECT, *NOT_HERE_YET]
    assert len(places) == len(set(places)) and [name for name in places if name not in model] == [], "a name that it never had, or twice"


@pytest.mark.parametrize("route", MODELS)
def test_what_has_no_field_of_its_own_has_its_default(route: str) -> None:
    model, _, read = MODELS[route]
    told = {**read, **WITHOUT_EFFECT}
    assert told == {name: model[name] for name in told}


@pytest.mark.parametrize("route", MODELS)
def test_a_client_that_sends_every_default_gets_a_picture_and_nothing_is_passed_over(client: TestClient, door: Door, route: str) -> None:
    model = {**MODELS[route][0], **FAST, "prompt": "x"} | ({"init_images": [PICTURE]} if route == "img2img" else {})
    for names in (model, {name: value for name, value in model.items() if value is not None}):
        answer = client.post(f"/sdapi/v1/{route}", json=names)
        assert answer.status_code == 200, answer.text
        assert passed_over(answer.json()) == set()
        info = json.loads(answer.json()["info"])
        assert info["sampler_name"] == "Euler" and info["cfg_scale"] == 7.0 and not info["extra_generation_params"].get("Hires upscale")
    told = client.get("/openapi.json").json()
    body = json.dumps(told["paths"][f"/sdapi/v1/{route}"]["post"]["requestBody"])
    described = told["components"]["schemas"][body.rpartition("/")[2].partition('"')[0]]["properties"]
    assert [name for name in model if name not in described] == [*NOT_HERE_YET]


def test_every_name_for_finished_pictures_has_a_place_here(client: TestClient) -> None:
    assert [name for name in FINISHED if name not in extras.BY_NAME and name not in extras.READ_HERE] == []
    assert [name for name in extras.BY_NAME if name not in FINISHED] == []
    answer = client.post("/sdapi/v1/extra-single-image", json={**FINISHED, "image": PICTURE})
    assert answer.status_code == 200 and "Passed over" not in answer.json()["html_info"]
    batch = client.post("/sdapi/v1/extra-batch-images", json={**FINISHED, "imageList": [{"data": PICTURE, "name": "a.png"}]})
    assert batch.status_code == 200 and len(batch.json()["images"]) == 1


def test_a_client_of_gradio_3_is_told_that_the_page_has_nothing_for_it(client: TestClient) -> None:
    assert client.get("/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
    assert [client.post(path, json={"fn_index": 0, "data": []}).status_code for path in ("/run/predict", "/api/predict", "/queue/join")] == [404] * 3


# ---- types that clients send ----

LEFT_OUT = object()     # it counts as not given
DRAWN: list[tuple[str, str, Any, str, Any]] = [
    ("txt2img", "prompt", None, "prompt", ""), ("txt2img", "prompt", 5, "prompt", "5"), ("txt2img", "negative_prompt", 1.5, "negative_prompt", "1.5"),
    ("txt2img", "negative_prompt", None, "negative_prompt", ""), ("txt2img", "steps", "2", "steps", 2), ("txt2img", "steps", "2.0", "steps", 2),
    ("txt2img", "steps", 2.9, "steps", 2), ("txt2img", "steps", None, "steps", LEFT_OUT), ("txt2img", "cfg_scale", "7.5", "cfg_scale", 7.5),
    ("txt2img", "cfg_scale", 7, "cfg_scale", 7.0), ("txt2img", "width", 64.7, "width", 64), ("txt2img", "width", "128", "width", 128),
    ("txt2img", "seed", "5", "seed", 5), ("txt2img", "seed", 5.5, "seed", 5), ("txt2img", "seed", 2**40 + 1, "seed", 2**40 + 1),
    ("txt2img", "n_iter", 2.0, "batch_count", 2), ("txt2img", "batch_size", "2", "batch_size", 2), ("txt2img", "tiling", "true", "tiling", True),
    ("txt2img", "tiling", 1, "tiling", True), ("txt2img", "tiling", "False", "tiling", False), ("txt2img", "tiling", "", "tiling", False),
    ("txt2img", "tiling", None, "tiling", False), ("txt2img", "enable_hr", "0", "enable_hr", False), ("txt2img", "enable_hr", 0, "enable_hr", False),
    ("txt2img", "styles", None, "styles", ()), ("txt2img", "sampler_name", None, "sampler", LEFT_OUT), ("txt2img", "sampler_name", "", "sampler", LEFT_OUT),
    ("txt2img", "scheduler", None, "schedule", LEFT_OUT), ("txt2img", "denoising_strength", None, "denoising_strength", LEFT_OUT),
    ("txt2img", "override_settings", None, "clip_skip", LEFT_OUT), ("txt2img", "override_settings", [], "clip_skip", LEFT_OUT),
    ("txt2img", "override_settings", {"CLIP_stop_at_last_layers": "2"}, "clip_skip", 2),
    ("txt2img", "override_settings", {"CLIP_stop_at_last_layers": None}, "clip_skip", LEFT_OUT),
    ("txt2img", "override_settings", {"sd_model_checkpoint": None, "sd_vae": None}, "clip_skip", LEFT_OUT),
    *[("txt2img", "alwayson_scripts", value, "guides", ()) for value in
      (None, [], "", {"ControlNet": None}, {"ControlNet": {}}, {"ControlNet": {"args": None}}, {"ControlNet": {"args": [None]}}, {"ADetailer": {"args": [None]}})],
    *[("txt2img", "script_args", value, "steps", 2) for value in (None, "", {}, [None, [None]])],
    *[("txt2img", "force_task_id", value, "steps", 2) for value in (None, 5, [], {})],
    ("img2img", "mask", None, "mask", ""), ("img2img", "mask", "", "mask", ""), ("img2img", "mask_blur", "4", "mask_blur", 4),
    ("img2img", "mask_blur", 4.0, "mask_blur", 4), ("img2img", "resize_mode", "1", "resize_mode", "Crop and resize"),
    ("img2img", "resize_mode", 1.0, "resize_mode", "Crop and resize"), ("img2img", "inpainting_fill", "1", "masked_content", "original"),
    ("img2img", "inpaint_full_res", "false", "inpaint_area", "Whole picture"), ("img2img", "inpaint_full_res", 0, "inpaint_area", "Whole picture"),
    ("img2img", "include_init_images", [], "steps", 2),
    ("extra-single-image", "upscaling_resize", "2", "upscale_by", 2.0), ("extra-single-image", "upscaling_resize", None, "upscale_by", 2.0),
    ("extra-single-image", "resize_mode", 0.0, "upscale_to_width", 0), ("extra-single-image", "resize_mode", 1.0, "upscale_to_width", 512),
    ("extra-single-image", "resize_mode", "1", "upscale_to_width", 512), ("extra-single-image", "upscaling_crop", "1", "upscale_crop", True),
    ("extra-single-image", "upscaling_crop", "no", "upscale_crop", False), ("extra-single-image", "upscaler_1", None, "upscaler_1", "None"),
]


@pytest.mark.parametrize("route, name, value, field, expected", DRAWN, ids=[f"{row[0]} {row[1]} {str(row[2])[:40]}" for row in DRAWN])
def test_values_of_another_type_are_understood(client: TestClient, door: Door, route: str, name: str, value: Any, field: str, expected: Any) -> None:
    def drawn(**more: Any) -> Any:
        body = {"image": PICTURE} if route.startswith("extra") else {**FAST, "init_images": [PICTURE]}
        answer = client.post(f"/sdapi/v1/{route}", json={**body, **more})
        assert answer.status_code == 200, answer.text
        return getattr(list(door.all.values())[-1].request, field)

    got = drawn(**{name: value})
    wanted = drawn(**{name: None}) if expected is LEFT_OUT else expected
    assert got == wanted and type(got) is type(wanted)


REFUSED: list[tuple[str, str, Any]] = [
    *[("txt2img", "prompt", value) for value in (["a"], {}, True)], *[("txt2img", "steps", value) for value in (True, [2], {}, "two", "")],
    *[("txt2img", "seed", value) for value in ([5], {}, True)], *[("txt2img", "styles", value) for value in ("ink", [None], [5], {})],
    *[("txt2img", "sampler_name", value) for value in (5, ["Euler"], {})], *[("txt2img", "tiling", value) for value in ([], {}, "maybe")],
    *[("txt2img", "override_settings", value) for value in ("x", 5, {"CLIP_stop_at_last_layers": [2]}, {"samples_format": 5})],
    ("txt2img", "alwayson_scripts", "x"), ("txt2img", "script_name", 5), ("txt2img", "script_name", ["X/Y/Z plot"]), ("txt2img", "infotext", 5),
    *[("img2img", "init_images", value) for value in (None, [], [None], PICTURE, [[PICTURE]], {}, [5], "", [""])],
    *[("img2img", "mask", value) for value in (5, [PICTURE])], ("img2img", "resize_mode", [1]), ("img2img", "inpaint_full_res", "x"),
    *[("extra-single-image", "image", value) for value in (None, 5, [], [PICTURE], {})], ("extra-single-image", "upscaling_resize", [2]),
    *[("extra-single-image", "resize_mode", value) for value in ("x", 2, True)], ("extra-single-image", "upscaler_1", 5),
    *[("extra-batch-images", "imageList", value) for value in (None, {}, [None], [5], [[]], [{"data": 5, "name": "a"}], [{"data": PICTURE, "name": None}])],
    *[("options", "CLIP_stop_at_last_layers", value) for value in ([2], "x", {})], ("options", "samples_format", 5), ("options", "sd_model_checkpoint", []),
    *[("png-info", "image", value) for value in (None, 5, [])], *[("interrogate", "image", value) for value in (None, 5, [])],
]


@pytest.mark.parametrize("route, name, value", REFUSED, ids=[f"{row[0]} {row[1]} {str(row[2])[:40]}" for row in REFUSED])
def test_what_cannot_be_understood_is_refused_by_its_own_name(client: TestClient, door: Door, route: str, name: str, value: Any) -> None:
    body = {"init_images": [PICTURE]} if route == "img2img" else {"image": PICTURE} if route == "extra-single-image" else {}
    before = len(door.all)
    answer = client.post(f"/sdapi/v1/{route}", json={**body, name: value})
    assert answer.status_code == 422, answer.text
    assert all(name in {part for place in problem["loc"] for part in str(place).split(".")} for problem in answer.json()["detail"]), answer.text
    assert len(door.all) == before


@pytest.mark.parametrize("body", ["null", "[]", "5", '"x"', "[{}]", "{", ""])
@pytest.mark.parametrize("route", ["txt2img", "img2img", "extra-single-image", "extra-batch-images", "png-info", "interrogate", "options"])
def test_a_body_that_is_no_object_is_refused(client: TestClient, route: str, body: str) -> None:
    assert client.post(f"/sdapi/v1/{route}", content=body, headers={"Content-Type": "application/json"}).status_code == 422
