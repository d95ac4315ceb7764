"""A network in ONNX whose call does not end by itself within an hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

ROUNDS = 2**50


def endless(file: Path, shown: tuple[int, ...], answers: dict[str, tuple[int, ...]]) -> None:
    """Its input is the "picture"; it would answer zeros of these shapes."""
    inside = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["goes_on"]), helper.make_node("Add", ["before", "before"], ["after"])], "round",
        [helper.make_tensor_value_info("round", TensorProto.INT64, []), helper.make_tensor_value_info("on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("before", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []), helper.make_tensor_value_info("after", TensorProto.FLOAT, [])])
    nodes = [helper.make_node("ReduceSum", ["picture"], ["sum"], keepdims=0), helper.make_node("Loop", ["rounds", "yes", "sum"], ["end"], body=inside),
             helper.make_node("Sub", ["end", "end"], ["zero"]), *(helper.make_node("Add", [f"{name}_of", "zero"], [name]) for name in answers)]
    values = [numpy_helper.from_array(np.array(ROUNDS, np.int64), "rounds"), numpy_helper.from_array(np.array(True), "yes"),
              *(numpy_helper.from_array(np.zeros(shape, np.float32), f"{name}_of") for name, shape in answers.items())]
    graph = helper.make_graph(nodes, "endless", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shown)],
                              [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in answers.items()], values)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(file))
