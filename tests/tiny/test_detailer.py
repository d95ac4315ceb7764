"""The detailer in whole pictures: what is found is drawn again with its own words, all else stays to the bit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.request_files import files_of, resolved
from backend.errors import CheckpointError, InvalidRequest
from backend.messages import Failed, Picture, Progress, Run
from backend.request.request import Request
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.draw import detailer
from backend.worker.draw.detailer import _source as detailer_source
from backend.worker.engine import object_finding
from backend.worker.models import object_detector, segmenter
from backend.worker.models.memory import Memory
from backend.worker.pixels.object_detection import Objects
from tests.tiny import face_networks
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_engine import Studio

SIZE, LEFT = 128, (20, 30, 50, 60)          # a picture's side, and a box in it: left, top, right, bottom
BOXES = ((LEFT, 0, 0.9), ((22, 32, 52, 62), 0, 0.8), ((80, 80, 110, 120), 1, 0.6), ((5, 90, 25, 110), 1, 0.2))   # box, class, score
UNIT = {"enabled": True, "model": "things", "mask_blur": 0, "grow": 0, "padding": 0}


def detector(names: str = "{0: 'cat', 1: 'dog'}", boxes_first: bool = False, outlines: bool = False) -> onnx.ModelProto:
    """Finds BOXES in whatever picture; their places are those of a picture of SIZE x SIZE brought to 640.

    Outlines are what is left of the middle of LEFT.
    """
    rows = np.zeros((6, len(BOXES)), np.float32)
    for number, (box, kind, score) in enumerate(BOXES):
        left, top, right, bottom = np.array(box) * 640 / SIZE
        rows[:4, number] = (left + right) / 2, (top + bottom) / 2, right - left, bottom - top
        rows[4 + kind, number] = score
    if outlines:
        rows = np.concatenate([rows, np.eye(32, len(BOXES), dtype=np.float32)])
    rows = rows.T if boxes_first else rows
    nodes = [helper.make_node("ReduceMean", ["images"], ["m"], axes=[1, 2, 3], keepdims=0), helper.make_node("Mul", ["m", "zero"], ["z"]),
             helper.make_node("Add", ["rows", "z"], ["output0"])]
    values = [numpy_helper.from_array(rows[None], "rows"), numpy_helper.from_array(np.zeros(1, np.float32), "zero")]
    told = [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, *rows.shape])]
    if outlines:
        parts = np.full((1, 32, 160, 160), -1, np.float32)
        parts[0, :, :, : 35 * 160 // SIZE] = 1      # left of LEFT's middle
        values.append(numpy_helper.from_array(parts, "parts"))
        nodes.append(helper.make_node("Add", ["parts", "z"], ["output1"]))
        told.append(helper.make_tensor_value_info("output1", TensorProto.FLOAT, parts.shape))
    graph = helper.make_graph(nodes, "network", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 640, 640])], told, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 9
    helper.set_model_props(model, {"names": names} if names else {})
    return model


def exported(half: bool = False, ended: bool = False, told: bool = True) -> onnx.ModelProto:
    """As ultralytics exports others: in half numbers (half=True), or with an end of its own (YOLO26; nms=True)."""
    rows = np.zeros((7 if ended else len(BOXES), 6), np.float32)
    for number, (box, kind, score) in enumerate(BOXES):
        left, top, right, bottom = np.array(box) * 640 / SIZE
        rows[number] = (left, top, right, bottom, score, kind) if ended else (
            (left + right) / 2, (top + bottom) / 2, right - left, bottom - top, score * (kind == 0), score * (kind == 1))
    rows, number = rows if ended else rows.T, TensorProto.FLOAT16 if half else TensorProto.FLOAT
    values = [numpy_helper.from_array(rows[None].astype(np.float16 if half else np.float32), "rows"),
              numpy_helper.from_array(np.zeros(1, np.float16 if half else np.float32), "zero")]
    nodes = [helper.make_node("ReduceMean", ["images"], ["m"], axes=[1, 2, 3], keepdims=0), helper.make_node("Mul", ["m", "zero"], ["z"]),
             helper.make_node("Add", ["rows", "z"], ["output0"])]
    graph = helper.make_graph(nodes, "network", [helper.make_tensor_value_info("images", number, ["batch", 3, "height", "width"])],
                              [helper.make_tensor_value_info("output0", number, [1, *rows.shape])], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 9
    props = {"names": "{0: 'cat', 1: 'dog'}", "task": "detect", "imgsz": "[640, 640]", "stride": "32"}
    helper.set_model_props(model, props | ({"end2end": "True"} if ended and told else {}))
    return model


@pytest.mark.parametrize("how, found", [({"half": True}, 3), ({"ended": True}, 4), ({"half": True, "ended": True}, 4)])
def test_exports_in_half_numbers_and_with_their_own_end(tmp_path: Path, how: dict[str, bool], found: int) -> None:
    (tmp_path / "adetailer").mkdir()
    onnx.save(exported(**how), tmp_path / "adetailer" / "x.onnx")
    network = object_detector.load(ModelCatalog((tmp_path,)).find("object_detector", "x"), place("cpu", exact=True))
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    boxes = network.objects(picture, 0.1).boxes
    assert len(boxes) == found and np.abs(boxes[0] - LEFT).max() < 0.5, "what is found twice is left out by whoever does that"
    assert np.abs(network.objects(picture, 0.5, "dog").boxes - BOXES[2][0]).max() < 0.5
    assert len(network.objects(picture, 0.95).boxes) == 0


def sam() -> SamModel:
    torch.manual_seed(3)
    return SamModel(SamConfig(
        vision_config=SamVisionConfig(hidden_size=32, output_channels=16, num_hidden_layers=1, num_attention_heads=2, image_size=128, patch_size=16,
                                      mlp_dim=32, global_attn_indexes=[0], num_pos_feats=8, window_size=4),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=16, image_size=128, patch_size=16, mask_input_channels=4),
        mask_decoder_config=SamMaskDecoderConfig(hidden_size=16, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memory, ModelCatalog]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(), folder / "checkpoints" / "first")
    (folder / "adetailer").mkdir()
    onnx.save(detector(), folder / "adetailer" / "things.onnx")
    onnx.save(detector(outlines=True), folder / "adetailer" / "outlines.onnx")
    sam().save_pretrained(folder / "sams" / "tiny")
    face_networks.save(folder, "buffalo_l")
    return Memory(place("cpu", exact=True)), ModelCatalog((folder,))


def asked(*units: dict[str, object], **more: object) -> Request:
    values = {"prompt": "a cat", "checkpoint": "first", "steps": 4, "width": SIZE, "height": SIZE, "seed": 1, "variation_seed": 1, "cfg_scale": 5,
              "sampler": "Euler", "schedule": "Uniform", "detailers": [UNIT | unit for unit in units], **more}
    return Request.parse(values)


def finished(house: tuple[Memory, ModelCatalog], request: Request) -> tuple[np.ndarray, Studio]:
    memory, catalog = house
    studio = Studio((memory, {}), "solo")
    studio.engine.add(Run("mine", "local", request, (0,), files_of(resolved(request, catalog), catalog)))
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    picture = studio.of(Picture)[0]
    return np.frombuffer(picture.pixels, np.uint8).reshape(picture.height, picture.width, 3).astype(int), studio


def changed(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int, int] | None:
    """The box of all pixels that differ: left, top, right, bottom."""
    rows, columns = np.nonzero(np.abs(one - other).max(-1))
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


def within(box: tuple[int, int, int, int] | None, whole: tuple[int, int, int, int], slack: int = 2) -> bool:
    return box is not None and np.abs(np.subtract(box, whole)).max() <= slack and box[0] >= whole[0] and box[3] <= whole[3]


@pytest.fixture(scope="module")
def plain(house: tuple[Memory, ModelCatalog]) -> np.ndarray:
    return finished(house, asked())[0]


def test_what_is_found_is_drawn_again_and_nothing_else(house: tuple[Memory, ModelCatalog], plain: np.ndarray) -> None:
    one, studio = finished(house, asked({"most": 0, "classes": "cat"}))
    assert within(changed(one, plain), LEFT)
    assert studio.of(Progress)[-1].step == studio.of(Progress)[-1].steps > 4, "the steps of the part count too"
    assert not studio.of(Picture)[0].notes
    assert within(changed(finished(house, asked({"classes": "1"}))[0], plain), (80, 80, 110, 120))
    assert within(changed(finished(house, asked({"confidence": 0.1, "classes": "dog"}))[0], plain), (5, 80, 110, 120))
    largest = finished(house, asked({"most": 1}))[0]
    assert within(changed(largest, plain), (80, 80, 110, 120)), "of the largest"
    two = finished(house, asked({"classes": "cat"}, {"classes": "dog"}))[0]
    assert within(changed(two, one), (80, 80, 110, 120)), "the second pass goes on from the first"


def test_words_growth_and_what_parts_are_left(house: tuple[Memory, ModelCatalog], plain: np.ndarray) -> None:
    def drawn(**unit: object) -> np.ndarray:
        return finished(house, asked({"classes": "cat", **unit}))[0]

    own = drawn()
    assert np.array_equal(own, drawn(prompt="a cat")) and np.array_equal(own, drawn(prompt="[PROMPT]"))
    assert changed(own, drawn(prompt="a dog")) and changed(own, drawn(negative_prompt="a dog"))
    assert within(changed(drawn(grow=8), plain), (16, 26, 54, 64))
    left = finished(house, asked({"prompt": "[SKIP][SEP]a dog"}))[0]
    assert within(changed(left, plain), (80, 80, 110, 120))


def test_it_has_steps_sampler_and_scale_of_its_own(house: tuple[Memory, ModelCatalog], plain: np.ndarray) -> None:
    own, studio = finished(house, asked({"classes": "cat"}))
    for change in ({"steps": 9}, {"sampler": "Heun"}, {"schedule": "Karras"}, {"cfg_scale": 2}):
        changed_one, other = finished(house, asked({"classes": "cat", **change}))
        assert within(changed(changed_one, plain), LEFT) and changed(changed_one, own), change
        assert "steps" not in change or other.of(Progress)[-1].steps > studio.of(Progress)[-1].steps


def test_masks_are_merged_or_drawn_around(house: tuple[Memory, ModelCatalog], plain: np.ndarray) -> None:
    whole, sure = (0, 0, SIZE, SIZE), {"confidence": 0.5}
    each, studio = finished(house, asked(sure))
    one, merged = finished(house, asked(sure | {"merge": "Merge"}))
    assert within(changed(one, plain), (20, 30, 110, 120)) and changed(one, each)
    assert merged.of(Progress)[-1].steps < studio.of(Progress)[-1].steps, "all of them are one part"
    around = finished(house, asked(sure | {"merge": "Merge and Invert"}))[0]
    assert within(changed(around, plain), whole)
    for left, top, right, bottom in (LEFT, (80, 80, 110, 120)):
        assert np.array_equal(around[top:bottom, left:right], plain[top:bottom, left:right]), "what was found stays"
    assert np.array_equal(finished(house, asked({"model": "Faces", "merge": "Merge and Invert"}))[0], plain), "nothing was found"


def test_a_part_is_drawn_at_a_size_of_its_own(house: tuple[Memory, ModelCatalog], plain: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    monkeypatch.setattr(detailer, "_source", lambda pixels, mask, padding, size: sizes.append(size) or detailer_source(pixels, mask, padding, size))
    own = finished(house, asked({"classes": "cat"}))[0]
    for more in ({"width": 64, "height": 192}, {"width": 64}, {"height": 64}):
        other = finished(house, asked({"classes": "cat", **more}))[0]
        assert within(changed(other, plain), LEFT) and changed(other, own)
    assert sizes == [(128, 128), (192, 64), (128, 64), (64, 128)]


def test_the_mask_follows_the_outline_that_the_detector_or_sam_tells(house: tuple[Memory, ModelCatalog], plain: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    left, top, _, bottom = LEFT
    told = {"model": "outlines", "classes": "cat"}
    assert within(changed(finished(house, asked(told))[0], plain), (left, top, 35, bottom))
    assert within(changed(finished(house, asked(told | {"grow": 8}))[0], plain), (left - 4, top - 4, 39, bottom + 4))
    box = finished(house, asked({"classes": "cat"}))[0]
    assert changed(finished(house, asked({"classes": "cat", "sam": True}))[0], box), "what it makes of the box, at random weights"
    memory, catalog = house
    network = segmenter.load(catalog.find("segmenter", "tiny"), memory.placement)
    found = network.outlines(plain.astype(np.uint8), np.array([LEFT, (80, 80, 110, 120)], float))
    assert found.shape == (2, SIZE, SIZE) and found.dtype == np.bool_ and found.any()
    assert network.outlines(plain.astype(np.uint8), np.zeros((0, 4))).shape == (0, SIZE, SIZE)
    square = np.zeros((1, SIZE, SIZE), np.bool_)
    square[0, 40:60, 70:90] = True
    monkeypatch.setattr(segmenter.Segmenter, "outlines", lambda self, pixels, boxes: square[[0] * len(boxes)])
    assert within(changed(finished(house, asked({"classes": "cat", "sam": True}))[0], plain), (70, 40, 90, 60)), "nothing but the outline"


def test_off_is_absence_to_the_bit_and_nothing_found_is_told(house: tuple[Memory, ModelCatalog], plain: np.ndarray) -> None:
    for unit in ({"enabled": False}, {"denoising_strength": 0}):
        same, studio = finished(house, asked(unit))
        assert np.array_equal(same, plain) and not studio.of(Picture)[0].notes
    same, studio = finished(house, asked({"model": "Faces"}))
    assert np.array_equal(same, plain)
    assert studio.of(Picture)[0].notes == (object_finding.NONE_FOUND.format(1, "Faces"),)


def test_after_hires_fix_it_is_drawn_at_the_first_size(house: tuple[Memory, ModelCatalog]) -> None:
    hires = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}
    whole, details = finished(house, asked(**hires))[0], finished(house, asked({"classes": "cat"}, **hires))[0]
    assert details.shape == (2 * SIZE, 2 * SIZE, 3) and within(changed(details, whole), (40, 60, 100, 120), 4)


def test_a_detector_as_ultralytics_saves_it_finds_what_is_drawn_again(house: tuple[Memory, ModelCatalog], plain: np.ndarray) -> None:
    _, catalog = house
    shutil.copy(HOME / "tests" / "data" / "detectors" / "yolov8n-seg.pt", catalog.models[0] / "adetailer" / "face_yolov8n.pt")
    one, studio = finished(house, asked({"model": "face_yolov8n.pt", "confidence": 0.3, "most": 1, "classes": "hand"}))
    assert changed(one, plain) and not studio.of(Picture)[0].notes
    same, studio = finished(house, asked({"model": "face_yolov8n", "confidence": 1}))
    assert np.array_equal(same, plain) and studio.of(Picture)[0].notes == (object_finding.NONE_FOUND.format(1, "face_yolov8n"),)
    (catalog.models[0] / "adetailer" / "face_yolov8n.pt").write_bytes(b"cut off")
    with pytest.raises(InvalidRequest, match=r"detailers\[0\].model: the file is broken or cut off"):
        resolved(asked({"model": "face_yolov8n.pt"}), catalog)
    (catalog.models[0] / "adetailer" / "face_yolov8n.pt").unlink()


def test_faces_are_found_by_what_finds_them_for_restorers(house: tuple[Memory, ModelCatalog]) -> None:
    memory, catalog = house
    program = type("Asking", (), {"task": type("Of", (), {"run": Run("mine", "local", asked(), (0,), files_of(asked({"model": "Faces"}), catalog))}),
                                  "note": lambda self, text: None})()
    people = face_networks.face_picture((3, 4), (9, 8))
    found = object_finding.objects_found(memory, program, object_finding.FindObjects(people, "Faces", "", 0.3, 0))
    assert found.outlines is None and sorted(map(tuple, found.boxes.round().astype(int).tolist())) == [(128, 96, 160, 128), (256, 288, 288, 320)]


def test_what_cannot_be_done_names_the_field(house: tuple[Memory, ModelCatalog], tmp_path: Path) -> None:
    memory, catalog = house
    with pytest.raises(InvalidRequest, match=r"detailers\[1\].model: 'nothing' is not in the list; there is: Faces, outlines, things.*models/adetailer"):
        resolved(asked({}, {"model": "nothing"}), catalog)
    with pytest.raises(InvalidRequest, match=r"detailers\[0\].model: 'hand_yolov8n.pt' is not here: put the file into models/adetailer; there is: Faces, outlines, things"):
        resolved(asked({"model": "hand_yolov8n.pt"}), catalog)
    (tmp_path / "adetailer").mkdir()
    onnx.save(detector(), tmp_path / "adetailer" / "things.onnx")
    with pytest.raises(InvalidRequest, match=r"detailers\[0\].sam: needs SAM.*into models/sams"):
        resolved(asked({"sam": True}), ModelCatalog((tmp_path,)))
    (tmp_path / "sams" / "broken").mkdir(parents=True)
    (tmp_path / "sams" / "broken" / "config.json").write_text('{"model_type": "sam"}')
    (tmp_path / "sams" / "broken" / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="broken cannot be loaded: it is no SAM"):
        segmenter.load(ModelCatalog((tmp_path,)).find("segmenter", "broken"), memory.placement)
    with pytest.raises(InvalidRequest, match=r"detailers\[0\].model: 'mediapipe_face_mesh_eyes_only' is a part of MediaPipe, which Easel does not have; what finds things here: Faces, outlines, things"):
        resolved(asked({"model": "mediapipe_face_mesh_eyes_only"}), catalog)
    with pytest.raises(InvalidRequest, match=r"what finds things here: Faces \(once det_10g.onnx lies in models/insightface\), things"):
        resolved(asked({"model": "mediapipe_face_full"}), ModelCatalog((tmp_path,)))
    assert ("object_detector", "things.pt") in files_of(asked({"model": "things.pt"}), catalog), "under ultralytics' own name, too"
    with pytest.raises(InvalidRequest, match=r"detailers\[0\].model: .*det_10g.onnx into models/insightface"):
        resolved(asked({"model": "Faces"}), ModelCatalog((tmp_path,)))
    studio = Studio((memory, {}), "solo")
    request = asked({"classes": "bird"})
    studio.engine.add(Run("mine", "local", request, (0,), files_of(request, catalog)))
    problem = studio.run().of(Failed)[0].problems[0]
    assert problem.field == "detailers[0].classes" and "there is: cat, dog" in problem.message
    onnx.save(detector(boxes_first=True), tmp_path / "adetailer" / "other.onnx")
    older = detector(boxes_first=True)
    rows = np.pad(numpy_helper.to_array(older.graph.initializer[0]), ((0, 0), (0, 0), (0, 1)))
    older.graph.initializer[0].CopyFrom(numpy_helper.from_array(rows, "rows"))
    older.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 7
    onnx.save(older, tmp_path / "adetailer" / "sureness.onnx")
    (tmp_path / "adetailer" / "broken.onnx").write_bytes(b"no network")
    for name, why in (("other", "without NMS"), ("sureness", "without NMS"), ("broken", "finds objects")):
        with pytest.raises(CheckpointError, match=why):
            object_detector.load(ModelCatalog((tmp_path,)).find("object_detector", name), memory.placement)


@pytest.mark.parametrize("more, left", [
    ({}, [100, 0, 64]), ({"most": 1}, [0]), ({"most": 1, "most_by": "Confidence"}, [100]), ({"least_share": 0.05}, [0, 64]), ({"most_share": 0.1}, [100, 64]),
    ({"most": 1, "most_share": 0.1}, [64]), ({"x_offset": 3}, [103, 3, 67]), ({"y_offset": 200}, []),
])
def test_which_of_the_objects_are_drawn_again_and_where_their_masks_lie(more: dict[str, object], left: list[int]) -> None:
    boxes = np.array([(100, 0, 110, 10), (0, 0, 64, 64), (64, 64, 96, 96)], float)         # 0.6, 25 and 6 per cent of the picture
    (unit,) = Request.parse({"detailers": [UNIT | more]}).detailers
    masks = detailer._masks(Objects(boxes), unit, np.zeros((SIZE, SIZE, 3), np.uint8))
    assert [mask.getbbox()[0] for mask in masks] == left
    if more == {}:
        moved = detailer._masks(Objects(boxes), Request.parse({"detailers": [UNIT | {"y_offset": 5}]}).detailers[0], np.zeros((SIZE, SIZE, 3), np.uint8))
        assert moved[2].getbbox() == (64, 59, 96, 91), "up"


def test_the_whole_picture_is_drawn_where_that_is_asked_for() -> None:
    pixels, mask = np.zeros((SIZE, 2 * SIZE, 3), np.uint8), Image.new("L", (2 * SIZE, SIZE))
    mask.paste(255, LEFT)
    source = detailer_source(pixels, mask, max(pixels.shape), (SIZE, 2 * SIZE))
    assert source.frame.box == (0, 0, 2 * SIZE, SIZE)
