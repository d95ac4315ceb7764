"""Preprocessors with weights: read from local files with random weights, moved, shown a picture; and what a missing file says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from transformers import BlipForConditionalGeneration, SamModel

from backend.catalog.guide_files import annotator_files, missing_files
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError, InvalidRequest
from backend.messages import Preprocess
from backend.request.guide_modules import KEY_POINTS, MODULES
from backend.request.pose_points import read_people, written
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.draw.preprocessors import PREPROCESSORS
from backend.worker.draw.trained_preprocessors import TRAINED, Detector, load, preprocessor
from backend.worker.engine.guide_loading import preprocessed
from backend.worker.models import captioner, segmenter
from backend.worker.models.memory import Memory
from tests.tiny import face_networks
from tests.tiny.test_guides import FILES, PICTURE, drawn_square, png, unit


def teed(folder: Path) -> None:
    from controlnet_aux.teed.ted import TED

    torch.save(TED().state_dict(), folder / "7_model.pth")


def lines(folder: Path) -> None:
    from controlnet_aux.lineart import Generator

    for name in ("sk_model.pth", "sk_model2.pth"):
        torch.save(Generator(3, 1, 3).state_dict(), folder / name)


def depth(folder: Path) -> None:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    seen = Dinov2Config(hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=28, patch_size=14,
                        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False)
    config = DepthAnythingConfig(backbone_config=seen, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, head_hidden_size=8)
    DepthAnythingForDepthEstimation(config).save_pretrained(folder / "depth_anything_v2")
    DPTImageProcessor(size={"height": 28, "width": 28}).save_pretrained(folder / "depth_anything_v2")


def pose(folder: Path) -> None:
    """Stand-ins of the real signatures: one person in the middle, whose points lie on a diagonal."""
    cells = sum((64 // stride) ** 2 for stride in (8, 16, 32))
    found = np.zeros((1, cells, 85), np.float32)
    found[0, 27] = [0.5, 0.5, np.log(4), np.log(4), 1, 1, *[0] * 79]         # cell (3, 3) of stride 8: 32 pixels wide
    across = np.zeros((1, 133, 576), np.float32)
    down = np.zeros((1, 133, 768), np.float32)
    across[0, range(133), np.arange(133) * 4] = down[0, range(133), np.arange(133) * 5] = 1
    save(folder / "yolox_l.onnx", (1, 3, 64, 64), {"boxes": found})
    save(folder / "dw-ll_ucoco_384.onnx", (1, 3, 384, 288), {"x": across, "y": down})


def save(file: Path, shown: tuple[int, ...], answers: dict[str, np.ndarray]) -> None:
    """A network that answers the same to every picture."""
    nodes = [helper.make_node("ReduceSum", ["picture"], ["sum"], keepdims=0), helper.make_node("Sub", ["sum", "sum"], ["zero"])]
    nodes += [helper.make_node("Add", [f"{name}_of", "zero"], [name]) for name in answers]
    graph = helper.make_graph(nodes, "stand-in", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shown)],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, each.shape) for name, each in answers.items()],
                              [onnx.numpy_helper.from_array(each, f"{name}_of") for name, each in answers.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))


def soft_edges(folder: Path) -> None:
    from controlnet_aux.hed import ControlNetHED_Apache2

    torch.save(ControlNetHED_Apache2().state_dict(), folder / "ControlNetHED.pth")


def pixel_differences(folder: Path) -> None:
    from controlnet_aux.pidi.model import pidinet

    torch.save({"state_dict": in_module(pidinet())}, folder / "table5_pidinet.pth")


def in_module(network: nn.Module) -> dict[str, torch.Tensor]:
    """As a network in torch's DataParallel has its tensors."""
    return {f"module.{name}": tensor for name, tensor in network.state_dict().items()}


def straight_lines(folder: Path) -> None:
    from controlnet_aux.mlsd.models.mbv2_mlsd_large import MobileV2_MLSD_Large

    torch.save(MobileV2_MLSD_Large().state_dict(), folder / "mlsd_large_512_fp32.pth")


def anyline(folder: Path) -> None:
    teed(folder)
    (folder / "7_model.pth").rename(folder / "MTEED.pth")


def anime(folder: Path) -> None:
    from controlnet_aux.lineart_anime import UnetGenerator

    norm = partial(nn.InstanceNorm2d, affine=False, track_running_stats=False)
    torch.save(in_module(UnetGenerator(3, 1, 8, 64, norm_layer=norm, use_dropout=False)), folder / "netG.pth")


def first_depth(folder: Path) -> None:
    depth(folder)
    (folder / "depth_anything_v2").rename(folder / "depth_anything")


def segments(folder: Path) -> None:
    from transformers import ConvNextConfig, SegformerImageProcessor, UperNetConfig, UperNetForSemanticSegmentation

    seen = ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"])
    config = UperNetConfig(backbone_config=seen, hidden_size=8, num_labels=150, auxiliary_in_channels=8, auxiliary_channels=8, pool_scales=[1, 2])
    UperNetForSemanticSegmentation(config).save_pretrained(folder / "upernet_ade20k")
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder / "upernet_ade20k")


def task_segments(folder: Path) -> None:
    from transformers import (
        CLIPTokenizer,
        OneFormerConfig,
        OneFormerForUniversalSegmentation,
        OneFormerImageProcessor,
        SwinConfig,
    )

    seen = SwinConfig(image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = OneFormerConfig(backbone_config=seen, num_queries=8, hidden_dim=32, conv_dim=32, mask_dim=32, encoder_feedforward_dim=32, dim_feedforward=32,
                             encoder_layers=1, decoder_layers=2, num_attention_heads=2, text_encoder_width=32, text_encoder_num_layers=1,
                             text_encoder_vocab_size=49408, use_task_norm=True, num_labels=150, common_stride=4)
    place_of = folder / "oneformer_ade20k"
    OneFormerForUniversalSegmentation(config).save_pretrained(place_of)
    names = {str(number): {"isthing": 0, "name": f"LABEL_{number}"} for number in range(150)}
    (folder / "classes.json").write_text(json.dumps(names))
    OneFormerImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}, repo_path=str(folder), class_info_file="classes.json", num_text=4).save_pretrained(place_of)
    CLIPTokenizer.from_pretrained(HOME / "models" / "demo" / "tokenizer").save_pretrained(place_of)


MAKERS: dict[str, Callable[[Path], None]] = {
    "softedge_teed": teed, "lineart_realistic": lines, "depth_anything_v2": depth, "depth_anything": first_depth, "dw_openpose_full": pose,
    "softedge_hed": soft_edges, "softedge_pidisafe": pixel_differences, "mlsd": straight_lines, "softedge_anyline": anyline, "lineart_anime": anime,
    "seg_ufade20k": segments, "seg_ofade20k": task_segments,
}
"""The larger networks (OpenPose, MiDaS, Zoe, LeReS, Normal BAE) have hundreds of megabytes even with random weights."""


def test_every_module_that_needs_files_is_there() -> None:
    assert set(TRAINED) == {name for name, module in MODULES.items() if module.files}
    assert set(PREPROCESSORS) == {name for name, module in MODULES.items() if not module.files and module.kind != "reference" and name != KEY_POINTS}


@torch.inference_mode()
@pytest.mark.parametrize("name", MAKERS)
def test_a_preprocessor_with_weights_is_read_and_kept(name: str, tmp_path: Path) -> None:
    folder, asked = tmp_path / "annotators", unit(module=name, processor_res=64)
    folder.mkdir()
    catalog, memory = ModelCatalog((tmp_path,)), Memory(place("cpu", exact=True))
    with pytest.raises(InvalidRequest, match="put (it|them) into models/annotators") as caught:
        annotator_files([asked], catalog)
    assert caught.value.problems[0].field == "guides[0].module" and MODULES[name].files[0] in missing_files(MODULES[name], catalog)
    MAKERS[name](folder)
    files = annotator_files([asked], ModelCatalog((tmp_path,)))
    answers = [preprocessed(memory, Preprocess("1", asked, FILES[PICTURE], (64, 96), files)) for _ in range(2)]
    assert answers[0].problem is None and (answers[0].width, answers[0].height) == (96, 64) and answers[0] == answers[1]
    if name == "dw_openpose_full":
        assert np.frombuffer(answers[0].pixels, np.uint8).any()


@torch.inference_mode()
def test_a_pose_is_drawn_where_the_points_are(tmp_path: Path) -> None:
    pose(tmp_path)
    detector = load("dw_openpose_full", [tmp_path / "yolox_l.onnx", tmp_path / "dw-ll_ucoco_384.onnx"])
    drawn = preprocessor("dw_openpose_full", detector)(drawn_square(64, 64), 64, 0, 0)
    rows, columns = np.nonzero(drawn.max(axis=2) > 60)
    assert len(rows) > 20 and columns.min() >= 4 and columns.max() <= 52, "inside the person's box with what is around it, and a point's radius"


@torch.inference_mode()
@pytest.mark.parametrize("mode", ["Just Resize", "Crop and Resize", "Resize and Fill"])
def test_points_are_found_moved_and_drawn_where_they_are(mode: str, tmp_path: Path) -> None:
    (tmp_path / "annotators").mkdir()
    pose(tmp_path / "annotators")
    asked, memory = unit(module="dw_openpose_full", resize_mode=mode, pixel_perfect=True), Memory(place("cpu", exact=True))
    command = Preprocess("1", asked, FILES[PICTURE], (128, 128), annotator_files([asked], ModelCatalog((tmp_path,))), find_points=True)
    found = preprocessed(memory, command)
    people = read_people(found.points)
    shown = np.frombuffer(found.pixels, np.uint8).reshape(128, 128, 3)
    again = preprocessed(memory, replace(command, find_points=False, points=found.points))
    drawn = np.frombuffer(again.pixels, np.uint8).reshape(128, 128, 3)
    for one, other in zip(middle(shown), middle(drawn), strict=True):
        assert abs(one - other) < 8, "about as the preprocessor drew it, whose lines are laid into the hint with the picture"
    moved = [{part: [point and (point[0], point[1] + 0.2) for point in points] for part, points in person.items()} for person in people]
    lower = np.frombuffer(preprocessed(memory, replace(command, points=written(moved))).pixels, np.uint8).reshape(128, 128, 3)
    assert middle(lower)[0] > middle(drawn)[0] + 10
    faces = preprocessed(memory, replace(command, points='[{"key_points": [[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.4, 0.8], [0.6, 0.8]]}]'))
    face = np.frombuffer(faces.pixels, np.uint8).reshape(128, 128, 3)
    assert (face[38, 38] == (255, 0, 0)).all() and (face[64, 64] == (0, 0, 255)).all()


def middle(picture: np.ndarray) -> tuple[float, float]:
    """The mean row and column of what is not black."""
    rows, columns = np.nonzero(picture.max(axis=2) > 60)
    return float(rows.mean()), float(columns.mean())


def test_a_broken_file_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "7_model.pth").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"7_model.pth is not what softedge_teed needs"):
        load("softedge_teed", [tmp_path / "7_model.pth"])


def test_what_goes_wrong_in_a_preprocessor_is_told_at_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "annotators").mkdir()
    pose(tmp_path / "annotators")
    for name in ("yolox_l.onnx", "dw-ll_ucoco_384.onnx"):
        file = tmp_path / "annotators" / name
        whole = file.read_bytes()
        file.write_bytes(whole[:len(whole) // 2])
        asked = unit(module="dw_openpose_full")
        files = annotator_files([asked], ModelCatalog((tmp_path,)))
        problem = preprocessed(Memory(place("cpu", exact=True)), Preprocess("1", asked, FILES[PICTURE], (64, 96), files)).problem
        assert problem.field == "guides[0].module" and f"{name} cannot be loaded" in problem.message
        file.write_bytes(whole)

    def short(*given: object) -> None:
        raise MemoryError

    def broken(*given: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    def told(asked: object) -> tuple[str, str]:
        problem = preprocessed(Memory(place("cpu", exact=True)), Preprocess("1", asked, FILES[PICTURE], (64, 96), files)).problem
        return problem.field, problem.message

    for call, sentence in ((short, "dw_openpose_full needs more memory than there is"), (broken, "dw_openpose_full failed on this picture: mat1")):
        monkeypatch.setitem(TRAINED, "dw_openpose_full", replace(TRAINED["dw_openpose_full"], call=call))
        field, message = told(unit(module="dw_openpose_full"))
        assert field == "guides[0].module" and message.startswith(sentence)
    monkeypatch.setitem(PREPROCESSORS, "canny", short)
    assert told(unit(module="canny")) == ("guides[0].module", "canny needs more memory than there is: choose a smaller preprocessor resolution or picture")


JOINTS = [(.5, .2), (.5, .32), (.38, .34), (.32, .46), (.28, .58), (.62, .34), (.68, .46), (.72, .58), (.43, .6), (.42, .75), (.41, .9),
          (.57, .6), (.58, .75), (.59, .9), (.46, .17), (.54, .17), (.42, .2), (.58, .2)]
LIMBS = [(2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12), (12, 13), (13, 14), (2, 1), (1, 15), (15, 17), (1, 16), (16, 18), (3, 17), (6, 18)]
FIELDS = [(31, 32), (39, 40), (33, 34), (35, 36), (41, 42), (43, 44), (19, 20), (21, 22), (23, 24), (25, 26), (27, 28), (29, 30), (47, 48), (49, 50), (53, 54), (51, 52),
          (55, 56), (37, 38), (45, 46)]


class Standing(nn.Module):
    """In the place of OpenPose's network of a body, in its signature: sees one who stands, in whatever picture."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(1, 1, bias=False)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = (side // 8 for side in picture.shape[2:])
        rows, columns = torch.meshgrid(torch.arange(height) + .5, torch.arange(width) + .5, indexing="ij")
        heat, fields = torch.zeros(1, 19, height, width), torch.zeros(1, 38, height, width)
        for number, (x, y) in enumerate(JOINTS):
            heat[0, number] = torch.exp(-((columns - x * width) ** 2 + (rows - y * height) ** 2) / 2)
        for (one, other), channels in zip(LIMBS, FIELDS, strict=True):
            way = torch.tensor(JOINTS[other - 1]) - torch.tensor(JOINTS[one - 1])
            for channel, share in zip(channels, way / way.norm(), strict=True):
                fields[0, channel - 19] = share
        return fields, heat


class Blind(nn.Module):
    """In the place of those of hands and faces: they see none."""

    def __init__(self, *given: object) -> None:
        super().__init__()
        self.part = nn.Linear(1, 1, bias=False)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return torch.zeros(1, 22, picture.shape[2] // 8, picture.shape[3] // 8)


def test_open_pose_finds_the_points_of_a_body_by_networks_in_its_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from controlnet_aux.open_pose import body, face, hand

    for place_of, name, network in ((body, "bodypose_model", Standing), (hand, "handpose_model", Blind), (face, "FaceNet", Blind)):
        monkeypatch.setattr(place_of, name, network)
    folder = tmp_path / "annotators"
    folder.mkdir()
    for name in MODULES["openpose"].files:
        torch.save({"part.weight" if name == "facenet.pth" else "weight": torch.ones(1, 1)}, folder / name)     # as each is named there
    asked = unit(module="openpose", pixel_perfect=True, resize_mode="Just Resize")
    command = Preprocess("1", asked, FILES[PICTURE], (96, 96), annotator_files([asked], ModelCatalog((tmp_path,))), find_points=True)
    found = preprocessed(Memory(place("cpu", exact=True)), command)
    assert not found.problem, found.problem
    (person,) = read_people(found.points)
    (points,) = person.values()
    assert len(points) == len(JOINTS) and all(points), "all joints of one person"
    assert np.abs(np.array(points)[:, :2] - np.array(JOINTS)).max() < 0.04
    assert np.frombuffer(found.pixels, np.uint8).any()


def test_instant_ids_points_are_found_in_the_face_that_is_meant(tmp_path: Path) -> None:
    face_networks.save(tmp_path, "antelopev2", nested=True)
    picture = png(face_networks.face_picture((3, 4), (9, 8)))
    for number, corner in enumerate(((4, 3), (8, 9))):
        asked = unit(module=KEY_POINTS, face_order="Left to right", face_index=number, resize_mode="Just Resize")
        files = annotator_files([asked], ModelCatalog((tmp_path,)))
        found = preprocessed(Memory(place("cpu", exact=True)), Preprocess("1", asked, picture, (320, 320), files, find_points=True))
        assert not found.problem, found.problem
        (person,) = read_people(found.points)
        (points,) = person.values()
        wanted = (face_networks.POINTS + np.array(corner) * face_networks.SIDE) / 640
        assert np.abs(np.array(points)[:, :2] - wanted).max() < 0.01


def test_memory_that_is_short_makes_no_file_a_broken_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    torch.save({"a": torch.ones(1)}, file)
    def full(*asked: object, **more: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    name, trained = next(iter(TRAINED.items()))
    monkeypatch.setitem(TRAINED, name, replace(trained, load=full, call=full))
    with pytest.raises(torch.OutOfMemoryError):
        load(name, [file])
    with pytest.raises(torch.OutOfMemoryError):
        preprocessor(name, Detector(None, ()))(drawn_square(), 64, -1, -1)
    for reader, network in ((segmenter, SamModel), (captioner, BlipForConditionalGeneration)):
        monkeypatch.setattr(network, "from_pretrained", full)
        with pytest.raises(torch.OutOfMemoryError):
            reader.load(ModelFile("any", "a", str(tmp_path)), place("cpu", exact=True))
