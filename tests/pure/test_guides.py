"""Guides before anything is drawn: as values, in texts both ways, and checked against the files that are there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.catalog.guide_files import GUIDE_FACES, guide_file, guide_problems, misfit, preferred
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.catalog.request_files import files_of, resolved
from backend.errors import InvalidRequest
from backend.image.infotext.reading import read
from backend.image.infotext.writing import write as infotext
from backend.request.guide_choices import GUIDE_CHOICES
from backend.request.guide_modules import MODULES
from backend.request.record import spread
from backend.request.request import FIELDS, Request
from tests.pure.test_prompt_networks import SD1, write

PICTURE = "ab" * 32
TO_K = "transformer_blocks.0.attn2.to_k.weight"
THEIRS = ("a cat\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 512x512, "
          'ControlNet 1: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8, Resize Mode: ResizeMode.OUTER_FIT, '
          "Low Vram: False, Processor Res: 640, Threshold A: 100.0, Threshold B: 200.0, Guidance Start: 0.1, Guidance End: 0.9, "
          'Pixel Perfect: True, Control Mode: ControlNet is more important, Hr Option: HiResFixOption.LOW_RES_ONLY"')


def control(width: int, first: int = 320, prefix: str = "control_model.") -> dict[str, tuple[int, ...]]:
    return {f"{prefix}input_blocks.0.0.weight": (first, 4, 3, 3), f"{prefix}input_blocks.1.1.{TO_K}": (first, width),
            f"{prefix}input_hint_block.0.weight": (16, 3, 3, 3)}


@pytest.fixture
def catalog(tmp_path: Path) -> ModelCatalog:
    write(tmp_path / "checkpoints" / "old.safetensors", SD1)
    folder = tmp_path / "ControlNet"
    write(folder / "control_v11p_sd15_canny.safetensors", control(768))
    write(folder / "xl.safetensors", control(2048, prefix=""))
    write(folder / "small.safetensors", control(768, first=64))
    write(folder / "union.safetensors", {"task_embedding": (6, 320), "controlnet_down_blocks.0.weight": (1,)})
    write(folder / "lllite.safetensors", {"lllite_unet_input_blocks_4_1.weight": (1,)})
    write(folder / "diffusers" / "diffusion_pytorch_model.safetensors", {
        "conv_in.weight": (320, 4, 3, 3), "controlnet_mid_block.weight": (1,), f"down_blocks.0.attentions.0.{TO_K}": (320, 768)})
    (folder / "diffusers" / "config.json").write_text("{}")
    return ModelCatalog((tmp_path,))


def picture_prompt(layer: dict[str, tuple[int, ...]], context: int = 768) -> dict[str, tuple[int, ...]]:
    outs = (320, 1280, 1280)            # those of SD1 above
    return {f"image_proj.{name}": shape for name, shape in layer.items()} | {
        f"ip_adapter.{2 * number + 1}.to_{part}_ip.weight": (out, context) for number, out in enumerate(outs) for part in "kv"}


def request(*units: dict[str, object], **more: object) -> Request:
    return Request.parse({"checkpoint": "old", "guides": [{"enabled": True, "image": PICTURE} | unit for unit in units], **more})


def wrong(catalog: ModelCatalog, *units: dict[str, object], **more: object) -> dict[str, str]:
    asked = request(*units, **more)
    try:
        asked = resolved(asked, catalog)
    except InvalidRequest as error:
        return {problem.field: problem.message for problem in error.problems}
    return {problem.field: problem.message for problem in guide_problems(asked, catalog.find("checkpoint", "old"), catalog)}


def test_models_are_found_by_any_of_their_names_and_go_with_the_job(catalog: ModelCatalog) -> None:
    asked = resolved(request({"model": "control_v11p_sd15_canny [d14c016b]"}, {"model": "diffusers"}), catalog)
    assert [unit.model for unit in asked.guides] == ["control_v11p_sd15_canny", "diffusers"]
    files = files_of(asked, catalog)
    assert {key for kind, key in files if kind == "guide"} == {"control_v11p_sd15_canny", "diffusers"}
    assert wrong(catalog, {"model": "diffusers"}) == {}
    assert ("guide", "gone") not in files_of(request({"enabled": False, "model": "gone"}, {"model": "diffusers"}), catalog)


@pytest.mark.parametrize("unit, field, sentence", [
    ({"model": "xl"}, "model", "xl is made for Stable Diffusion XL and cannot guide old, which is Stable Diffusion 1"),
    ({"model": "small"}, "model", "small is made for networks of another size and cannot guide old"),
    ({"model": "gone"}, "model", "'gone' is not in the list"), ({"model": "union"}, "model", "another size"), ({"model": "lllite"}, "model", "LLLite"),
    ({}, "model", "choose a model"), ({"model": "diffusers", "image": ""}, "image", "choose a picture"),
    ({"model": "diffusers", "start": 0.5, "end": 0.5}, "start", "before the ending step"),
    ({"model": "diffusers", "module": "inpaint_only"}, "mask", "mark what is to be painted"),
    ({"module": "reference_only", "mask": PICTURE}, "mask", "acts everywhere"),
    ({"model": "diffusers", "module": "reference_only", "image": ""}, "image", "choose a picture"),
    ({"model": "diffusers", "module": "openpose"}, "module", "openpose needs body_pose_model.pth and hand_pose_model.pth and facenet.pth, not here yet"),
    ({"model": "diffusers", "module": "depth_anything_v2"}, "module", "needs a folder depth_anything_v2 with the files of Hugging Face's depth-anything/Depth-Anything-V2-Small-hf, not here yet"),
    ({"model": "diffusers", "module": "ip-adapter-auto"}, "module", "does not go with diffusers, which is a ControlNet"),
])
def test_what_does_not_fit_is_told_at_the_unit(catalog: ModelCatalog, unit: dict[str, object], field: str, sentence: str) -> None:
    good = {"model": "diffusers"}
    told = wrong(catalog, good, unit)
    assert list(told) == [f"guides[1].{field}"] and sentence in told[f"guides[1].{field}"]
    assert wrong(catalog, good, {**unit, "enabled": False}) == {}


@pytest.mark.parametrize("kinds, unit, named", [
    (6, {"module": "tile_resample"}, "module"), (6, {"union_type": "Inpaint"}, "union_type"), (6, {"module": "canny", "union_type": "Tile"}, "union_type"),
    (8, {"module": "tile_resample"}, ""), (6, {"module": "tile_resample", "union_type": "Depth"}, ""), (6, {"module": "canny"}, ""),
])
def test_a_union_is_shown_what_it_knows(catalog: ModelCatalog, tmp_path: Path, kinds: int, unit: dict[str, object], named: str) -> None:
    write(tmp_path / "ControlNet" / "several.safetensors", {
        "task_embedding": (kinds, 320), "controlnet_down_blocks.0.weight": (1,), "conv_in.weight": (320, 4, 3, 3), f"down_blocks.0.attentions.0.{TO_K}": (320, 768)})
    told = wrong(catalog, {"model": "several"} | unit)
    assert list(told) == ([f"guides[0].{named}"] if named else [])
    assert all("which several does not know; it knows: OpenPose, Depth, Soft Edge" in why for why in told.values())


def test_units_of_a_text_come_to_the_page_as_json() -> None:
    """Gradio writes what JSON does not know as Python shows it, which no page can read."""
    (unit,) = json.loads(json.dumps(spread(read(THEIRS).values, FIELDS)))["guides"][1:]
    assert (unit["module"], unit["model"], unit["weight"], unit["enabled"]) == ("canny", "control_v11p_sd15_canny [d14c016b]", 0.8, True)


def test_files_that_are_something_else_are_told_at_the_unit(catalog: ModelCatalog, tmp_path: Path) -> None:
    folder, factors = tmp_path / "ControlNet", "lora_unet_down_blocks_0_attentions_0_proj_in.lora_"
    write(folder / "lora.safetensors", {f"{factors}down.weight": (4, 320), f"{factors}up.weight": (320, 4)})
    write(folder / "checkpoint.safetensors", SD1)
    (folder / "picture.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (folder / "words.pth").write_bytes(b"hello")
    (folder / "empty.safetensors").write_bytes(b"")
    catalog.scan("controlnet")
    for name, told in {"lora": "those of no ControlNet", "checkpoint": "those of no ControlNet", "picture": "no safetensors file", "words": "broken or cut off",
                       "empty": "cut off"}.items():
        found = wrong(catalog, {"model": "diffusers"}, {"model": name})
        assert list(found) == ["guides[1].model"] and told in found["guides[1].model"]


def test_in_img2img_a_unit_without_picture_takes_that(catalog: ModelCatalog) -> None:
    assert wrong(catalog, {"model": "diffusers", "image": ""}, init_image=PICTURE) == {}


@pytest.mark.parametrize("unit", [{"weight": -1}, {"weight": 10}, {"module": "depth_of_field"}, {"image": "no id"}, {"nosuch": 1}, {"control_mode": "7"}])
def test_wrong_values_name_their_unit(unit: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        request({}, unit)
    assert [problem.field for problem in caught.value.problems] == [f"guides[1].{next(iter(unit))}"]


def test_ten_units_may_be_on_however_many_are_off_and_those_behind_the_last_that_is_on_are_none() -> None:
    on, off = {"enabled": True}, {"enabled": False, "weight": 2}
    with pytest.raises(InvalidRequest, match="has 100 entries that are on; there are at most 10"):
        Request.parse({"guides": [on] * 100})
    with pytest.raises(InvalidRequest, match="has 101 entries; there are at most 100"):
        Request.parse({"guides": [off] * 101})
    many = Request.parse({"guides": [off if number % 40 else on for number in range(100)]})
    assert [number for number, unit in enumerate(many.guides) if unit.enabled] == [0, 40, 80] == [*range(len(many.guides))][::40]
    theirs = THEIRS + ', ControlNet 40: "Module: canny, Model: m"'
    for text, there in ((infotext(many), [0, 40, 80]), (theirs, [1, 40])):
        assert [number for number, unit in enumerate(read(text).values["guides"]) if unit.enabled] == there
    assert len(Request.parse({"guides": [off, *[on] * 10]}).guides) == 11 and not Request.parse({"guides": [off] * 100}).guides
    assert Request.parse({"guides": [{"enabled": False, "weight": 2}] * 3}).guides == ()
    assert len(Request.parse({"guides": [{}, {"enabled": True}, {}]}).guides) == 2


def test_their_text_is_read() -> None:
    reading = read(THEIRS)
    assert reading.problems == ()
    off, unit = reading.values["guides"]
    assert not off.enabled and unit.enabled
    assert (unit.module, unit.model, unit.weight, unit.start, unit.end) == ("canny", "control_v11p_sd15_canny [d14c016b]", 0.8, 0.1, 0.9)
    assert (unit.resize_mode, unit.control_mode, unit.hires) == ("Resize and Fill", "ControlNet is more important", "Low res only")
    assert (unit.pixel_perfect, unit.processor_res, unit.threshold_a, unit.threshold_b) == (True, 640, 100, 200)

OLDER = {
    'ControlNet 0: "preprocessor: openpose_full, model: m [cab727d4], weight: 0.8, starting/ending: (0.1, 0.75), resize mode: ResizeMode.OUTER_FIT, '
    'pixel perfect: True, control mode: ControlMode.BALANCED, preprocessor params: (640, -1, -1)"': ("openpose_full", True, 640, -1),
    'ControlNet: "preprocessor: canny, model: m [cab727d4], weight: 0.8, starting/ending: (0.1, 0.75), resize mode: Resize and Fill, pixel perfect: True, '
    'control mode: Balanced, preprocessor params: (640, 100, 200)"': ("canny", True, 640, 100),
    'Controlnet 0: "preprocessor: depth_leres (LeRes), model: m [cab727d4], weight: 0.8, starting/ending: (0.1, 0.75), resize mode: Resize and Fill, '
    'pixel_perfect: False, control mode: Balanced, preprocessor params: (640, None, None)"': ("depth_leres", False, 640, -1),
    'ControlNet Enabled: True, ControlNet Preprocessor: canny, ControlNet Model: m [cab727d4], ControlNet Weight: 0.8, ControlNet Starting Step: 0.1, '
    'ControlNet Ending Step: 0.75, ControlNet Resize Mode: Resize and Fill, ControlNet Pixel Perfect: True, '
    'ControlNet Preprocessor Parameters: "(640, 64, 65)"': ("canny", True, 640, 64),
    'ControlNet-0 Model: m [cab727d4], ControlNet-0 Module: openpose, ControlNet-0 Weight: 0.8, ControlNet-0 Enabled: True, ControlNet-0 Guidance End: 0.75, '
    'ControlNet-0 Guidance Start: 0.1, ControlNet-0 Resize Mode: Envelope (Outer Fit), ControlNet-1 Enabled: False, ControlNet-1 Module: hed':
        ("openpose", False, 512, -1),
}


@pytest.mark.parametrize("text, told", OLDER.items())
def test_texts_of_every_version_are_read(text: str, told: tuple[object, ...]) -> None:
    reading = read(f"a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, {text}, Version: v1.6.0")
    (unit,) = reading.values["guides"]
    assert not reading.problems and (unit.module, unit.pixel_perfect, unit.processor_res, unit.threshold_a) == told
    assert (unit.enabled, unit.model, unit.weight, unit.start, unit.end, unit.resize_mode) == (True, "m [cab727d4]", 0.8, 0.1, 0.75, "Resize and Fill")


def test_a_unit_that_no_request_can_have_leaves_the_others() -> None:
    reading = read('a cat\nSteps: 20, Seed: 1, ControlNet 0: "Module: depth_hand_refiner, Model: m", ControlNet 1: "Module: canny, Model: n"')
    off, unit = reading.values["guides"]
    assert not off.enabled and (unit.enabled, unit.module, unit.model) == (True, "canny", "n")
    assert [problem.field for problem in reading.problems] == ["guides[0]"] and "depth_hand_refiner" in reading.problems[0].message


def test_ours_is_written_as_theirs_and_comes_back_but_for_its_picture() -> None:
    asked = request({"model": "m", "module": "canny", "weight": 0.5})
    text = infotext(asked)
    assert ('ControlNet 0: "Module: canny, Model: m, Weight: 0.5, Guidance Start: 0, Guidance End: 1, Control Mode: Balanced, '
            'Resize Mode: Crop and Resize, Pixel Perfect: False"') in text
    assert "Easel:" not in text
    assert read(text).values["guides"] == request({"model": "m", "module": "canny", "weight": 0.5, "image": ""}).guides
    assert read(text, json.dumps(asked.to_json())).values["guides"] == asked.guides
    assert "ControlNet" not in infotext(Request.parse({"guides": [{}]}))


PLAIN, PLUS = {"proj.weight": (3072, 1024)}, {"latents": (1, 16, 768), "proj_in.weight": (768, 1280)}
FACE = {"proj.0.weight": (1024, 512), "norm.weight": (768,)}
RESAMPLER = {"latents": (1, 16, 1280), "proj_in.weight": (1280, 512)}


def test_an_ip_adapter_needs_the_tower_that_it_looks_through(catalog: ModelCatalog, tmp_path: Path) -> None:
    for name, shapes in {"plain": picture_prompt(PLAIN), "plus": picture_prompt(PLUS), "xl_ip": picture_prompt(PLAIN, 2048),
                         "face": picture_prompt(FACE)}.items():
        write(tmp_path / "ip_adapter" / f"{name}.safetensors", shapes)
    asked, image = {"model": "plus"}, {"image": PICTURE}
    assert "through CLIP ViT-H, which is not here" in wrong(catalog, asked | image)["guides[0].model"]
    at_once = guide_problems(request(asked, {"model": "face"}), catalog.find("checkpoint", "old"), catalog)
    assert [(one.field, one.message.split(",")[0]) for one in at_once] == [
        ("guides[0].model", "plus looks at pictures through CLIP ViT-H"), ("guides[1].model", "face needs insightface's buffalo_l")]
    write(tmp_path / "clip_vision" / "g.safetensors", {"vision_model.embeddings.patch_embedding.weight": (1664, 3, 14, 14), "visual_projection.weight": (1280, 1664)})
    write(tmp_path / "clip_vision" / "h.safetensors", {"vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14), "visual_projection.weight": (1024, 1280)})
    catalog.refresh()
    files = files_of(resolved(request(asked, {"model": "plain"}), catalog), catalog)
    assert {file.key for (kind, _), file in files.items() if kind == "clip_vision"} == {"h"}
    assert wrong(catalog, asked, {"model": "plain", "module": "ip-adapter_clip_h"}) == {}
    assert "cannot guide old" in wrong(catalog, {"model": "xl_ip"})["guides[0].model"]
    told = wrong(catalog, {"model": "face"})["guides[0].model"]
    assert "face needs insightface's buffalo_l" in told and "w600k_r50.onnx" in told and "models/insightface/models/buffalo_l" in told
    for name in ("w600k_r50", "det_10g"):
        (tmp_path / "insightface" / "models" / "buffalo_l").mkdir(parents=True, exist_ok=True)
        (tmp_path / "insightface" / "models" / "buffalo_l" / f"{name}.onnx").write_bytes(b"")
    catalog.refresh()
    assert wrong(catalog, {"model": "face"}) == {}
    assert (GUIDE_FACES, "face") in files_of(resolved(request({"model": "face"}), catalog), catalog)
    assert "canny does not go with plus" in wrong(catalog, asked | {"module": "canny"})["guides[0].module"]
    assert "ip-adapter-auto does not go with diffusers" in wrong(catalog, {"model": "diffusers", "module": "ip-adapter-auto"})["guides[0].module"]


def test_face_networks_that_belong_to_one_adapter_are_nobody_elses(catalog: ModelCatalog, tmp_path: Path) -> None:
    for name in ("face", "own"):
        write(tmp_path / "ip_adapter" / f"{name}.safetensors", picture_prompt(FACE))
    packs = tmp_path / "insightface" / "models"
    for pack, names in {"aside": ("people", "det_aside"), "buffalo_l": ("w600k_r50", "det_10g")}.items():
        (packs / pack).mkdir(parents=True)
        for name in names:
            (packs / pack / f"{name}.onnx").write_bytes(b"")
        (packs / "aside" / "easel.json").write_text('{"only_for": "own"}')
        catalog.refresh()
        assert wrong(catalog, {"model": "own"}) == {}
        assert files_of(resolved(request({"model": "own"}), catalog), catalog)[GUIDE_FACES, "own"].key == "people"
        told = wrong(catalog, {"model": "face"}).get("guides[0].model", "")
        assert ("needs insightface's buffalo_l" in told) == (pack == "aside")
    assert files_of(resolved(request({"model": "face"}), catalog), catalog)[GUIDE_FACES, "face"].key == "w600k_r50"
    assert [file.key for file in catalog.usable("face_detector")] == ["det_10g"]


def test_face_networks_may_belong_to_several_models_and_to_the_points_of_one(catalog: ModelCatalog, tmp_path: Path) -> None:
    write(tmp_path / "ip_adapter" / "own_instantid.safetensors", picture_prompt(RESAMPLER))
    for name in ("own_instantid_points", "other_instantid_points"):
        write(tmp_path / "ControlNet" / f"{name}.safetensors", control(768))
    pack = tmp_path / "insightface" / "models" / "aside"
    pack.mkdir(parents=True)
    for name in ("people", "det_aside"):
        (pack / f"{name}.onnx").write_bytes(b"")
    (pack / "easel.json").write_text('{"only_for": ["own_instantid", "own_instantid_points"]}')
    catalog.refresh()
    who, where = {"model": "own_instantid"}, {"model": "own_instantid_points", "module": "instant_id_face_keypoints"}
    assert wrong(catalog, who, where) == {}, "InstantID's layout fits whatever checkpoint its widths fit"
    files = files_of(resolved(request(who, where), catalog), catalog)
    assert {files[GUIDE_FACES, name].key for name in ("own_instantid", "own_instantid_points")} == {"people"}
    told = wrong(catalog, who, where | {"model": "other_instantid_points"})
    assert "antelopev2" in told["guides[1].module"], "the points of another model are not found by them"


def test_each_model_of_a_job_sees_faces_through_its_own_networks(catalog: ModelCatalog, tmp_path: Path) -> None:
    for name in ("face", "own_face"):
        write(tmp_path / "ip_adapter" / f"{name}.safetensors", picture_prompt(FACE))
    for name in ("an_instantid", "own_instantid"):
        write(tmp_path / "ip_adapter" / f"{name}.safetensors", picture_prompt(RESAMPLER))
        write(tmp_path / "ControlNet" / f"{name}_points.safetensors", control(768))
    own = ["own_face", "own_instantid", "own_instantid_points"]
    for pack, names in {"aside": ("people", "det_aside"), "buffalo_l": ("w600k_r50", "det_10g")}.items():
        home = tmp_path / "insightface" / "models" / pack
        home.mkdir(parents=True)
        for name in names:
            (home / f"{name}.onnx").write_bytes(b"")
    (tmp_path / "insightface" / "models" / "aside" / "easel.json").write_text(json.dumps({"only_for": own}))
    catalog.refresh()
    others = ["face", "an_instantid", "an_instantid_points"]
    units = [{"model": name} | ({"module": "instant_id_face_keypoints"} if name.endswith("points") else {}) for name in own + others]
    assert wrong(catalog, *units) == {}
    for asked in (units, units[::-1]):
        files = files_of(resolved(request(*asked), catalog), catalog)
        assert [files[GUIDE_FACES, name].key for name in own + others] == ["people"] * 3 + ["w600k_r50"] * 3


def test_a_single_guide_for_a_face_prefers_what_works_alone() -> None:
    words = GUIDE_CHOICES["face"].models
    assert words.index("faceid") < words.index("instant_id"), "InstantID draws nobody without its other part"


def test_numbers_for_blocks_are_as_many_as_the_checkpoint_has(catalog: ModelCatalog, tmp_path: Path) -> None:
    write(tmp_path / "ip_adapter" / "plain.safetensors", picture_prompt(PLAIN))
    write(tmp_path / "clip_vision" / "h.safetensors", {"vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14), "visual_projection.weight": (1024, 1280)})
    asked, field = {"model": "plain", "module": "ip-adapter-auto"}, "guides[0].block_weights"
    for text in ("", "1,1,1", "0:0.25, 2:1"):
        assert wrong(catalog, asked | {"block_weights": text}) == {}
    for text, why in {"1,2": "has 2 numbers; old has 3", ",".join(["1"] * 16): "has 16 numbers", "3:1": "names block 3", "1,x": "'x' is no number", "nan": "'nan'"}.items():
        assert why in wrong(catalog, asked | {"block_weights": text})[field]


def test_instant_id_needs_both_of_its_parts(catalog: ModelCatalog, tmp_path: Path) -> None:
    xl = {f"{name}": shape for name, shape in control(2048, prefix="").items()}
    write(tmp_path / "ControlNet" / "control_instant_id_sdxl.safetensors", xl)
    told = wrong(catalog, {"model": "control_instant_id_sdxl", "module": "instant_id_face_keypoints"})
    assert "add a unit with that" in told["guides[0].model"] or "cannot guide" in told["guides[0].model"]
    assert "antelopev2" in told["guides[0].module"]


def test_a_reference_needs_no_model_and_every_choice_has_a_preprocessor(catalog: ModelCatalog) -> None:
    assert wrong(catalog, {"module": "reference_only"}) == {} == wrong(catalog, {"model": "diffusers", "module": "inpaint_only", "mask": PICTURE})
    assert all(name in MODULES for choice in GUIDE_CHOICES.values() for name in choice.modules)
    assert {name for choice in GUIDE_CHOICES.values() for name in choice.modules} == set(MODULES), "each can be chosen by what it serves"


@pytest.mark.parametrize("name, choice", [("ip-adapter_sd15", "picture"), ("demo-picture", "picture"), ("ip-adapter-plus-face_sd15", "picture"),
                                          ("ip-adapter-faceid_sd15", "face"), ("Mine-FaceID", "face")])
def test_an_ip_adapter_serves_pictures_or_faces_by_its_name(name: str, choice: str) -> None:
    assert [one for one in ("picture", "face") if any(GUIDE_CHOICES[one].served_by(name, word) for word in GUIDE_CHOICES[one].models)] == [choice]


@pytest.mark.parametrize("folder, shapes, family, fits", [
    ("t2i_adapter", {"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 192, 3, 3)}, "sd1", True),
    ("t2i_adapter", {"body.0.in_conv.weight": (80, 192, 1, 1), "body.0.out_conv.weight": (320, 80, 1, 1)}, "sd1", True),
    ("t2i_adapter", {"adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3), "adapter.conv_in.weight": (320, 768, 3, 3)}, "sdxl", False),
    ("t2i_adapter", {"style_embedding": (1, 8, 1024), "proj": (1024, 768)}, "sd1", True),
    ("controlnet", {"lora_controlnet": (0,), "zero_convs.0.0.weight": (320, 320, 1, 1), f"input_blocks.1.1.{TO_K.replace('.weight', '.down')}": (128, 768),
                    f"input_blocks.1.1.{TO_K.replace('.weight', '.up')}": (320, 128)}, "sd1", True),
    ("controlnet", {"task_embedding": (6, 320), "conv_in.weight": (320, 4, 3, 3), "controlnet_down_blocks.0.weight": (1,), f"down_blocks.1.attentions.0.{TO_K}": (640, 2048)},
     "sdxl", False),
])
def test_headers_tell_kind_and_family(catalog: ModelCatalog, tmp_path: Path, folder: str, shapes: dict[str, tuple[int, ...]], family: str, fits: bool) -> None:
    write(tmp_path / folder / "made.safetensors", shapes)
    file = guide_file("made", catalog)
    assert (file.kind, file.family, file.problem) == (folder, family, "") and (misfit(file, catalog.find("checkpoint", "old")) == "") is fits


def test_what_the_file_beside_a_model_wants_of_its_units(tmp_path: Path) -> None:
    folder = tmp_path / "controlnet" / "x"
    folder.mkdir(parents=True)
    file = ModelFile("controlnet", "x", str(folder))
    assert preferred(file) == {}
    for told, wanted in (({"guide": {"weight": 0.8, "control_mode": "ControlNet is more important", "image": "no", "nonsense": 1}}, {"weight": 0.8, "control_mode": "ControlNet is more important"}),
                         ({"guide": {"weight": 99}}, {}), ({"guide": [1]}, {}), ({}, {})):
        (folder / "easel.json").write_text(json.dumps(told))
        assert preferred(file) == wanted
