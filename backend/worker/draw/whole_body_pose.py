"""DWPose (Yang et al. 2023): people found by YOLOX, 133 points of each by RTMPose, drawn as OpenPose draws them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from backend.worker.draw.preprocessors import shorter
from backend.worker.models.onnx_session import read_session, side_of
from backend.worker.pixels import Pixels

Floats = NDArray[np.float32]
STRIDES = (8, 16, 32)
PEOPLE, OVERLAP, VISIBLE = 0.3, 0.45, 0.3       # least score of a person and of a point; most overlap of two people
GREY = 114                                      # around the picture that YOLOX is shown
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
AROUND = 1.25                                   # of a person's box, as RTMPose was trained
PARTS = 2                                       # of a pixel, that a point is told in
# The points of COCO, with the neck between the shoulders as number 17 -> OpenPose's 18 of a body
BODY = (0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
FACE, LEFT_HAND, RIGHT_HAND = slice(23, 91), slice(91, 112), slice(112, 133)
SHOULDERS = (5, 6)


@dataclass(eq=False)
class WholeBodyPose:
    """The two networks, run by onnxruntime on the CPU."""

    people: Any
    points: Any

    @classmethod
    def load(cls, people: Path, points: Path) -> Self:
        """From their ONNX files. Raises CheckpointError where one is broken."""
        made = cls(read_session(people, "people"), read_session(points, "the points of a body"))
        for session in (made.people, made.points):
            side_of(session)
            side_of(session, axis=2)
        return made

    def drawn(self, pixels: Pixels, resolution: int) -> Pixels:
        """Everybody in the picture (H, W, 3) as points and limbs on black."""
        from controlnet_aux.open_pose import draw_poses

        height, width = shorter(pixels, resolution).shape[:2]
        return draw_poses(self.poses(pixels, resolution), height, width)

    def poses(self, pixels: Pixels, resolution: int) -> list[Any]:
        """Of everybody in the picture, as controlnet-aux has them, in shares of its sides."""
        picture = shorter(pixels, resolution)
        height, width = picture.shape[:2]
        return [_pose(*self._points(picture, box), width, height) for box in self._people(picture)]

    def _people(self, picture: Pixels) -> list[Floats]:
        """Boxes (left, top, right, bottom) in pixels."""
        import cv2

        side = int(self.people.get_inputs()[0].shape[2])
        scale = min(side / picture.shape[0], side / picture.shape[1])
        small = cv2.resize(picture, (int(picture.shape[1] * scale), int(picture.shape[0] * scale)))
        shown = np.full((side, side, 3), GREY, np.uint8)
        shown[: small.shape[0], : small.shape[1]] = small[..., ::-1]
        (found,) = self.people.run(None, {self.people.get_inputs()[0].name:
                                          shown.transpose(2, 0, 1)[None].astype(np.float32)})
        boxes, scores = _boxes(found[0], side)
        kept = cv2.dnn.NMSBoxes(_cornered(boxes), scores.tolist(), PEOPLE, OVERLAP)
        return [boxes[number] / scale for number in np.asarray(kept, int).flatten()]

    def _points(self, picture: Pixels, box: Floats) -> tuple[Floats, Floats]:
        """Places (133, 2) in pixels, and how sure each is (133,)."""
        import cv2

        height, width = (int(side) for side in self.points.get_inputs()[0].shape[2:])
        centre, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * AROUND
        wide = max(float(size[0]), float(size[1]) * width / height)
        scale = width / wide
        corner = centre - np.array([wide, wide * height / width], np.float32) / 2
        laid = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]], np.float32)
        shown = cv2.warpAffine(picture, laid, (width, height), flags=cv2.INTER_LINEAR).astype(np.float32)
        shown = (shown - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        across, down = self.points.run(None, {self.points.get_inputs()[0].name: shown.transpose(2, 0, 1)[None]})
        places = np.stack([across[0].argmax(axis=1), down[0].argmax(axis=1)], axis=1).astype(np.float32) / PARTS
        return places / scale + corner, np.minimum(across[0].max(axis=1), down[0].max(axis=1))


def _boxes(found: Floats, side: int) -> tuple[Floats, Floats]:
    """(n, 4) corners and (n,) scores of people, from what YOLOX tells of every cell."""
    cells = [np.stack(np.meshgrid(np.arange(side // stride), np.arange(side // stride)), axis=2).reshape(-1, 2)
             for stride in STRIDES]
    strides = np.concatenate([np.full((len(each), 1), stride) for each, stride in zip(cells, STRIDES, strict=True)])
    centres = (found[:, :2] + np.concatenate(cells)) * strides
    sizes = np.exp(found[:, 2:4]) * strides
    scores = found[:, 4] * found[:, 5]
    likely = scores > PEOPLE
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    return corners[likely].astype(np.float32), scores[likely]


def _cornered(boxes: Floats) -> list[list[float]]:
    """As (left, top, width, height)."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def _pose(places: Floats, scores: Floats, width: int, height: int) -> Any:
    from controlnet_aux.open_pose import PoseResult
    from controlnet_aux.open_pose.body import BodyResult, Keypoint

    neck, sure = places[list(SHOULDERS)].mean(axis=0), scores[list(SHOULDERS)].min()
    body_places = np.insert(places[:17], 17, neck, axis=0)[list(BODY)]
    body_scores = np.append(scores[:17], sure)[list(BODY)]
    relative = np.array([width, height], np.float32)

    def points(found: Floats, likely: Floats) -> list[Any]:
        return [Keypoint(*(place / relative).tolist()) if score > VISIBLE else None
                for place, score in zip(found, likely, strict=True)]

    hands_and_face = (points(places[part], scores[part]) for part in (LEFT_HAND, RIGHT_HAND, FACE))
    body = BodyResult(points(body_places, body_scores), float(body_scores.sum()), int((body_scores > VISIBLE).sum()))
    return PoseResult(body, *hands_and_face)
