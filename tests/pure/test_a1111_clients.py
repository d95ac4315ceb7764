"""Requests of AUTOMATIC1111's clients: what is taken, passed over and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from backend.http.a1111.option_table import ACTS, KEPT
from backend.request.request import Request
from tests.pure.a1111_payloads import (
    BLENDER,
    CHAT,
    DEFAULTS,
    FORGE,
    IMG2IMG,
    KRITA,
    MASK,
    PICTURE,
    SMALL,
    TXT2IMG,
    WORDS,
    encoded,
    passed_over,
)
from tests.pure.door import Door
from tests.pure.test_http import app, client, door, fields

__all__ = ["app", "client", "door"]
T, I = "/sdapi/v1/txt2img", "/sdapi/v1/img2img"       # noqa: E741


def drawn(client: TestClient, door: Door, payload: dict[str, Any], path: str = T) -> Request:
    answer = client.post(path, json=payload)
    assert answer.status_code == 200, answer.text
    return list(door.all.values())[-1].request


@pytest.mark.parametrize("path, payload", [*((T, each) for each in TXT2IMG.values()), *((I, each) for each in IMG2IMG.values())],
                         ids=[*(f"txt2img {name}" for name in TXT2IMG), *(f"img2img {name}" for name in IMG2IMG)])
def test_a_clients_request_is_drawn(client: TestClient, path: str, payload: dict[str, Any]) -> None:
    answer = client.post(path, json=payload)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["images"]) == 1


@pytest.mark.parametrize("path, payload, names", [
    (T, CHAT, {"url", "auth", "hr_additional_modules"}),
    (T, FORGE, {"distilled_cfg_scale", "hr_additional_modules", "override_settings.forge_additional_modules", "override_settings.forge_preset"}),
    (T, DEFAULTS, {"override_settings.k_sched_type", "override_settings.nosuchkey"}),
    (I, BLENDER, {"image_similarity", "sampler"}), (I, {**BLENDER, "enable_hr": True}, {"image_similarity", "sampler", "enable_hr"}),
    (T, SMALL, set()),
])
def test_what_automatic1111_never_had_is_listed(client: TestClient, path: str, payload: dict[str, Any], names: set[str]) -> None:
    assert passed_over(client.post(path, json=payload).json()) == names


REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    (T, {"script_name": "Loopback"}, ["script_name"]), (I, {**BLENDER, "script_name": "ultimate sd upscale"}, ["script_name"]),
    (T, {"override_settings": {"inpainting_mask_weight": 0.5, "token_merging_ratio_hr": 0.5}},
     ["override_settings.inpainting_mask_weight", "override_settings.token_merging_ratio_hr"]),
    (T, {"override_settings": {"token_merging_ratio": 0.5}}, ["override_settings.token_merging_ratio"]),
    (T, {"alwayson_scripts": {"ADetailer": {"args": [True, False, {"ad_model": "face.pt", "ad_use_vae": True}]}}}, ["alwayson_scripts.ADetailer.args.2.ad_use_vae"]),
    (T, {"alwayson_scripts": {"ControlNet": {"args": [{"model": "canny", "image": "%"}]}}}, ["alwayson_scripts.ControlNet.args.0.image"]),
    (T, {"alwayson_scripts": {"ControlNet": {"args": [{"model": "canny", "effective_region_mask": "%"}]}}},
     ["alwayson_scripts.ControlNet.args.0.effective_region_mask"]),
    (T, {"alwayson_scripts": {"ControlNet": {"args": [{"model": "canny", "weight": 10, "module": "depth_of_field"}]}}}, ["guides[0].module"]),
    (T, {"alwayson_scripts": {"Soft Inpainting": {"args": [True]}}}, ["alwayson_scripts.Soft Inpainting"]),
    *((T, {"alwayson_scripts": {name: {"args": args}}}, [f"alwayson_scripts.{name}.args"])
      for name in ("ControlNet", "ADetailer", "reactor") for args in (2, True, "abc")),
    (I, {**KRITA, "alwayson_scripts": {"Soft Inpainting": {"args": [True, 2]}}}, ["alwayson_scripts.Soft Inpainting.1"]),
    (I, {**BLENDER, "script_name": "Loopback", "script_args": [2, 0.5, "Linear", "CLIP"]}, ["script_args.3"]),
    (I, {**BLENDER, "script_name": "Outpainting mk2", "script_args": ["", 64, 8, ["left"], 1.5, 0.05]}, ["script_args.4"]),
    (I, {**BLENDER, "script_name": "Outpainting mk2", "script_args": ["", 64, 8, ["north"]]}, ["script_args.3"]),
    (I, {**BLENDER, "script_name": "SD upscale", "script_args": ["", 64, "None", 2, 1]}, ["script_args"]),
    (I, {**BLENDER, "init_images": ["https://example.org/a.png"]}, ["init_images"]),
    (T, {"restore_faces": True, "override_settings": {"face_restoration_model": "RestoreFormer"}}, ["face_restoration"]),
    (T, {"enable_hr": True, "firstphase_width": 64}, ["firstphase_height"]),
]


@pytest.mark.parametrize("path, payload, names", REFUSED, ids=[str(payload)[-60:] for _, payload, _ in REFUSED])
def test_what_would_change_the_picture_and_is_not_here_is_refused_by_name(
    client: TestClient, path: str, payload: dict[str, Any], names: list[str]
) -> None:
    assert fields(client.post(path, json=payload)) == names


# ---- values ----


def test_words_and_numbers_as_text_mean_what_they_say(client: TestClient, door: Door) -> None:
    request = drawn(client, door, WORDS)
    assert (request.seed, request.cfg_scale, request.tiling, request.enable_hr) == (5, 7.5, False, False)
    assert drawn(client, door, {"tiling": "on", "steps": 2.9}).steps == 2
    assert drawn(client, door, {"tiling": "on"}).tiling is True


def test_sizes_are_cut_as_automatic1111_cuts_them_and_that_is_said(client: TestClient, door: Door) -> None:
    answer = client.post(T, json={"width": 133, "height": 71}).json()
    request = list(door.all.values())[-1].request
    assert (request.width, request.height) == (128, 64) == (answer["parameters"]["width"], answer["parameters"]["height"])
    assert json.loads(answer["info"])["notes"] == ["width: 133 was cut to 128, a multiple of 8", "height: 71 was cut to 64, a multiple of 8"]


def test_styles_that_are_not_there_are_left_out_and_told(client: TestClient, door: Door) -> None:
    client.post("/easel/styles", json={"name": "ink", "prompt": "{prompt}, ink"})
    answer = client.post(T, json={"prompt": "a cat", "styles": ["None", "", "ink", "anime"]}).json()
    assert json.loads(answer["info"])["notes"] == ["styles: there is no style called anime; it was left out"]
    assert list(door.all.values())[-1].request.prompts == ("a cat, ink",)


def test_an_infotext_tells_what_of_it_easel_does_without(client: TestClient, door: Door) -> None:
    text = "x\nSteps: 2, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 64x64, NGMS all steps: True"
    notes = json.loads(client.post(T, json={**SMALL, "infotext": text}).json()["info"])["notes"]
    assert notes == ["infotext: Easel does without what else changed this picture: NGMS all steps (True)."]


@pytest.mark.parametrize("name, value, status", [
    ("sampler_name", "\ud800", 422), ("comments", {"a": "\ud800"}, 200), ("comments", {"a": [float("nan"), float("-inf")]}, 200),
    ("script_args", ["\udfff"], 200), ("infotext", "a \ud800", 200), ("cfg_scale", float("nan"), 422), ("prompt", "half \ud83d", 200),
    ("override_settings", {"emphasis": "\ud800"}, 422), ("strange \ud800", 1, 200),
])
def test_what_no_json_can_hold_is_answered_all_the_same(client: TestClient, name: str, value: object, status: int) -> None:
    answer = client.post(T, content=json.dumps({**SMALL, name: value}), headers={"Content-Type": "application/json"})
    assert answer.status_code == status and isinstance(answer.json(), dict)


def test_options_that_no_json_can_hold_come_back_as_far_as_they_can(client: TestClient) -> None:
    kept = {"font": float("nan"), "temp_dir": "half \ud800", "mine": {"deep": [float("inf"), 1.5]}}
    options = "/sdapi/v1/options"
    assert client.post(options, content=json.dumps(kept), headers={"Content-Type": "application/json"}).status_code == 200
    told = client.get(options).json()
    assert (told["font"], told["temp_dir"], told["mine"]) == (None, "half ?", {"deep": [None, 1.5]})


def test_networks_can_be_switched_off(client: TestClient, door: Door) -> None:
    prompt = "a cat <lora:x:1>, [<hypernet:y:1>:dog:0.5]"
    assert drawn(client, door, {"prompt": prompt, "disable_extra_networks": True}).prompt == "a cat , [:dog:0.5]"
    assert drawn(client, door, {"prompt": prompt}).prompt == prompt


def test_the_first_pass_has_the_size_that_older_clients_give(client: TestClient, door: Door) -> None:
    request = drawn(client, door, {"width": 256, "height": 128, "enable_hr": True, "firstphase_width": 128, "firstphase_height": 64})
    assert (request.width, request.height, request.hr_scale) == (128, 64, 2)
    assert drawn(client, door, {"width": 256, "height": 128, "firstphase_width": 128}).width == 256


@pytest.mark.parametrize("payload, expected", [
    ({"restore_faces": True}, "GFPGAN"), ({"restore_faces": True, "override_settings": {"face_restoration_model": "codeformer"}}, "CodeFormer"),
    ({"override_settings": {"face_restoration": True}}, "GFPGAN"), ({"restore_faces": False, "override_settings": {"face_restoration": True}}, "None"),
    ({"restore_faces": None}, "None"), ({"override_settings": {"face_restoration_model": "GFPGAN"}}, "None"),
    ({"restore_faces": "true", "override_settings": {"face_restoration_model": "None"}}, "None"),
])
def test_faces_are_restored_by_what_is_there_or_asked_for(client: TestClient, door: Door, payload: dict[str, Any], expected: str) -> None:
    assert drawn(client, door, payload).face_restoration == expected
    answer = client.post(T, json=payload).json()
    assert answer["parameters"]["restore_faces"] is (expected != "None") is json.loads(answer["info"])["restore_faces"]


def test_options_stand_behind_what_a_request_says(client: TestClient, door: Door) -> None:
    client.post("/sdapi/v1/options", json={"face_restoration": True, "face_restoration_model": "CodeFormer", "s_noise": 1.5,
                                           "code_former_weight": 0.25})
    request = drawn(client, door, {})
    assert (request.face_restoration, request.s_noise, request.face_restoration_weight) == ("CodeFormer", 1.5, 0.25)
    assert drawn(client, door, {"s_noise": 1.0}).s_noise == 1.0


# ---- scripts ----

UPSCALE = {**BLENDER, "width": 128, "height": 128, "script_name": "SD upscale", "batch_size": 4}
SCRIPTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({**UPSCALE, "script_args": ["", 8, "Lanczos", 1.5]}, {"sd_upscale": "Lanczos", "sd_upscale_overlap": 8, "sd_upscale_factor": 1.5, "count": 1}),
    ({**UPSCALE, "script_args": ["", 8, 2, 2]}, {"sd_upscale": "Nearest"}), ({**UPSCALE, "script_args": ["", 8, 3, 2]}, {"sd_upscale": "4x-Test"}),
    ({**UPSCALE, "script_name": "sd upscale", "script_args": []}, {"sd_upscale": "Nearest", "sd_upscale_factor": 1, "sd_upscale_overlap": 64}),
    ({**BLENDER, "script_name": "Loopback", "script_args": [3, 0.4, "Aggressive", "None"], "batch_size": 2, "n_iter": 2},
     {"loopback_loops": 3, "final_denoising_strength": 0.4, "denoising_curve": "Aggressive", "count": 6}),
    ({**BLENDER, "script_name": "Loopback"}, {"loopback_loops": 4, "final_denoising_strength": 0.5}),
    ({**BLENDER, "script_name": "Outpainting mk2", "script_args": ["", 64, 12, ["left", "up"], 1, 0.05]},
     {"outpaint_left": 64, "outpaint_up": 64, "outpaint_right": 0, "mask_blur": 12, "inpaint_area": "Whole picture"}),
    ({**BLENDER, "script_name": "outpainting MK2", "script_args": []}, {"outpaint_left": 128, "outpaint_down": 128}),
    ({**BLENDER, "script_name": "None", "script_args": [1, 2]}, {"sd_upscale": "None", "loopback_loops": 1}),
    (KRITA, {"soft_inpainting": True}),
    ({**KRITA, "alwayson_scripts": {"soft inpainting": {"args": [{"Soft inpainting": True, "Schedule bias": 1}]}}}, {"soft_inpainting": True}),
    ({**KRITA, "alwayson_scripts": {"Soft Inpainting": {"args": [False, 9]}}}, {"soft_inpainting": False}),
]


@pytest.mark.parametrize("payload, expected", SCRIPTS, ids=[f"{one['alwayson_scripts'] if 'alwayson_scripts' in one else one['script_name']}"[:40]
                                                            for one, _ in SCRIPTS])
def test_scripts_become_the_fields_that_easel_has(client: TestClient, door: Door, payload: dict[str, Any], expected: dict[str, Any]) -> None:
    request = drawn(client, door, payload, I)
    assert {name: getattr(request, name) for name in expected} == expected


def test_the_lists_of_scripts_tell_their_arguments_in_order(client: TestClient) -> None:
    plots = ["x/y/z plot", "prompt matrix", "prompts from file or textbox"]
    assert client.get("/sdapi/v1/scripts").json() == {"txt2img": plots, "img2img": ["soft inpainting", "sd upscale", "loopback", "outpainting mk2", *plots]}
    rows = {row["name"]: row for row in client.get("/sdapi/v1/script-info").json()}
    assert [one["label"] for one in rows["loopback"]["args"]][:3] == ["Loops", "Final denoising strength", "Denoising strength curve"]
    assert rows["soft inpainting"]["is_alwayson"] and set(rows["loopback"]["args"][0]) == {"label", "value", "minimum", "maximum", "step", "choices"}


# ---- pictures ----


def test_several_pictures_are_a_batch_with_seeds_that_count_up(client: TestClient, door: Door) -> None:
    two = {**BLENDER, "init_images": [PICTURE, encoded(colour="red")], "n_iter": 2, "seed": 9}
    answer = client.post(I, json=two).json()
    requests = [job.request for job in door.all.values()]
    assert [request.seed for request in requests] == [9, 10, 11, 12] and len(answer["images"]) == 4
    assert requests[0].init_image == requests[2].init_image != requests[1].init_image
    info = json.loads(answer["info"])
    assert info["all_seeds"] == [9, 10, 11, 12] and info["batch_size"] == 2 and len(info["infotexts"]) == 4
    client.post(I, json={**two, "subseed": 3, "subseed_strength": 0.5})
    varied = [job.request for job in door.all.values()][4:]
    assert [(request.seed, request.variation_seed) for request in varied] == [(9, 3), (9, 4), (9, 5), (9, 6)]


@pytest.mark.parametrize("payload, expected", [
    ({}, (4, None)), ({"mask_blur_x": 8}, (8, 4)), ({"mask_blur_x": 8, "mask_blur_y": 8}, (8, None)), ({"mask_blur_x": 0, "mask_blur_y": 6}, (0, 6)),
    ({"mask_blur": 3, "mask_blur_x": 8}, (3, None)), ({"mask_blur_y": "5"}, (4, 5)),
])
def test_a_mask_may_be_blurred_more_in_one_direction(client: TestClient, door: Door, payload: dict[str, Any], expected: tuple[int, int | None]) -> None:
    request = drawn(client, door, {**BLENDER, "mask": MASK, **payload}, I)
    assert (request.mask_blur, request.mask_blur_y) == expected


@pytest.mark.parametrize("invert, marked", [(0, {(0, 0): 0, (40, 0): 0, (0, 40): 0, (40, 40): 255}), (1, {(0, 0): 0, (40, 0): 0, (0, 40): 255, (40, 40): 0})])
def test_a_latent_mask_bounds_what_is_drawn(client: TestClient, door: Door, invert: int, marked: dict[tuple[int, int], int]) -> None:
    from PIL import Image as Pillow

    right, below = Pillow.new("L", (64, 64)), Pillow.new("L", (64, 64))
    right.paste(255, (32, 0, 64, 64))
    below.paste(255, (0, 32, 64, 64))
    payload = {**BLENDER, "mask": as_base64(right), "latent_mask": as_base64(below), "inpainting_mask_invert": invert}
    request = drawn(client, door, payload, I)
    with Pillow.open(door.uploaded(request.mask, "local")) as kept:
        assert {place: kept.convert("L").getpixel(place) for place in marked} == marked
    assert request.mask_mode == "Inpaint masked"


def as_base64(image: Any) -> str:
    import base64
    import io

    out = io.BytesIO()
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


# ---- options ----


def test_every_option_of_automatic1111_is_told(client: TestClient) -> None:
    told = client.get("/sdapi/v1/options").json()
    assert {*ACTS, *KEPT} <= set(told) and len(told) > 250
    assert (told["uni_pc_order"], told["send_seed"], told["outdir_txt2img_samples"]) == (3, True, "outputs/txt2img-images")


@pytest.mark.parametrize("payload, eta", [
    ({"sampler_name": "DDIM", "override_settings": {"eta_ddim": 0.5}}, 0.5), ({"sampler_name": "Euler a", "override_settings": {"eta_ddim": 0.5}}, None),
    ({"sampler_name": "Euler a", "override_settings": {"eta_ancestral": "0.7", "eta_ddim": 0.5}}, 0.7), ({"sampler_name": "Euler", "override_settings": {"eta_ancestral": 0.5}}, None),
    ({"sampler_name": "Euler a", "eta": 0.2, "override_settings": {"eta_ancestral": 0.5}}, 0.2), ({"sampler_name": "DDIM", "override_settings": {"eta_ddim": None}}, None),
    ({"sampler_name": "Euler", "enable_hr": True, "hr_sampler_name": "DPM++ 2S a", "override_settings": {"eta_ancestral": 0.5}}, 0.5),
    ({"sampler_name": "Euler a", "enable_hr": True, "hr_sampler_name": "DPM++ SDE", "override_settings": {"eta_ancestral": 0.5}}, 0.5),
    ({"infotext": "x\nSteps: 2, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 64x64", "sampler_name": "DDIM", "override_settings": {"eta_ddim": 1}}, 1.0),
])
def test_the_options_for_eta_count_for_their_samplers(client: TestClient, door: Door, payload: dict[str, Any], eta: float | None) -> None:
    assert drawn(client, door, {**SMALL, **payload}).eta == eta


def test_options_for_eta_are_checked_and_kept(client: TestClient, door: Door) -> None:
    both = {**SMALL, "sampler_name": "Euler a", "enable_hr": True, "hr_sampler_name": "DDIM", "override_settings": {"eta_ancestral": 0.5}}
    assert fields(client.post(T, json=both)) == ["override_settings.eta_ancestral"]
    assert fields(client.post(T, json={**SMALL, "override_settings": {"eta_ddim": 2}})) == ["override_settings.eta_ddim"]
    assert fields(client.post("/sdapi/v1/options", json={"eta_ancestral": "much"})) == ["eta_ancestral"]
    assert client.post("/sdapi/v1/options", json={"eta_ancestral": 0.5}).status_code == 200
    told = client.get("/sdapi/v1/options").json()
    assert (told["eta_ancestral"], told["eta_ddim"]) == (0.5, 0.0)
    assert drawn(client, door, {**SMALL, "sampler_name": "Euler a"}).eta == 0.5
    assert drawn(client, door, {**SMALL, "sampler_name": "Euler a", "override_settings": {"eta_ancestral": 1}}).eta is None


def test_loopback_answers_every_round_of_one_batch_and_the_last_of_several(client: TestClient, door: Door) -> None:
    loopback = {**SMALL, "init_images": [PICTURE], "seed": 5, "script_name": "loopback", "script_args": [3, 0.5, "Linear", "None"]}
    for batches, index in ((1, [0, 1, 2]), (2, [2, 5])):
        answer = client.post(I, json={**loopback, "n_iter": batches}).json()
        made = list(door.all.values())[-1].images
        assert len(answer["images"]) == len(index) and len(made) == 3 * batches
        assert json.loads(answer["info"])["infotexts"] == [made[each].infotext for each in index]
    own = client.post(I, json={**SMALL, "init_images": [PICTURE], "loopback_loops": 3, "n_iter": 2}).json()
    assert len(own["images"]) == 6


def test_options_that_mean_nothing_here_are_kept_and_given_back(client: TestClient, door: Door) -> None:
    chosen = {"send_seed": False, "some_extension": {"a": [1]}, "uni_pc_order": "3", "return_grid": False}
    assert client.post("/sdapi/v1/options", json=chosen).status_code == 200
    told = client.get("/sdapi/v1/options").json()
    assert (told["send_seed"], told["some_extension"], told["return_grid"]) == (False, {"a": [1]}, False)
    assert client.post("/sdapi/v1/options", json={"huge": "x" * 1_000_001}).status_code == 422
    assert "huge" not in client.get("/sdapi/v1/options").json()


def test_overrides_stay_where_a_client_says_so(client: TestClient, door: Door) -> None:
    sent = {"override_settings": {"CLIP_stop_at_last_layers": 3, "samples_format": "webp"}}
    assert drawn(client, door, sent).clip_skip == 3 and drawn(client, door, {}).clip_skip == 1
    drawn(client, door, {**sent, "override_settings_restore_afterwards": "False"})
    assert (drawn(client, door, {}).clip_skip, drawn(client, door, {}).image_format) == (3, "webp")
    assert client.get("/sdapi/v1/options").json()["samples_format"] == "webp" and door.chosen == {}


def test_the_upscaler_none_resizes_as_automatic1111s_does(client: TestClient, door: Door) -> None:
    assert drawn(client, door, {**FORGE, "hr_upscaler": "None"}).hr_upscaler == "Lanczos"


def test_options_sent_back_whole_are_no_choice(client: TestClient, door: Door) -> None:
    client.post("/sdapi/v1/options", json={**client.get("/sdapi/v1/options").json(), "CLIP_stop_at_last_layers": 2})
    assert door.chosen.get("local", {}) == {}
    assert client.get("/sdapi/v1/options").json()["CLIP_stop_at_last_layers"] == 2
