"""ONNX files that are no detectors, or answer what none does: a sentence names the file, and nothing grows without end."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from backend.catalog.model_file import FACE_DETECTOR, OBJECT_DETECTOR, ModelFile
from backend.errors import CheckpointError
from backend.worker.device import place
from backend.worker.engine.object_finding import objects_found
from backend.worker.models.memory import Memory
from backend.worker.pixels.object_detection import FindObjects, Objects

SECONDS = 3.0
PLAIN = np.zeros((1, 5, 8))


class Program:
    """What of a program such work uses."""

    def __init__(self, file: ModelFile, name: str) -> None:
        self.task = SimpleNamespace(run=SimpleNamespace(files={(file.kind, name): file}))
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def save(path: Path, *answers: Any, side: Any = 64, shape: list[Any] | None = None, **told: str) -> None:
    """A network that always answers the same, whatever square it is shown."""
    values = [np.asarray(each, np.float32) for each in answers]
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"v{number}"], [f"y{number}"]) for number in range(len(values))], "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape or [1, 3, side, side])],
        [helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, each.shape) for number, each in enumerate(values)],
        [numpy_helper.from_array(each, f"v{number}") for number, each in enumerate(values)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, told)
    onnx.save(model, path)


def found(path: Path, kind: str = OBJECT_DETECTOR) -> Objects:
    name = "" if kind == FACE_DETECTOR else "x"
    work = FindObjects(np.full((48, 64, 3), 128, np.uint8), "Faces" if kind == FACE_DETECTOR else "x", "", 0.3, 0)
    started = time.process_time()
    try:
        return objects_found(Memory(place("cpu", exact=True)), Program(ModelFile(kind, "x", str(path)), name), work)     # type: ignore[arg-type]
    finally:
        assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("answers, how, why", [
    ((PLAIN,), {"side": 100_000}, "squares of pixels"), ((PLAIN,), {"side": 0}, "squares of pixels"), ((PLAIN,), {"shape": [3]}, "squares of pixels"),
    ((np.full((1, 300, 6), 2e9),), {}, "of no class"), ((np.full((1, 300, 6), -5.0),), {}, "of no class"), ((np.full((1, 300, 6), 1e30),), {}, "of no class"),
    ((np.zeros((1, 6, 300_000)),), {}, "more than any detector"), ((np.zeros((1, 2, 3)),), {}, "x failed on this picture"),
    ((np.full((1, 40, 9), 10.0), np.zeros((1, 7))), {}, "x failed on this picture"), ((np.full((1, 40, 9), 10.0), np.zeros((1, 7, 0, 5))), {}, "x failed on this picture"),
])
def test_what_no_detector_asks_or_answers_is_told_of_its_file(tmp_path: Path, answers: tuple[np.ndarray, ...], how: dict[str, Any], why: str) -> None:
    save(tmp_path / "x.onnx", *answers, **how)
    with pytest.raises(CheckpointError, match=why) as told:
        found(tmp_path / "x.onnx")
    assert told.value.problems[0].field == "detailers[0].model"


@pytest.mark.parametrize("names", ["{0: 'cat', 'b': 'dog'}", "-" * 50_000 + "1", "(" * 100_000, "{" + ",".join(f"{n}:0" for n in range(300_000)) + "}"],
                         ids=["mixed", "signs", "brackets", "many"])
def test_names_without_sense_are_none(tmp_path: Path, names: str) -> None:
    save(tmp_path / "x.onnx", PLAIN, names=names)
    assert len(found(tmp_path / "x.onnx").boxes) == 0


@pytest.mark.parametrize("number", [np.inf, np.nan, 1e30])
def test_boxes_that_lie_nowhere_are_none(tmp_path: Path, number: float) -> None:
    rows = np.full((1, 5, 1000), number)
    rows[:, 4] = 0.9
    save(tmp_path / "x.onnx", rows)
    assert len(found(tmp_path / "x.onnx").boxes) == 0


@pytest.mark.parametrize("number", [np.inf, np.nan, 0.001])
def test_faces_everywhere_and_nowhere_are_looked_through_in_time(tmp_path: Path, number: float) -> None:
    answers = [np.full(((640 // stride)**2 * 2, width), number if width > 1 else 0.9) for width in (1, 4, 10) for stride in (8, 16, 32)]
    save(tmp_path / "det_10g.onnx", *answers, side=640)
    assert len(found(tmp_path / "det_10g.onnx", FACE_DETECTOR).boxes) <= 1000


def test_faces_of_other_shapes_are_told_of_their_file(tmp_path: Path) -> None:
    for side in (4, 640, 100_000):
        save(tmp_path / f"det_{side}g.onnx", *[np.ones((7, 3))] * 9, side=side)
        with pytest.raises(CheckpointError, match=r"failed on this picture|squares of pixels"):
            found(tmp_path / f"det_{side}g.onnx", FACE_DETECTOR)
