"""Where in a picture a face is, from its key points: what is put in for it stays within.

With 106 key points (insightface's 2d106det) it is all that they span, from ear to ear and down to the chin, and the
forehead above it. With five it is an ellipse that lies around eyes and mouth as ArcFace's average face has them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from backend.worker.faces.analysis import Face, Numbers

FOREHEAD = 0.6              # of the way from mouth to eyes, above what key points lie higher than the eyes
MIDDLE = 0.37               # of an ellipse, below the eyes, as a share of the way to the mouth
HALF_HEIGHT, HALF_WIDTH = 1.25, 1.15    # of an ellipse: shares of the way from eyes to mouth, and from eye to eye
SOFT = 0.04                 # of the face's size: how far its edge is blurred
CORNERS = 64                # of the polygon that stands for an ellipse


def covered(face: Face, size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W): 1 in the face, 0 beside it, between them at its soft edge; `size` is (height, width)."""
    import cv2

    corners, extent = around(face), float(np.sqrt(face.area))
    mask = np.zeros(size, np.float32)
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 1.0)
    return cv2.GaussianBlur(mask, (0, 0), max(extent * SOFT, 1.0))


def around(face: Face) -> Numbers:
    """The corners (n, 2) of the face in the picture, in pixels."""
    import cv2

    eyes, mouth = face.points[:2].mean(0), face.points[3:].mean(0)
    if face.outline is not None and cv2.contourArea(cv2.convexHull(face.outline.astype(np.float32))) > 0:
        up = eyes - mouth
        upper = face.outline[(face.outline - eyes) @ up > 0]
        return cv2.convexHull(np.concatenate([face.outline, upper + up * FOREHEAD]).astype(np.float32))[:, 0]
    return _ellipse(face.points, eyes, mouth)


def _ellipse(points: Numbers, eyes: Numbers, mouth: Numbers) -> Numbers:
    down, apart = mouth - eyes, float(np.linalg.norm(points[1] - points[0]))
    height = max(float(np.linalg.norm(down)), apart)
    along = down / max(float(np.linalg.norm(down)), 1e-6)
    across = np.array([along[1], -along[0]])
    turns = np.arange(CORNERS)[:, None] * (2 * math.pi / CORNERS)
    middle = eyes + down * MIDDLE
    corners = middle + np.sin(turns) * along * height * HALF_HEIGHT
    return (corners + np.cos(turns) * across * max(apart, height * 0.75) * HALF_WIDTH).astype(np.float32)
