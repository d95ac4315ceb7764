"""SCRFD (Guo et al. 2021): finds faces with five points each, from insightface's ONNX files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.device import Placement
from backend.worker.models.onnx_session import OnCPU, Session, read_session, side_of
from backend.worker.models.overlapping_boxes import Numbers, apart
from backend.worker.pixels import Pixels
from backend.worker.pixels.face_restoration import Points

STRIDES = (8, 16, 32)
SIDE = 640                      # pixels of the square that is looked at, where the file leaves it open
MOST = 1_000                    # faces in a picture
SURE = 0.5                      # score from which something counts as a face


@dataclass(frozen=True, slots=True, eq=False)
class Detector(OnCPU):
    """A detector in memory."""

    file: ModelFile
    session: Session
    side: int
    bytes: int

    def faces(self, pixels: Pixels) -> list[Points]:
        """The five points of each face in pixels (H, W, 3), the surest first."""
        return list(self._found(pixels, SURE)[1])

    def boxes(self, pixels: Pixels, confidence: float) -> Numbers:
        """(n, 4): left, top, right, bottom of each face in pixels (H, W, 3), the surest first."""
        return self._found(pixels, confidence)[0]

    def _found(self, pixels: Pixels, confidence: float) -> tuple[Numbers, Numbers]:
        """Boxes (n, 4) and points (n, 5, 2) in pixels."""
        height, width = pixels.shape[:2]
        ratio = self.side / max(height, width)
        size = max(round(width * ratio), 1), max(round(height * ratio), 1)
        canvas = np.zeros((self.side, self.side, 3), np.float32)
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        canvas[:size[1], :size[0]] = small
        entry = self.session.get_inputs()[0].name
        answers = self.session.run(None, {entry: ((canvas - 127.5) / 128).transpose(2, 0, 1)[None]})
        boxes, points = self._decoded([np.asarray(a, float) for a in answers], confidence)
        return boxes / ratio, points / ratio

    def _decoded(self, answers: list[Numbers], confidence: float) -> tuple[Numbers, Numbers]:
        """Nine outputs: for each stride the scores, then the boxes as distances to four sides, then the points."""
        levels = [self._level(stride, answers[n::3], confidence) for n, stride in enumerate(STRIDES)]
        scores, boxes, points = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        finite = np.isfinite(boxes).all(1)
        scores, boxes, points = scores[finite], boxes[finite], points[finite]
        kept = apart(boxes, np.argsort(-scores), most=MOST)
        return boxes[kept], points[kept]

    def _level(self, stride: int, answers: list[Numbers], confidence: float) -> tuple[Numbers, Numbers, Numbers]:
        scores, sides, points = answers
        scores = scores.reshape(-1)
        cells = self.side // stride
        down, across = np.divmod(np.arange(cells * cells), cells)
        middles = np.stack([across, down], -1).repeat(len(scores) // cells**2, 0) * stride
        sure = scores >= confidence
        middle, sides = middles[sure], sides.reshape(-1, 4)[sure] * stride
        boxes = np.concatenate([middle - sides[:, :2], middle + sides[:, 2:]], 1)
        return scores[sure], boxes, middle[:, None] + points.reshape(-1, 5, 2)[sure] * stride


def load(file: ModelFile, placement: Placement) -> Detector:
    """Read a detector; it runs on the CPU. CheckpointError when the file is none."""
    session = read_session(Path(file.path), "faces")
    if len(session.get_outputs()) != 3 * len(STRIDES):
        raise CheckpointError(f"{Path(file.path).name} does not tell where eyes, nose and mouth are")
    return Detector(file, session, side_of(session, otherwise=SIDE), Path(file.path).stat().st_size)
