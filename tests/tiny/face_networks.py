"""Small networks in the signatures of insightface's files: a red square is a face, and its colours are who it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from backend.worker.pixels import Pixels

SIDE = 32                   # pixels of a face's square, which lies on a grid of its own size, in pictures of 640 pixels
POINTS = np.array([[10, 12], [22, 12], [16, 18], [11, 24], [21, 24]], np.float32)      # inside of the square
RED = (255, 0, 0)


def face_picture(*cells: tuple[int, int], size: int = 640, inside: Sequence[tuple[int, int, int]] = (), scale: int = 1) -> Pixels:
    """Grey with a face at each (row, column) of the grid; `inside` are the colours of their lower halves."""
    pixels = np.full((size, size, 3), 120, np.uint8)
    for number, (row, column) in enumerate(cells):
        part = pixels[row * SIDE : row * SIDE + SIDE * scale, column * SIDE : column * SIDE + SIDE * scale]
        part[:] = RED
        if number < len(inside):
            part[len(part) * 3 // 4 :] = inside[number]
    return pixels


def save(folder: Path, pack: str = "antelopev2", nested: bool = False, swapper: bool = False, outlines: bool = False) -> Path:
    """A folder as insightface has it, below models/insightface; with `outlines` its key points lie around the middle of a face."""
    home = folder / "insightface" / "models" / pack / (pack if nested else "")
    home.mkdir(parents=True, exist_ok=True)
    detector_name, recognition_name = ("scrfd_10g_bnkps", "glintr100") if pack == "antelopev2" else ("det_10g", "w600k_r50")
    _write(home / f"{detector_name}.onnx", detector())
    _write(home / f"{recognition_name}.onnx", recognition(seed=len(pack)))
    _write(home / "genderage.onnx", gender_age())
    _write(home / "2d106det.onnx", landmarks(outlines))
    if swapper:
        _write(folder / "insightface" / "inswapper_128.onnx", face_swapper())
    return home


def detector() -> onnx.ModelProto:
    nodes, outputs, values = [], [], []
    for kind, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            name = f"{kind}{stride}"
            weight, bias = np.zeros((2 * width, 3, 1, 1), np.float32), np.zeros(2 * width, np.float32)
            if kind == "score" and stride == SIDE:
                weight[:, 0], weight[:, 1] = 0.7, -0.7
            if kind == "box":
                bias[:] = [0, 0, 1, 1] * 2
            if kind == "points":
                bias[:] = np.tile(POINTS.ravel() / SIDE, 2)
            values += [numpy_helper.from_array(weight, f"{name}_w"), numpy_helper.from_array(bias, f"{name}_b"),
                       numpy_helper.from_array(np.array([-1, width], np.int64), f"{name}_s")]
            nodes += [helper.make_node("AveragePool", ["input.1"], [f"{name}_p"], kernel_shape=[stride] * 2, strides=[stride] * 2),
                      helper.make_node("Conv", [f"{name}_p", f"{name}_w", f"{name}_b"], [f"{name}_c"]),
                      helper.make_node("Transpose", [f"{name}_c"], [f"{name}_t"], perm=[0, 2, 3, 1]),
                      helper.make_node("Reshape", [f"{name}_t", f"{name}_s"], [name])]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]))
    return _model(nodes, [("input.1", [1, 3, "h", "w"])], outputs, values)


def recognition(seed: int = 0) -> onnx.ModelProto:
    weight = np.random.default_rng(seed).standard_normal((48, 512)).astype(np.float32)
    nodes = [helper.make_node("AveragePool", ["input.1"], ["p"], kernel_shape=[28, 28], strides=[28, 28]),
             helper.make_node("Flatten", ["p"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["683"])]
    return _model(nodes, [("input.1", ["n", 3, 112, 112])], [helper.make_tensor_value_info("683", TensorProto.FLOAT, ["n", 512])],
                  [numpy_helper.from_array(weight, "w")])


def gender_age() -> onnx.ModelProto:
    """Who has blue inside is a man; all are 30."""
    weight, bias = np.zeros((3, 3), np.float32), np.array([0, 0.45, 0.3], np.float32)
    weight[2, 1] = 1
    nodes = [helper.make_node("GlobalAveragePool", ["data"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("MatMul", ["f", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["fc1"])]
    return _model(nodes, [("data", ["n", 3, 96, 96])], [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["n", 3])],
                  [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")])


def landmarks(outlines: bool = False) -> onnx.ModelProto:
    """All 106 points in one, or on a circle of half the width of a face's box."""
    turns = np.linspace(0, 2 * np.pi, 106, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], 1).ravel() / 3 * outlines
    nodes = [helper.make_node("GlobalAveragePool", ["data"], ["p"]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("MatMul", ["f", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["fc1"])]
    return _model(nodes, [("data", ["n", 3, 192, 192])], [helper.make_tensor_value_info("fc1", TensorProto.FLOAT, ["n", 212])],
                  [numpy_helper.from_array(np.zeros((3, 212), np.float32), "w"), numpy_helper.from_array(circle.astype(np.float32), "b")])


def face_swapper() -> onnx.ModelProto:
    """Makes a face of one colour, which tells whose it is."""
    source = np.random.default_rng(9).standard_normal((512, 3)).astype(np.float32) * 3
    nodes = [helper.make_node("MatMul", ["source", "w"], ["m"]), helper.make_node("Sigmoid", ["m"], ["g"]),
             helper.make_node("Reshape", ["g", "s"], ["c"]), helper.make_node("Mul", ["target", "zero"], ["z"]),
             helper.make_node("Add", ["z", "c"], ["output"])]
    values = [numpy_helper.from_array(source, "w"), numpy_helper.from_array(np.array([1, 3, 1, 1], np.int64), "s"),
              numpy_helper.from_array(np.zeros(1, np.float32), "zero"), numpy_helper.from_array(np.eye(512, dtype=np.float32), "emap")]
    return _model(nodes, [("target", [1, 3, 128, 128]), ("source", [1, 512])],
                  [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, 128, 128])], values)


def _model(nodes: list, inputs: list[tuple[str, list]], outputs: list, values: list) -> onnx.ModelProto:
    entries = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs]
    model = helper.make_model(helper.make_graph(nodes, "network", entries, outputs, values), opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 9
    return model


def _write(file: Path, model: onnx.ModelProto) -> None:
    onnx.save(model, file)
