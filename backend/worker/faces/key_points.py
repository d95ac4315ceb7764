"""The five points of a face as the picture that InstantID's ControlNet was trained on (Wang et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backend.worker.faces.analysis import Face
from backend.worker.pixels import Pixels

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))    # eyes, nose, corners of the mouth
LIMBS = ((0, 2), (1, 2), (3, 2), (4, 2))        # all meet at the nose
HALF_WIDTH, RADIUS = 4, 10                      # pixels
DIM = 0.6                                       # of a limb, so that points stand out


def drawn(face: Face, size: tuple[int, int]) -> Pixels:
    """The points of a face at their places on black, (H, W, 3); `size` is that of the picture: (height, width)."""
    return of_points(face.points, size)


def of_points(points: Sequence[Sequence[float]], size: tuple[int, int]) -> Pixels:
    """As `drawn`: the five points in pixels."""
    import cv2

    picture = np.zeros((*size, 3), np.uint8)
    for first, second in LIMBS:
        (x1, y1), (x2, y2) = points[first], points[second]
        length, angle = math.dist((x1, y1), (x2, y2)), math.degrees(math.atan2(y1 - y2, x1 - x2))
        middle = int((x1 + x2) / 2), int((y1 + y2) / 2)
        limb = cv2.ellipse2Poly(middle, (int(length / 2), HALF_WIDTH), int(angle), 0, 360, 1)
        cv2.fillConvexPoly(picture, limb, COLOURS[first])
    picture = (picture * DIM).astype(np.uint8)
    for point, colour in zip(points, COLOURS, strict=True):
        cv2.circle(picture, (int(point[0]), int(point[1])), RADIUS, colour, -1)
    return picture
