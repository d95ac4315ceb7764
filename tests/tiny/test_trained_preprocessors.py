"""Preprocessors with weights: read from local files with random weights, moved, shown a picture; and what a missing file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from backend.catalog.guide_files import annotator_files, missing_files
from backend.catalog.model_catalog import ModelCatalog
from backend.errors import CheckpointError, InvalidRequest
from backend.messages import Preprocess
from backend.request.guide_modules import KEY_POINTS, MODULES
from backend.worker.device import place
from backend.worker.draw.preprocessors import PREPROCESSORS
from backend.worker.draw.trained_preprocessors import TRAINED, load, preprocessor
from backend.worker.engine.guide_loading import preprocessed
from backend.worker.models.memory import Memory
from tests.tiny.test_guides import FILES, PICTURE, drawn_square, unit


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


MAKERS: dict[str, Callable[[Path], None]] = {"softedge_teed": teed, "lineart_realistic": lines, "depth_anything_v2": depth, "dw_openpose_full": pose}


def test_every_module_that_needs_files_is_there() -> None:
    assert set(TRAINED) == {name for name, module in MODULES.items() if module.files}
    assert set(PREPROCESSORS) == {name for name, module in MODULES.items() if not module.files and module.kind != "reference" and name != KEY_POINTS}


@torch.inference_mode()
@pytest.mark.parametrize("name", MAKERS)
def test_a_preprocessor_with_weights_is_read_and_kept(name: str, tmp_path: Path) -> None:
    folder, asked = tmp_path / "annotators", unit(module=name)
    folder.mkdir()
    catalog, memory = ModelCatalog((tmp_path,)), Memory(place("cpu", exact=True))
    with pytest.raises(InvalidRequest, match="put it into models/annotators") as caught:
        annotator_files([asked], catalog)
    assert caught.value.problems[0].field == "guides[0].module" and MODULES[name].files[0] in missing_files(MODULES[name], catalog)
    MAKERS[name](folder)
    files = annotator_files([asked], ModelCatalog((tmp_path,)))
    answers = [preprocessed(memory, Preprocess("1", asked, FILES[PICTURE], (64, 96), files)) for _ in range(2)]
    assert answers[0].problem is None and (answers[0].width, answers[0].height) == (96, 64) and answers[0] == answers[1]
    pixels = np.frombuffer(answers[0].pixels, np.uint8).reshape(64, 96, 3)
    assert pixels.any() if name == "dw_openpose_full" else pixels.std() >= 0


@torch.inference_mode()
def test_a_pose_is_drawn_where_the_points_are(tmp_path: Path) -> None:
    pose(tmp_path)
    detector = load("dw_openpose_full", [tmp_path / "yolox_l.onnx", tmp_path / "dw-ll_ucoco_384.onnx"])
    drawn = preprocessor("dw_openpose_full", detector)(drawn_square(64, 64), 64, 0, 0)
    rows, columns = np.nonzero(drawn.max(axis=2) > 60)
    assert len(rows) > 20 and columns.min() >= 4 and columns.max() <= 52, "inside the person's box with what is around it, and a point's radius"


def test_a_broken_file_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "7_model.pth").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"7_model.pth is not what softedge_teed needs"):
        load("softedge_teed", [tmp_path / "7_model.pth"])
