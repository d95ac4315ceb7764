"""The points of people as they are found, and drawn as OpenPose and InstantID draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.request.guide_unit import RESIZE_MODES
from backend.request.pose_points import Person, Point
from backend.worker.faces import key_points
from backend.worker.pixels import Pixels

STRETCHED, CROPPED = RESIZE_MODES[:2]
_PARTS = ("left_hand", "right_hand", "face")


def people_of(poses: Sequence[Any]) -> list[Person]:
    """From what controlnet-aux finds."""
    return [{"body": _points(pose.body.keypoints),
             **{part: _points(found) for part in _PARTS if (found := getattr(pose, part))}} for pose in poses]


def face_of(points: Any, size: tuple[int, int]) -> list[Person]:
    """From the five points (5, 2) of a face, in pixels of a picture of `size` (height, width)."""
    height, width = size
    return [{"key_points": [(float(x) / width, float(y) / height) for x, y in points]}]


def placed(people: Sequence[Person], seen: tuple[int, int], size: tuple[int, int], mode: str) -> list[Person]:
    """From shares of the picture that was looked at to shares of the hint, into which `mode` lays it.

    `seen`, `size`: (height, width) of both.
    """
    if mode == STRETCHED:
        return list(people)
    ratios = size[1] / seen[1], size[0] / seen[0]
    scale = (max if mode == CROPPED else min)(ratios)
    across, down = scale / ratios[0], scale / ratios[1]

    def moved(point: Point | None) -> Point | None:
        return point and (0.5 + (point[0] - 0.5) * across, 0.5 + (point[1] - 0.5) * down)

    return [{part: [moved(point) for point in points] for part, points in person.items()} for person in people]


def drawn(people: Sequence[Person], size: tuple[int, int]) -> Pixels:
    """On black, (H, W, 3); `size` is (height, width)."""
    height, width = size
    faces = [person["key_points"] for person in people if person.get("key_points")]
    made = _skeletons([person for person in people if person.get("body")], size)
    for face in faces:
        picture = key_points.of_points([(point[0] * width, point[1] * height) for point in face if point], size)
        made = np.maximum(made, picture)
    return made


def _skeletons(people: Sequence[Person], size: tuple[int, int]) -> Pixels:
    if not people:
        return np.zeros((*size, 3), np.uint8)
    from controlnet_aux.open_pose import PoseResult, draw_poses
    from controlnet_aux.open_pose.body import BodyResult, Keypoint

    def points(person: Person, part: str) -> list[Any] | None:
        return [point and Keypoint(*point) for point in person[part]] if person.get(part) else None

    poses = [PoseResult(BodyResult(points(person, "body"), 0.0, 0), *(points(person, part) for part in _PARTS))
             for person in people]
    return draw_poses(poses, *size)


def _points(found: Sequence[Any]) -> list[Point | None]:
    return [point and (float(point.x), float(point.y)) for point in found]
