"""Detectors that ultralytics has exported to ONNX.

Input (1, 3, H, W) in 0..1; output (1, 4 + classes, N): middle, width and height in pixels of the input, then a score
for each class. A network that also outlines what it finds has 32 numbers more, the shares of as many pictures
(32, H / 4, W / 4) of a second output. Exports with their own end, as those of YOLO26 are, give (1, N, 6): left, top,
right, bottom, score and class of each object, and the 32 numbers behind.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.errors import CheckpointError
from backend.worker.device import Placement
from backend.worker.models.detector_candidates import Candidates, of_rows
from backend.worker.models.onnx_session import OnCPU, Session, read_session, side_of
from backend.worker.models.overlapping_boxes import Numbers

SIDE = 640              # pixels of the square that is looked at, where the file leaves it open
OUTLINES = 32           # numbers of each box that belong to its outline
ENDED = 6               # numbers of an object where the network itself has left out what is found twice
MOST_ROWS = 200_000     # candidates: a square of 1280 pixels has 102,000 of YOLOv5's
MOST_CLASSES = 10_000   # that are counted where the file does not name them
MOST_LETTERS = 1 << 20  # of the names of all classes
MOST_ENDED = 300        # objects that such a network gives, where nobody has asked for another number
NUMBERS = {"tensor(float16)": np.float16}       # in which a network wants to be shown pictures; else float32


@dataclass(frozen=True, slots=True, eq=False)
class OnnxDetector(OnCPU):
    """A session in memory; `names` of its classes, none where the file does not tell them."""

    session: Session
    names: tuple[str, ...]
    bytes: int

    @property
    def side(self) -> int:
        """Of the square that it wants to be shown, in pixels."""
        return side_of(self.session, otherwise=SIDE)

    def look(self, shown: NDArray[np.float32]) -> Candidates:
        """What is in (1, 3, side, side), 0..1."""
        entry = self.session.get_inputs()[0]
        first, *others = self.session.run(None, {entry.name: shown.astype(NUMBERS.get(entry.type, np.float32))})
        if max(np.shape(first)[1:]) > MOST_ROWS:
            raise CheckpointError(f"{self.session.name} finds more than any detector")
        rows = np.asarray(first, float)[0]
        parts = np.asarray(others[0], float)[0] if others else None
        if _is_ended(self.session):
            return self._ended(rows, parts)
        return of_rows(rows, len(self.names) or len(rows) - 4 - (OUTLINES if others else 0), parts)

    def _ended(self, rows: Numbers, parts: Numbers | None) -> Candidates:
        """The same of (N, 6 + outlines)."""
        if rows[:, 5].min(initial=0) < 0 or rows[:, 5].max(initial=0) >= MOST_CLASSES:
            raise CheckpointError(f"{self.session.name} finds objects of no class")
        kinds = rows[:, 5].astype(int)
        scores = np.zeros((len(rows), max(len(self.names), kinds.max(initial=0) + 1)))
        scores[np.arange(len(rows)), kinds] = rows[:, 4]
        return Candidates(rows[:, :4], scores, rows[:, ENDED:], parts, single=True)


def load(path: Path, placement: Placement) -> OnnxDetector:
    """It runs on the CPU, wherever the others are. CheckpointError when the file is no detector."""
    session = read_session(path, "objects")
    side_of(session, otherwise=SIDE)
    first = session.get_outputs()[0].shape
    names = _names(session.get_modelmeta().custom_metadata_map)
    with_sureness = 5 + len(names) if names else ENDED      # YOLOv5's own export: boxes first, each with a number more
    if len(first) != 3 or first[-1] in (ENDED, with_sureness) and not _is_ended(session):
        raise CheckpointError(f"{path.name} is no detector that can be used: export a YOLO model to ONNX without NMS")
    return OnnxDetector(session, names, path.stat().st_size)


def _is_ended(session: Session) -> bool:
    """By the shape, and by what the export tells of itself or the usual number of objects."""
    first, *others = session.get_outputs()
    told = session.get_modelmeta().custom_metadata_map
    says_so = told.get("end2end") == "True" or "'nms': True" in told.get("args", "")
    return first.shape[-1] == ENDED + (OUTLINES if others else 0) and (says_so or first.shape[1] == MOST_ENDED)


def _names(told: dict[str, str]) -> tuple[str, ...]:
    """The names of classes, which the export writes as {0: 'face', 1: ...}."""
    try:
        names = ast.literal_eval(told.get("names", "{}")[:MOST_LETTERS])
        return tuple(str(names[number]) for number in sorted(names)) if isinstance(names, dict) else ()
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return ()
