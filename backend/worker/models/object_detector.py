"""YOLO (Redmon et al. 2016; ultralytics' export to ONNX): finds objects of the classes that it was trained on.

Input (1, 3, H, W) in 0..1; output (1, 4 + classes, N): middle, width and height in pixels of the input, then a score
for each class. A network that also outlines what it finds has 32 numbers more, the shares of as many pictures
(32, H / 4, W / 4) of a second output: where their sum is above 0, the object is. Exports with their own end, as those
of YOLO26 are, give (1, N, 6): left, top, right, bottom, score and class of each object, and the 32 numbers behind.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError, InvalidRequest
from backend.worker.device import Placement
from backend.worker.models.onnx_session import OnCPU, read_session
from backend.worker.models.overlapping_boxes import Numbers, apart
from backend.worker.pixels import Pixels
from backend.worker.pixels.object_detection import Objects

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SIDE = 640              # pixels of the square that is looked at, where the file leaves it open
GROUND = 114            # grey beside a picture that is no square, as in the training
SAME = 0.7              # share of two boxes in common from which they are around one object
OUTLINES = 32           # numbers of each box that belong to its outline
ENDED = 6               # numbers of an object where the network itself has left out what is found twice
MOST_ENDED = 300        # objects that such a network gives, where nobody has asked for another number
TOLD = 20               # names of classes in a sentence
NUMBERS = {"tensor(float16)": np.float16}       # in which a network wants to be shown pictures; else float32


@dataclass(frozen=True, slots=True, eq=False)
class ObjectDetector(OnCPU):
    """A detector in memory; `names` of its classes, none where the file does not tell them."""

    session: InferenceSession
    names: tuple[str, ...]
    bytes: int

    def objects(self, pixels: Pixels, confidence: float, classes: str = "") -> Objects:
        """Those in pixels (H, W, 3), the surest first, with outlines where the network tells them.

        `classes`: only those of these names or numbers, parted by commas. Raises InvalidRequest for unknown ones.
        """
        entry = self.session.get_inputs()[0]
        side = entry.shape[-1] if isinstance(entry.shape[-1], int) else SIDE
        ratio = side / max(pixels.shape[:2])
        size = max(round(pixels.shape[1] * ratio), 1), max(round(pixels.shape[0] * ratio), 1)
        canvas = np.full((side, side, 3), GROUND, np.float32)
        canvas[:size[1], :size[0]] = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        shown = (canvas / 255).transpose(2, 0, 1)[None].astype(NUMBERS.get(entry.type, np.float32))
        answers = self.session.run(None, {entry.name: shown})
        boxes, scores, rest = (self._ended if self._ends else self._raw)(np.asarray(answers[0], float)[0])
        score = scores[:, self._chosen(classes, scores.shape[1])].max(1)
        sure = score >= confidence
        found = boxes[sure] / ratio
        order = np.argsort(-score[sure], kind="stable")
        kept = order if self._ends else apart(found, order, SAME)
        if len(answers) == 1:
            return Objects(found[kept])
        parts = np.asarray(answers[1], float)[0]
        return Objects(found[kept], _outlines(rest[sure][kept], parts, found[kept], pixels.shape[:2]))

    @property
    def _ends(self) -> bool:
        return _is_ended(self.session)

    def _raw(self, rows: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Of (4 + classes + outlines, N): boxes (N, 4), scores (N, classes), and the numbers of outlines."""
        outlines = OUTLINES if len(self.session.get_outputs()) > 1 else 0
        count = len(self.names) or len(rows) - 4 - outlines
        middle, half = rows[:2].T, rows[2:4].T / 2
        boxes = np.concatenate([middle - half, middle + half], 1)
        return boxes, rows[4:4 + count].T, rows[len(rows) - outlines:].T

    def _ended(self, rows: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """The same of (N, 6 + outlines)."""
        kinds = rows[:, 5].astype(int)
        scores = np.zeros((len(rows), max(len(self.names), kinds.max(initial=0) + 1)))
        scores[np.arange(len(rows)), kinds] = rows[:, 4]
        return rows[:, :4], scores, rows[:, ENDED:]

    def _chosen(self, classes: str, count: int) -> list[int]:
        wanted = [name.strip().casefold() for name in classes.split(",") if name.strip()]
        known = {str(number): number for number in range(count)}
        known |= {name.casefold(): number for number, name in enumerate(self.names[:count])}
        if unknown := next((name for name in wanted if name not in known), None):
            there = ", ".join(self.names[:TOLD]) or f"0 to {count - 1}"
            raise InvalidRequest(f"'{unknown[:60]}' is no class of this detector; there is: {there}")
        return [known[name] for name in wanted] or list(range(count))


def _outlines(shares: Numbers, parts: Numbers, boxes: Numbers, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(n, H, W), from shares (n, 32) of parts (32, h, w) that show the square; nothing outside of the boxes."""
    height, width = size
    found = np.zeros((len(boxes), height, width), np.bool_)
    for number, box in enumerate(boxes):
        level = Image.fromarray(np.tensordot(shares[number], parts, 1).astype(np.float32))
        scale = level.width / max(height, width)        # cells of a part in a pixel: the square is the longer side
        whole = level.resize((width, height), Image.Resampling.BILINEAR, (0, 0, width * scale, height * scale))
        left, top, right, bottom = np.rint(box.clip(0, [width, height, width, height])).astype(int)
        found[number, top:bottom, left:right] = np.asarray(whole)[top:bottom, left:right] > 0
    return found


def load(file: ModelFile, placement: Placement) -> ObjectDetector:
    """Read a detector; it runs on the CPU. CheckpointError when the file is none."""
    path = Path(file.path)
    session = read_session(path, "objects")
    entry, first = session.get_inputs()[0].shape, session.get_outputs()[0].shape
    if len(entry) != 4 or len(first) != 3 or first[-1] == ENDED and not _is_ended(session):
        raise CheckpointError(f"{path.name} is no detector that can be used: export a YOLO model to ONNX without NMS")
    return ObjectDetector(session, _names(session.get_modelmeta().custom_metadata_map), path.stat().st_size)


def _is_ended(session: InferenceSession) -> bool:
    """By the shape, and by what the export tells of itself or the usual number of objects."""
    first, *others = session.get_outputs()
    told = session.get_modelmeta().custom_metadata_map
    says_so = told.get("end2end") == "True" or "'nms': True" in told.get("args", "")
    return first.shape[-1] == ENDED + (OUTLINES if others else 0) and (says_so or first.shape[1] == MOST_ENDED)


def _names(told: dict[str, str]) -> tuple[str, ...]:
    """The names of classes, which the export writes as {0: 'face', 1: ...}."""
    try:
        names = ast.literal_eval(told.get("names", "{}"))
    except (ValueError, SyntaxError, RecursionError):
        return ()
    return tuple(str(names[number]) for number in sorted(names)) if isinstance(names, dict) else ()
