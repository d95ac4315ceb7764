"""YOLO (Redmon et al. 2016): finds objects of the classes that a network was trained on, from ultralytics' files.

The picture is brought to the square that the network looks at, what is around the same thing is found once, and boxes
and outlines are those of the picture again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.catalog.model_file import ModelFile
from backend.errors import InvalidRequest
from backend.worker.device import Placement
from backend.worker.models import onnx_detector, yolo_checkpoint
from backend.worker.models.onnx_detector import OnnxDetector
from backend.worker.models.overlapping_boxes import Numbers, apart
from backend.worker.models.yolo_checkpoint import YoloDetector
from backend.worker.pixels import Pixels
from backend.worker.pixels.object_detection import Objects

GROUND = 114            # grey beside a picture that is no square, as in the training
SAME = 0.7              # share of two boxes in common from which they are around one object
MOST = 300              # objects in a picture, as ultralytics has it
FARTHEST = 1e6          # pixels from the corner of the square that a box may lie
TOLD = 20               # names of classes in a sentence


@dataclass(frozen=True, slots=True, eq=False)
class ObjectDetector:
    """A detector in memory. Owned by `Memory`."""

    network: OnnxDetector | YoloDetector

    @property
    def bytes(self) -> int:
        """Memory that the network takes."""
        return self.network.bytes

    @property
    def device(self) -> torch.device:
        return self.network.device

    def to(self, device: torch.device) -> Self:
        """Move the network, where it is not one that stays on the CPU."""
        self.network.to(device)
        return self

    def objects(self, pixels: Pixels, confidence: float, classes: str = "") -> Objects:
        """Those in pixels (H, W, 3), the surest first, with outlines where the network tells them.

        `classes`: only those of these names or numbers, parted by commas. Raises InvalidRequest for unknown ones.
        """
        side = self.network.side
        ratio = side / max(pixels.shape[:2])
        size = max(round(pixels.shape[1] * ratio), 1), max(round(pixels.shape[0] * ratio), 1)
        canvas = np.full((side, side, 3), GROUND, np.float32)
        canvas[:size[1], :size[0]] = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
        found = self.network.look((canvas / 255).transpose(2, 0, 1)[None])
        score = found.scores[:, self._chosen(classes, found.scores.shape[1])].max(1)
        sure = (score >= confidence) & (np.abs(found.boxes) < FARTHEST).all(1)
        boxes = found.boxes[sure] / ratio
        order = np.argsort(-score[sure], kind="stable")
        kept = order[:MOST] if found.single else apart(boxes, order, SAME, MOST)
        if found.parts is None:
            return Objects(boxes[kept])
        return Objects(boxes[kept], _outlines(found.shares[sure][kept], found.parts, boxes[kept], pixels.shape[:2]))

    def _chosen(self, classes: str, count: int) -> list[int]:
        names = self.network.names[:count]
        wanted = [name.strip().casefold() for name in classes.split(",") if name.strip()]
        known = {str(number): number for number in range(count)}
        known |= {name.casefold(): number for number, name in enumerate(names)}
        if unknown := next((name for name in wanted if name not in known), None):
            there = ", ".join(names[:TOLD]) or f"0 to {count - 1}"
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
    """CheckpointError when the file is no detector."""
    path = Path(file.path)
    read = yolo_checkpoint.load if path.suffix.lower() == ".pt" else onnx_detector.load
    return ObjectDetector(read(path, placement))
