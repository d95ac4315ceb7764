"""Units of sd-webui-controlnet as clients send them, and what they are told of models and preprocessors."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend.catalog.model_file import ModelFile
from backend.errors import InvalidRequest
from backend.facade.guides import UserGuides
from backend.http.a1111.controlnet_routes import control_types
from backend.http.a1111.controlnet_units import guides
from backend.http.a1111.controlnet_units import notes as unit_notes
from backend.http.a1111.detailer import detailers
from backend.http.a1111.face_swap import ON_CPU, QUIET, face_swap, notes
from backend.image import upload_decoding
from backend.image.infotext.reading import read as read_text
from backend.image.infotext.unsupported import unmet_sentence
from backend.image.infotext.writing import write
from backend.plots.axis_table import all_axes
from backend.request.detailer import own_sampling
from backend.request.guide_modules import MODULES
from backend.request.output_size import in_cells, rounding
from backend.request.request import FIELDS, Request
from backend.store.face_folders import pictures_in
from tests.pure.a1111_payloads import PICTURE
from tests.pure.door import Bound
from tests.pure.test_http import app, client, door

__all__ = ["app", "client", "door"]
STORED, MASK = "cd" * 32, "ef" * 32


def read(args: Any, name: str = "ControlNet") -> list[Any]:
    """The units as a request holds them."""
    values, problems = guides({name: {"args": args}}, SimpleNamespace(upload=lambda data, mask=False: SimpleNamespace(id=MASK if mask else STORED)))
    assert problems == []
    return list(Request.parse(values).guides)


@pytest.mark.parametrize("picture", [
    {"image": PICTURE}, {"input_image": PICTURE}, {"image": {"image": PICTURE, "mask": PICTURE}}, {"image": [PICTURE, PICTURE]},
    {"input_image": [{"image": PICTURE, "mask": None}]},
])
def test_pictures_come_in_every_form(picture: dict[str, Any]) -> None:
    (unit,) = read([picture | {"model": "m"}])
    assert unit.enabled and unit.image == STORED and unit.model == "m"


@pytest.mark.parametrize("sent, expected", [
    ({"control_mode": 2, "resize_mode": 0, "hr_option": 1}, ("ControlNet is more important", "Just Resize", "Low res only")),
    ({"control_mode": "My prompt is more important", "resize_mode": "Envelope (Outer Fit)", "hr_option": "High res only"},
     ("My prompt is more important", "Resize and Fill", "High res only")),
    ({}, ("Balanced", "Crop and Resize", "Both")),
])
def test_modes_come_as_words_and_as_numbers(sent: dict[str, Any], expected: tuple[str, ...]) -> None:
    (unit,) = read([{"model": "m", **sent}])
    assert (unit.control_mode, unit.resize_mode, unit.hires) == expected


@pytest.mark.parametrize("sent, expected", [
    ({"control_mode": 1.0, "resize_mode": "OUTER_FIT", "hr_option": "HIGH_RES_ONLY"}, ("My prompt is more important", "Resize and Fill", "High res only")),
    ({"control_mode": "ControlMode.CONTROL", "resize_mode": 2.0, "hr_option": "HiResFixOption.BOTH"}, ("ControlNet is more important", "Resize and Fill", "Both")),
])
def test_modes_come_as_pythons_enums_and_as_whole_numbers_with_a_point(sent: dict[str, Any], expected: tuple[str, ...]) -> None:
    (unit,) = read([{"model": "m", **sent}])
    assert (unit.control_mode, unit.resize_mode, unit.hires) == expected


@pytest.mark.parametrize("args, on", [
    ([None, {"model": "m"}], [False, True]), ([{"model": "m", "enabled": None}], [True]), ([True, {"model": "m", "enabled": "off"}], None),
])
def test_null_switches_nothing_off(args: list[Any], on: list[bool] | None) -> None:
    values, _ = guides({"controlnet": {"args": args}}, SimpleNamespace())
    assert ([unit.enabled for unit in Request.parse(values).guides] or None) == on


def test_units_that_are_off_stand_before_those_of_an_infotext() -> None:
    off = {"controlnet": {"args": [{"enabled": False}]}, "ADetailer": {"args": [False, False, {"ad_model": "a"}]}}
    assert guides(off, SimpleNamespace()) == ({"guides": []}, []) and detailers(off, img2img=True) == ({"detailers": []}, [])
    assert detailers({"ADetailer": {"args": [True, True, {"ad_model": "a", "ad_tab_enable": False}]}}, img2img=True) == ({"detailers": []}, []), "img2img is not left out for nothing"
    unasked = {"controlnet": {"args": []}, "ADetailer": {"args": []}}
    assert guides(unasked, SimpleNamespace()) == ({}, []) == detailers(unasked, img2img=False)


def test_a_switch_that_is_neither_on_nor_off_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read([{"model": "m", "enabled": "perhaps"}])
    assert [problem.field for problem in caught.value.problems] == ["guides[0].enabled"]


@pytest.mark.parametrize("name", ["controlnet", "ADetailer", "reactor"])
def test_a_script_whose_arguments_stand_elsewhere_is_refused(client: TestClient, name: str) -> None:
    sent = {name: {"model": "m", "ad_model": "Faces", "enabled": True}}
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a", "alwayson_scripts": sent})
    assert answer.status_code == 422 and f"alwayson_scripts.{name}.args: is missing" in answer.text
    assert client.post("/sdapi/v1/txt2img", json={"prompt": "a", "alwayson_scripts": {name: {}}}).status_code == 200


def test_empty_pictures_are_none_and_a_list_of_texts_is_a_picture_with_its_mask() -> None:
    assert [read([{"model": "m", "image": sent}])[0].image for sent in ({"image": None, "mask": None}, [{"image": None}], [None], [""], {})] == [""] * 5
    (unit,) = read([{"model": "m", "module": "canny", "image": [{"image": PICTURE}, {"image": None}]}])
    assert (unit.image, unit.more_images) == (STORED, ())
    _, problems = guides({"controlnet": {"args": [{"model": "m", "image": [PICTURE] * 3}]}}, SimpleNamespace())
    assert [problem.field for problem in problems] == ["alwayson_scripts.controlnet.args.0.image"]


def test_usual_numbers_are_asked_for_in_text_too() -> None:
    (unit,) = read([{"model": "m", "processor_res": "-1", "threshold_a": "-5", "weight": "0.5"}])
    assert (unit.processor_res, unit.threshold_a, unit.weight) == (512, -1, 0.5)


@pytest.mark.parametrize("unit, only_masked, lacking", [
    ({"inpaint_crop_input_image": True}, True, []), ({"inpaint_crop_input_image": False}, False, []), ({"inpaint_crop_input_image": False}, True, ["inpaint_crop_input_image"]),
    ({"input_mode": "simple"}, False, []), ({"input_mode": "InputMode.SIMPLE"}, False, []), ({"input_mode": "batch", "batch_image_dir": "/pictures"}, False, ["input_mode"]),
    ({"advanced_weighting": [1] * 13, "module": "canny"}, False, ["advanced_weighting"]), ({"advanced_weighting": [1] * 13, "module": "none"}, False, ["advanced_weighting"]),
    ({"advanced_weighting": ["0.5"] * 16, "module": "ip-adapter-auto"}, False, []), ({"advanced_weighting": [1] * 16, "module": "none", "model": "ip"}, False, []),
])
def test_what_would_be_drawn_otherwise_is_said(unit: dict[str, Any], only_masked: bool, lacking: list[str]) -> None:
    door = SimpleNamespace(guides=SimpleNamespace(is_prompt=lambda name: name == "ip"))
    values, problems = guides({"controlnet": {"args": [{"model": "m"} | unit]}}, door, only_masked=only_masked)
    assert [problem.field for problem in problems] == [f"alwayson_scripts.controlnet.args.0.{name}" for name in lacking]
    assert ("block_weights" in values["guides"][0]) == ("advanced_weighting" in unit and not lacking), "nor told of where it is passed over"


def test_only_the_masked_part_is_drawn_where_img2img_says_nothing_else(client: TestClient) -> None:
    sent = {"init_images": [PICTURE], "mask": PICTURE, "alwayson_scripts": {"controlnet": {"args": [{"model": "m", "inpaint_crop_input_image": False}]}}}
    assert "inpaint_crop_input_image" in client.post("/sdapi/v1/img2img", json=sent).text
    assert client.post("/sdapi/v1/img2img", json=sent | {"inpaint_full_res": False}).status_code == 200


def test_masks_and_thresholds_that_are_not_used_are_told() -> None:
    marked = base64.b64encode(upload_decoding.png(Image.linear_gradient("L"))).decode()
    empty = base64.b64encode(upload_decoding.png(Image.new("L", (8, 8)))).decode()

    def told(**unit: Any) -> list[str]:
        return unit_notes({"controlnet": {"args": [{"model": "m", "image": PICTURE} | unit]}})

    assert told() == told(mask=empty) == told(mask=marked, module="inpaint_only") == told(enabled=False, mask=marked) == told(module="canny", threshold_a="64") == []
    assert all("the mask was not used" in told(**sent)[0] for sent in ({"mask": marked}, {"module": "canny", "image": {"image": PICTURE, "mask": marked}}))
    assert told(module="reference_only", threshold_a=64, threshold_b=64) == ["alwayson_scripts.controlnet.args.0: threshold_a 64 was not used, but 0.5: reference_only takes 0 to 1"]


def test_thresholds_that_a_slider_does_not_reach_are_the_usual_ones() -> None:
    def levels(module: str, a: float, b: float = -1) -> tuple[float, float]:
        return MODULES[module].levels({"threshold_a": a, "threshold_b": b})

    assert levels("reference_only", 64) == (0.5, -1) and levels("reference_only", 1) == (1, -1), "64 is what webuiapi sends of itself"
    assert levels("tile_resample", 64, 64) == (1, 64) and levels("canny", 0, 30) == (100, 30) and levels("threshold", 0) == (0, -1)


def test_several_pictures_are_for_what_takes_them() -> None:
    upload = SimpleNamespace(upload=lambda data, mask=False: SimpleNamespace(id=STORED))
    _, problems = guides({"controlnet": {"args": [{"module": "canny", "model": "m", "image": [{"image": PICTURE}] * 2}]}}, upload)
    assert [(problem.field, problem.message) for problem in problems] == [("alwayson_scripts.controlnet.args.0.image", "must be one picture for this preprocessor")]


@pytest.mark.parametrize("sent, lacking", [
    ({"batch_images": ["a"]}, "batch_images"), ({"ipadapter_input": ["x"]}, "ipadapter_input"), ({"sharpness": 3}, "sharpness"),
    ({"batch_images": "", "ipadapter_input": None, "pulid_mode": "Fidelity", "is_ui": False, "save_detected_map": True, "loopback": False}, None),
    ({"enabled": False, "sharpness": 3}, None),
])
def test_what_units_have_and_easel_lacks_is_said_where_it_stands(sent: dict[str, Any], lacking: str | None) -> None:
    _, problems = guides({"ControlNet": {"args": [{"model": "m", **sent}]}}, SimpleNamespace())
    assert [problem.field for problem in problems] == ([f"alwayson_scripts.ControlNet.args.0.{lacking}"] if lacking else [])


def test_words_of_the_first_versions() -> None:
    (unit,) = read([{"model": "m", "lowvram": True, "guidance": 0.6, "guess_mode": True}])
    assert (unit.low_vram, unit.end, unit.control_mode) == (True, 0.6, "ControlNet is more important")


def test_a_whole_unit_and_those_that_are_off() -> None:
    full = {"enabled": True, "module": "invert (from white bg & black line)", "model": "control_v11p_sd15_lineart [43d4be0d]", "weight": 0.75, "image": PICTURE,
            "guidance_start": 0.1, "guidance_end": 0.8, "processor_res": 768, "threshold_a": -1, "threshold_b": 64.0, "pixel_perfect": True, "low_vram": False,
            "save_detected_map": True, "effective_region_mask": None}
    off, unit, last = read([True, {"enabled": False, "image": PICTURE, "model": "x"}, full, {"model": "y", "processor_res": -1}], "controlnet")
    assert not off.enabled and off.image == "" and last.processor_res == 512
    assert (unit.module, unit.model, unit.weight, unit.start, unit.end) == ("invert", "control_v11p_sd15_lineart [43d4be0d]", 0.75, 0.1, 0.8)
    assert (unit.processor_res, unit.threshold_a, unit.threshold_b, unit.pixel_perfect) == (768, -1, 64, True)
    assert read({"0": {"model": "m"}})[0].model == "m"
    many = read([{"model": "m", "enabled": number % 40 == 0} for number in range(100)])
    assert [number for number, each in enumerate(many) if each.enabled] == [0, 40, 80], "those that are off are not counted"
    assert guides({"ControlNet": {"args": []}}, SimpleNamespace()) == ({}, []) == guides(None, SimpleNamespace())


@pytest.mark.parametrize("args, told", [
    ([{"model": "m"}] * 100, "has 100 entries that are on; there are at most 10"), ([{}, {"model": "m", "weight": -1}], "guides[1].weight"), ([{"model": "m", "weight": 10}], "guides[0].weight"),
    ([{"model": "m", "guidance_start": 1.5}], "guides[0].start"), ([{"model": "m", "image": "no picture"}], "controlnet.args.0.image"), (["words"], "controlnet.args.0"),
])
def test_bad_units_are_refused_where_they_stand(client: TestClient, args: list[Any], told: str) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "a", "alwayson_scripts": {"controlnet": {"args": args}}})
    assert answer.status_code == 422 and told in answer.text, answer.text


def test_lists_are_those_that_clients_ask_for(client: TestClient) -> None:
    assert client.get("/controlnet/version").json() == {"version": 3}
    told = client.get("/controlnet/module_list").json()
    assert told["module_list"] == list(MODULES) and list(told["module_detail"]) == list(MODULES)
    assert [slider["name"] for slider in told["module_detail"]["canny"]["sliders"]] == ["Resolution", "Low threshold", "High threshold"]
    assert isinstance(client.get("/controlnet/model_list").json()["model_list"], list)


@pytest.mark.parametrize("sent, mask", [
    ({"effective_region_mask": PICTURE}, MASK), ({"image": {"image": PICTURE, "mask": PICTURE}}, ""),
    ({"module": "inpaint_only", "image": {"image": PICTURE, "mask": PICTURE}}, MASK), ({"module": "inpaint", "mask_image": PICTURE}, MASK),
    ({"module": "inpaint_global_harmonious", "image": [PICTURE, PICTURE]}, MASK), ({"module": "inpaint_only", "image": PICTURE}, ""),
])
def test_masks_are_regions_or_for_inpainting_what_is_missing(sent: dict[str, Any], mask: str) -> None:
    (unit,) = read([{"model": "m", "image": PICTURE} | sent])
    assert (unit.image, unit.mask) == (STORED, mask)
    assert read({"model": "m", "image": PICTURE})[0].image == STORED, "one unit without a list"


def test_the_type_of_instant_id_names_its_models_alone() -> None:
    names = {"ip_adapter": ["ip-adapter-faceid_sd15"], "instant_id": ["ip-adapter_instant_id_sdxl"], "controlnet": ["canny", "control_instant_id_sdxl"]}
    files = {kind: [ModelFile(kind, name, f"/{name}.safetensors") for name in some] for kind, some in names.items()}
    types = control_types(SimpleNamespace(model_files=lambda kind: files.get(kind, [])))["control_types"]
    told = [name.partition(" ")[0] for name in types["Instant-ID"]["model_list"]]
    assert told == ["None", "ip-adapter_instant_id_sdxl", "control_instant_id_sdxl"]
    assert types["Instant-ID"]["default_model"].startswith("ip-adapter_instant_id_sdxl")


def test_types_settings_and_detect(client: TestClient, door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/controlnet/settings").json() == {"control_net_unit_count": 10}
    types = client.get("/controlnet/control_types").json()["control_types"]
    assert types["Canny"]["default_option"] == "canny" and types["Reference"]["module_list"][1] == "reference_only" and "All" in types
    assert all(set(told["module_list"]) <= set(MODULES) and told["model_list"][0] == "None" for told in types.values())
    refused = client.post("/controlnet/detect", json={"controlnet_module": "canny", "controlnet_input_images": []})
    assert refused.status_code == 422 and "controlnet_input_images" in refused.text
    unknown = client.post("/controlnet/detect", json={"controlnet_module": "nothing", "controlnet_input_images": [PICTURE]})
    assert [problem["field"] for problem in unknown.json()["problems"]] == ["controlnet_module"]
    coarse = client.post("/controlnet/detect", json={"controlnet_module": "canny", "controlnet_input_images": [PICTURE], "controlnet_processor_res": 9})
    assert [problem["field"] for problem in coarse.json()["problems"]] == ["controlnet_processor_res"]
    made = client.post("/controlnet/detect", json={"controlnet_module": "canny", "controlnet_input_images": [PICTURE], "controlnet_processor_res": 64})
    assert made.json()["info"] == "Success" and len(made.json()["images"]) == 1
    for name, value in (("processor_res", "lots"), ("threshold_a", [1]), ("threshold_b", "x"), ("processor_res", "9")):
        wrong = client.post("/controlnet/detect", json={"controlnet_module": "canny", "controlnet_input_images": [PICTURE], f"controlnet_{name}": value})
        assert [problem["field"] for problem in wrong.json()["problems"]] == [f"controlnet_{name}"], "not passed over"
    marked = {"controlnet_input_images": [PICTURE], "controlnet_masks": [PICTURE]}
    told = {module: client.post("/controlnet/detect", json=marked | {"controlnet_module": module}).status_code for module in ("canny", "inpaint_only", "inpaint")}
    assert told == {"canny": 200, "inpaint_only": 422, "inpaint": 422}, "a hint without its hole is none"
    loose = {"controlnet_module": None, "controlnet_processor_res": "128", "controlnet_threshold_a": "-1", "controlnet_threshold_b": None}
    assert client.post("/controlnet/detect", json=loose | {"controlnet_input_images": [PICTURE]}).status_code == 200
    theirs = client.post("/controlnet/detect", json={"controlnet_module": "canny", "controlnet_images": [PICTURE], "controlnet_processor_res": 64})
    assert theirs.json()["images"] == made.json()["images"], "as webuiapi sends it"


@pytest.mark.parametrize("module", ["reference_only", "ip-adapter-auto", "t2ia_style_clipvision"])
def test_what_shows_the_model_the_picture_itself_has_no_preview(module: str) -> None:
    guides_of = UserGuides(SimpleNamespace(), SimpleNamespace(id="me"))
    with pytest.raises(InvalidRequest, match="makes no picture that could be shown") as caught:
        guides_of.preview({"module": module, "image": STORED})
    assert caught.value.problems[0].field == "guides[0].module"


def test_detected_poses_are_told_as_openpose_tells_them(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    person = {"body": [[0.5, 0.25], None], "left_hand": [[0, 1]]}
    monkeypatch.setattr(Bound, "_preview", lambda self, unit: SimpleNamespace(id=unit["image"], width=200, height=100))
    monkeypatch.setattr(Bound, "_points", lambda self, unit: json.dumps([person]))
    answer = client.post("/controlnet/detect", json={"controlnet_module": "openpose", "controlnet_input_images": [PICTURE]}).json()
    (found,) = answer["poses"]
    assert (found["canvas_width"], found["canvas_height"], len(answer["images"])) == (200, 100, 1)
    assert found["people"] == [{"pose_keypoints_2d": [100, 25, 1, 0, 0, 0], "hand_left_keypoints_2d": [0, 100, 1], "hand_right_keypoints_2d": None,
                                "face_keypoints_2d": None}]


def test_answers_carry_what_the_units_models_saw(client: TestClient) -> None:
    def drawn(**unit: Any) -> int:
        args = [{"model": "m", "image": PICTURE, "module": "canny"} | unit]
        return len(client.post("/sdapi/v1/txt2img", json={"prompt": "a", "alwayson_scripts": {"controlnet": {"args": args}}}).json()["images"])

    assert [drawn(), drawn(save_detected_map=False), drawn(module="none"), drawn(enabled=False)] == [2, 1, 1, 1]


def test_weights_by_block_and_several_pictures_of_one_unit() -> None:
    (unit,) = read([{"model": "m", "module": "ip-adapter_clip_h", "advanced_weighting": [1, 0.5], "image": [{"image": PICTURE}, {"image": PICTURE}]}])
    assert unit.block_weights == "1,0.5" and unit.image == STORED and unit.more_images == (STORED,) and unit.module == "ip-adapter-auto"


def swapper() -> Any:
    """A door for pictures; no folder is allowed."""
    return SimpleNamespace(upload=lambda data: SimpleNamespace(id=STORED), faces=SimpleNamespace(in_folder=lambda named: pictures_in(named, ())))


def swap(args: Any) -> tuple[dict[str, Any], list[Any]]:
    return face_swap({"ReActor": {"args": args}}, swapper())


def test_reactors_arguments_are_a_face_swap() -> None:
    args = [PICTURE, True, "0", "0,1", "inswapper_128.onnx", "CodeFormer", 1, True, "None", 1, 1, False, True, 1, 0, 2, False, 0.8]
    values, problems = swap(args)
    request = Request.parse(values)
    assert not problems and request.face_swap == STORED and request.face_swap_targets == "0,1" and request.face_swap_gender == "Male"
    assert (request.face_restoration, request.face_restoration_weight, request.face_swap_order) == ("CodeFormer", 0.8, "Left to right")
    assert swap([PICTURE, False]) == ({}, [])
    long = [*args, True, False, "CPU", False, 0, None, None, None, False, False, 0.5, 0]
    assert swap(long)[1] == [] and swap([*args[:12], False])[0] == {}, "nothing is swapped where neither picture is"
    assert Request.parse(swap([PICTURE, True, None, "1,,x,2,"])[0]).face_swap_targets == "1,2"
    crossed = Request.parse(swap([*args[:2], "1, 0", *args[3:]])[0])
    assert (crossed.face_swap_source, crossed.face_swap_sources, crossed.face_swap_targets) == (1, "1,0", "0,1")
    wrong = {0: "x", 2: "0,1,2", 4: "C:\\models\\reswapper_128.onnx", 5: "GPEN", 6: 2, 17: "x", 22: 1, 28: 0, 29: 99}
    for number, value in wrong.items():
        expected = 23 if number == 22 else number           # a face model that has no name
        assert [problem.field for problem in swap([*long[:number], value, *long[number + 1:]])[1]] == [f"alwayson_scripts.ReActor.args.{expected}"]
    assert [problem.field for problem in swap([*long, "tab_single", "what is this"])[1]] == ["alwayson_scripts.ReActor.args.31"]


WEBUIAPI = [PICTURE, True, "0", "0", "inswapper_128.onnx", "CodeFormer", 1, True, "R-ESRGAN 4x+", 2, 1, False, True, 1, 0, 0, False, 0.5, True, False, "CUDA",
            True, 0, None]
"""What webuiapi's ReActor sends of itself."""
README = [PICTURE, True, "0", "0", r"C:\stable-diffusion-webui\models\insightface\inswapper_128.onnx", "CodeFormer", 1, True, "4x_NMKD", 1.5, 1, False, True, 1, 0, 0, False,
          0.8, False, False, "CUDA", True, 1, "elena.safetensors", r"C:\PATH_TO_FACES_IMAGES", None, True, True, 0.6, 2]
"""ReActor's own example for its API."""


@pytest.mark.parametrize("picture", [None, ""])
def test_a_face_model_needs_no_picture_and_without_either_that_is_said(picture: str | None) -> None:
    values, problems = swap([picture, *README[1:7], True, "None", 1, 1, *README[11:]])
    assert not problems and values["face_swap_model"] == "elena.safetensors"
    _, problems = swap([picture, True])
    assert [(problem.field, problem.message) for problem in problems] == [("alwayson_scripts.ReActor.args.0", "is missing: it shows the face that is put in")]
    assert swap([picture, False]) == swap([picture]) == ({}, [])


@pytest.mark.parametrize("args, models", [
    ([None, {"ad_model": "a"}], ["a"]), ({"ad_model": "a"}, ["a"]), ({"0": {"ad_model": "a"}, "1": {"ad_model": "b"}}, ["a", "b"]),
    ([{"ad_model": "a", "ad_tab_enable": None}, {"ad_model": "b", "ad_tab_enable": False}], ["a"]),
])
def test_detailers_come_in_every_form(args: Any, models: list[str]) -> None:
    values, problems = detailers({"ADetailer": {"args": args}}, img2img=False)
    assert not problems and [unit["model"] for unit in values["detailers"]] == models


@pytest.mark.parametrize("args, field", [([[{"ad_model": "a"}]], "0"), ([True, "what", {"ad_model": "a"}], "1"), ([{"ad_model": "a", "ad_tab_enable": "perhaps"}], "0.ad_tab_enable")])
def test_what_is_no_detailer_is_refused(args: list[Any], field: str) -> None:
    _, problems = detailers({"ADetailer": {"args": args}}, img2img=False)
    assert [problem.field for problem in problems] == [f"alwayson_scripts.ADetailer.args.{field}"]


def test_what_clients_of_reactor_send_becomes_fields() -> None:
    values, problems = swap(WEBUIAPI)
    request = Request.parse(values)
    assert not problems and request.face_swap == STORED and request.face_swap_mask and not request.face_swap_keep_original
    assert (request.face_swap_upscaler, request.face_swap_upscale_by, request.face_swap_upscaler_visibility, request.face_swap_upscale_first) == ("R-ESRGAN 4x+", 2, 1, False)
    assert (request.face_restoration, request.face_restoration_visibility, request.face_swap_count_all, request.face_swap_threshold) == ("CodeFormer", 1, True, 0.5)
    assert notes({"reactor": {"args": WEBUIAPI}}) == [ON_CPU] and notes({"reactor": {"args": [*WEBUIAPI[:13], 2, *WEBUIAPI[14:20], "CPU"]}}) == [QUIET]
    values, problems = swap(README)
    request = Request.parse(values)
    assert not problems and not request.face_swap and request.face_swap_model == "elena.safetensors" and request.face_swap_upscale_always
    assert (request.face_swap_threshold, request.face_swap_most, request.face_restoration_weight, request.face_swap_upscale_by) == (0.6, 2, 0.8, 1.5)


def test_of_several_faces_one_by_the_seed_or_each() -> None:
    several = [*README[:22], 0, None, None, [PICTURE, PICTURE], True, False, 0.5, 0, "tab_multiple"]
    assert Request.parse(swap(several)[0]).count == 1 and Request.parse(swap([*several[:26], False, *several[27:]])[0]).count == 2
    assert Request.parse(swap([*several[:16], True, *several[17:26], False, *several[27:]])[0]).count == 3, "and what was drawn"
    folder = [*README[:22], 2, *README[23:]]
    assert [problem.field for problem in swap(folder)[1]] == ["alwayson_scripts.ReActor.args.24"]


def test_the_picture_to_start_from_gets_other_faces_in_img2img_alone() -> None:
    args = [*WEBUIAPI[:11], True, True, *WEBUIAPI[13:]]
    scripts = {"reactor": {"args": args}}
    assert [face_swap(scripts, swapper(), img2img=of)[0]["face_swap_place"] for of in (False, True)] == ["Finished picture", "Both"]
    args[12] = False
    assert [face_swap(scripts, swapper(), img2img=of)[0].get("face_swap_place") for of in (False, True)] == [None, "Picture to start from"]


FULL_DETAIL = {"ad_model": "face_yolov8n.pt", "ad_model_classes": "", "ad_tab_enable": True, "ad_prompt": "", "ad_negative_prompt": "blurry",
               "ad_confidence": 0.5, "ad_mask_filter_method": "Area", "ad_mask_k": 1, "ad_mask_min_ratio": 0.0, "ad_mask_max_ratio": 1.0,
               "ad_dilate_erode": 8, "ad_x_offset": 0, "ad_y_offset": 0, "ad_mask_merge_invert": "None", "ad_mask_blur": 6, "ad_denoising_strength": 0.35,
               "ad_inpaint_only_masked": True, "ad_inpaint_only_masked_padding": 16, "ad_use_inpaint_width_height": False, "ad_inpaint_width": 512,
               "ad_use_steps": False, "ad_steps": 28, "ad_use_cfg_scale": False, "ad_cfg_scale": 7.0, "ad_use_sampler": False, "ad_sampler": "DPM++ 2M Karras",
               "ad_restore_face": False, "ad_controlnet_model": "None", "ad_controlnet_module": "None", "ad_controlnet_weight": 1.0, "is_api": True}


@pytest.mark.parametrize("args, names", [
    ([True, False, FULL_DETAIL, {"ad_model": "None"}], ["face_yolov8n.pt"]), ([FULL_DETAIL, {"ad_model": "hand"}], ["face_yolov8n.pt", "hand"]),
    ([False, False, FULL_DETAIL], []), ([True, False, {"ad_model": "None"}], []), ([True, FULL_DETAIL | {"ad_tab_enable": False}, {"ad_model": "hand"}], ["hand"]),
])
def test_units_of_adetailer(args: list[Any], names: list[str]) -> None:
    values, problems = detailers({"ADetailer": {"args": args}}, img2img=False)
    request = Request.parse(values)
    assert problems == [] and [unit.model for unit in request.detailers] == names and all(unit.enabled for unit in request.detailers)
    if names[:1] == ["face_yolov8n.pt"]:
        unit = request.detailers[0]
        assert (unit.confidence, unit.most, unit.grow, unit.mask_blur, unit.denoising_strength, unit.padding) == (0.5, 1, 8, 6, 0.35, 16)
        assert (unit.prompt, unit.negative_prompt) == ("", "blurry")


def test_what_adetailer_has_and_easel_lacks_is_said_where_it_stands() -> None:
    for more, key in (({"ad_use_checkpoint": True}, "ad_use_checkpoint"), ({"ad_controlnet_model": "tile"}, "ad_controlnet_model"), ({"ad_new": 1}, "ad_new")):
        _, problems = detailers({"adetailer": {"args": [True, False, {"ad_model": "face"} | more]}}, img2img=True)
        assert [problem.field for problem in problems] == [f"alwayson_scripts.adetailer.args.2.{key}"]
    older = {"ad_model": "a", "ad_tap_enable": True, "ad_mask_k_largest": 2, "ad_new": False, "ad_newer": ""}
    values, problems = detailers({"ADetailer": {"args": [older, older | {"ad_tap_enable": False}]}}, img2img=False)
    assert problems == [] and [unit.most for unit in Request.parse(values).detailers] == [2], "the names of earlier versions"
    assert detailers({"ADetailer": {"args": [{"ad_model": "a"}] * 3}}, img2img=False)[1][0].message.startswith("has 3 units")
    assert detailers({"ADetailer": {"args": [True, True, {"ad_model": "a"}]}}, img2img=True)[0]["denoising_strength"] == 0


def test_all_of_adetailers_masks_and_samplings_can_be_asked_for() -> None:
    full = {"ad_model": "a", "ad_mask_k": 2, "ad_mask_filter_method": "Confidence", "ad_mask_min_ratio": 0.1, "ad_mask_max_ratio": 0.5, "ad_x_offset": 4, "ad_y_offset": -8,
            "ad_inpaint_only_masked": False, "ad_use_noise_multiplier": True, "ad_noise_multiplier": 0.9, "ad_use_clip_skip": True, "ad_clip_skip": 2}
    values, problems = detailers({"ADetailer": {"args": [full, {"ad_model": "b", "ad_noise_multiplier": 0.9, "ad_clip_skip": 2}]}}, img2img=False)
    request = Request.parse(values | {"seed": 1})
    first, second = request.detailers
    assert problems == [] and (first.most_by, first.least_share, first.most_share, first.x_offset, first.y_offset, first.whole) == ("Confidence", 0.1, 0.5, 4, -8, True)
    assert own_sampling(first) == {"initial_noise_multiplier": 0.9, "clip_skip": 2} and own_sampling(second) == {} and not second.whole
    text = write(request, {})
    assert "ADetailer method to decide top k masks: Confidence, ADetailer mask min ratio: 0.1" in text and "ADetailer use separate CLIP skip: True, ADetailer CLIP skip: 2" in text
    assert read_text(text).values["detailers"] == request.detailers and not unmet_sentence(text)
    for more, key in (({"ad_restore_face": True}, "ad_restore_face"), ({"ad_use_vae": True}, "ad_use_vae")):
        assert [problem.field for problem in detailers({"ADetailer": {"args": [{"ad_model": "a"} | more]}}, img2img=False)[1]] == [f"alwayson_scripts.ADetailer.args.0.{key}"]


def test_merged_masks_and_own_sizes_come_from_adetailers_arguments_and_texts() -> None:
    own = {"ad_mask_merge_invert": "Merge and Invert", "ad_use_inpaint_width_height": True, "ad_inpaint_width": 768, "ad_inpaint_height": 256}
    off = {"ad_use_inpaint_width_height": False, "ad_inpaint_width": 768, "ad_inpaint_height": 256}
    values, problems = detailers({"ADetailer": {"args": [{"ad_model": "a"} | own, {"ad_model": "b"} | off]}}, img2img=False)
    request = Request.parse(values | {"seed": 1})
    assert problems == [] and [(unit.merge, unit.width, unit.height) for unit in request.detailers] == [("Merge and Invert", 768, 256), ("None", 0, 0)]
    (usual,) = Request.parse(detailers({"ADetailer": {"args": [{"ad_model": "a", "ad_use_inpaint_width_height": True}]}}, img2img=False)[0]).detailers
    assert (usual.width, usual.height) == (512, 512)
    text = write(request, {})
    assert ("ADetailer mask merge invert: Merge and Invert, ADetailer use inpaint width height: True, ADetailer inpaint width: 768, "
            "ADetailer inpaint height: 256") in text
    assert read_text(text).values["detailers"] == request.detailers and not unmet_sentence(text)


@pytest.mark.parametrize("name, side", [("width", 8), ("height", 63), ("width", 4096), ("width", -8)])
def test_an_own_size_that_cannot_be_drawn_is_told_at_its_field(name: str, side: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Request.parse({"detailers": [{"enabled": True}, {"enabled": True, name: side}]})
    assert [problem.field for problem in caught.value.problems] == [f"detailers[1].{name}"]


def test_own_sizes_become_whole_cells_and_are_told() -> None:
    asked = Request.parse({"detailers": [{"enabled": True, "width": 100}, {"enabled": True}]})
    drawn = in_cells(asked, 8)
    assert [(unit.width, unit.height) for unit in drawn.detailers] == [(96, 0), (0, 0)] and in_cells(drawn, 8) is drawn
    assert rounding(asked, drawn) == ("Width: 96 in place of 100; the model draws in whole cells.",)


def test_detailers_in_a_pictures_text_have_adetailers_keys() -> None:
    request = Request.parse({"prompt": "x", "seed": 1, "detailers": [{"enabled": True}, {"enabled": True, "model": "hand", "prompt": "a, b: c", "most": 2}]})
    text = write(request.with_seeds())
    assert "ADetailer model: Faces, ADetailer confidence: 0.3, ADetailer dilate erode: 4" in text and 'ADetailer prompt 2nd: "a, b: c"' in text
    assert read_text(text).values["detailers"] == request.detailers
    drawn = read_text('x\nSteps: 20, ADetailer model: a, ADetailer prompt: "{a|b}, c"').values
    assert drawn["prompt_expansion"] == "Off", "what stands in a picture's text had no meaning any more"
    theirs = "x\nSteps: 20, ADetailer model: face_yolov8n.pt, ADetailer confidence: 0.4, ADetailer inpaint only masked: True, ADetailer version: 24.1.2"
    (unit,) = read_text(theirs).values["detailers"]
    assert (unit.enabled, unit.model, unit.confidence) == (True, "face_yolov8n.pt", 0.4) and not unmet_sentence(theirs)
    assert read_text(theirs + ", ADetailer mask only top k largest: 2").values["detailers"][0].most == 2, "as earlier versions wrote it"
    assert "ADetailer use separate VAE" in unmet_sentence(theirs + ", ADetailer use separate VAE: True")


def test_a_detailers_own_steps_sampler_and_scale_come_from_adetailers_arguments_and_texts() -> None:
    own = {"ad_use_steps": True, "ad_steps": 9, "ad_use_cfg_scale": True, "ad_cfg_scale": 3.5, "ad_use_sampler": True, "ad_sampler": "DPM++ 2M Karras"}
    off = {"ad_use_steps": False, "ad_steps": 9, "ad_cfg_scale": 3.5, "ad_sampler": "Euler a", "ad_scheduler": "Karras"}
    values, problems = detailers({"ADetailer": {"args": [{"ad_model": "a"} | own, {"ad_model": "b"} | off]}}, img2img=False)
    first, second = Request.parse(values).detailers
    assert not problems and (first.steps, first.cfg_scale, first.sampler, first.schedule) == (9, 3.5, "DPM++ 2M", "Karras")
    assert own_sampling(second) == {}, "the picture's count where the switches are off"
    (usual,) = Request.parse(detailers({"ADetailer": {"args": [{"ad_model": "a", "ad_use_steps": True, "ad_use_cfg_scale": True, "ad_use_sampler": True}]}}, img2img=False)[0]).detailers
    assert own_sampling(usual) == {"steps": 28, "cfg_scale": 7.0, "sampler": "DPM++ 2M", "schedule": "Karras"}
    text = write(Request.parse({"prompt": "x", "seed": 1, **values}).with_seeds())
    assert ("ADetailer inpaint only masked: True, ADetailer inpaint padding: 32, ADetailer use separate steps: True, ADetailer steps: 9, "
            "ADetailer use separate sampler: True, ADetailer sampler: DPM++ 2M, ADetailer scheduler: Karras, ADetailer use separate CFG scale: True, "
            "ADetailer CFG scale: 3.5") in text
    assert "use separate" not in text.partition("ADetailer model 2nd")[2], "nothing of its own is told where the picture's count"
    assert read_text(text).values["detailers"] == Request.parse(values).detailers
    theirs = "x\nSteps: 20, ADetailer model: a, ADetailer use separate steps: True, ADetailer steps: 12, ADetailer use separate sampler: True, ADetailer sampler: Euler a"
    assert own_sampling(read_text(theirs).values["detailers"][0]) == {"steps": 12, "sampler": "Euler a"} and not unmet_sentence(theirs)
    resting = theirs.replace("steps: True", "steps: False").replace("Euler a", "Euler a, ADetailer use separate sampler 2nd: True, ADetailer sampler 2nd: Euler")
    assert own_sampling(read_text(resting).values["detailers"][0]) == {"sampler": "Euler a"}
    before = "x\nSteps: 20, ADetailer model: a, ADetailer steps: 12"
    assert own_sampling(read_text(before).values["detailers"][0]) == {"steps": 12}, "texts that have no flags"
    assert "ADetailer inpaint only masked (False)" in unmet_sentence(before + ", ADetailer inpaint only masked: False")


def test_every_setting_of_a_face_swap_that_a_text_tells_is_an_axis() -> None:
    fields = [field for field in FIELDS.values() if field.group == "face_swap"]
    assert [field.name for field in fields if not field.xyz] == ["face_swap_keep_original"]
    assert {field.xyz for field in fields if field.xyz} <= all_axes().keys()
