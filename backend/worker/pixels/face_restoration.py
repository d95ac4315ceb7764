"""Faces in a picture: cut out upright at the size that restorers know, and put back without a visible edge.

The five points are the eyes, the nose and the corners of the mouth; the template is that of the FFHQ data set, which
GFPGAN, RestoreFormer and CodeFormer were trained on.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.request.face_swap import NO_FACE_MODEL
from backend.request.request import Request
from backend.worker.pixels import Pixels

FACE = 512                      # side of an aligned face in pixels
TEMPLATE = np.array([[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043],
                     [313.08905, 371.15118]])
EDGE = 48                       # pixels of an aligned face over which it gives way to the picture
NO_FACES = "No faces were found; the picture's own stay as they are."
SMALLEST = 5.0                  # distance of the eyes in pixels below which nothing can be made of a face

Points = NDArray[np.float64]    # (5, 2): x, y in pixels


@dataclass(frozen=True, slots=True, eq=False)
class FindFaces:
    """Work item: look for faces in pixels, uint8 (H, W, 3). Answered by the five `Points` of each."""

    pixels: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class RestoreFace:
    """Work item: make an aligned face (512, 512, 3) clean with the restorer `kind`. Answered by the same shape."""

    kind: str
    face: Pixels
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class SwapFaces:
    """Work item: put a face of `source`, an id of the job's pictures, into pixels (H, W, 3), as a request says.

    `source_face` is that of all, unless `source_faces` has a number for each of the targets. In the place of a picture
    `model` may name a face model. `count_all`: numbers are those among all faces, also where only one gender counts.
    `sure` and `most`: which faces are seen at all, see `FaceAnalysis.faces`. `mask`: nothing beside a face changes.
    Answered by `Swapped`.
    """

    pixels: Pixels
    source: str
    source_face: int
    source_gender: str
    targets: str
    gender: str
    order: str
    source_faces: str = ""
    model: str = ""
    count_all: bool = False
    sure: float = 0.5
    most: int = 0
    mask: bool = False

    @classmethod
    def of(cls, request: Request, pixels: Pixels) -> Self:
        """As the request's fields say."""
        model = "" if request.face_swap_model == NO_FACE_MODEL else request.face_swap_model
        return cls(pixels, request.face_swap, request.face_swap_source, request.face_swap_source_gender,
                   request.face_swap_targets, request.face_swap_gender, request.face_swap_order,
                   request.face_swap_sources, model, request.face_swap_count_all, request.face_swap_threshold,
                   request.face_swap_most, request.face_swap_mask)


class Swapped(NamedTuple):
    """The picture (H, W, 3), how many of its faces were replaced, and what a person should know of the others."""

    pixels: Pixels
    replaced: int
    note: str


Restoring = Generator[FindFaces | RestoreFace, Any, tuple[Pixels, int]]


def restored(pixels: Pixels, kind: str, weight: float = 0.5, visibility: float = 1.0) -> Restoring:
    """The picture (H, W, 3) with every face that was found made clean, and how many there were.

    `visibility`: how much of that is laid over the picture.
    """
    found = [points for points in (yield FindFaces(pixels)) if math.dist(points[0], points[1]) >= SMALLEST]
    result = pixels.copy()
    for points in found:
        transform = alignment(points)
        clean = yield RestoreFace(kind, aligned(pixels, transform), weight)
        paste(result, clean, transform)
    return mixed(pixels, result, visibility), len(found)


def mixed(first: Pixels, second: Pixels, share: float) -> Pixels:
    """The second laid over the first; at 1 the second alone."""
    if share >= 1:
        return second
    return np.asarray(Image.blend(Image.fromarray(first), Image.fromarray(second), share))


def alignment(points: Points) -> Points:
    """(2, 3): the similarity that brings the picture's points closest to the template (Umeyama 1991)."""
    middle, template = points.mean(0), TEMPLATE.mean(0)
    off, wanted = points - middle, TEMPLATE - template
    left, stretch, right = np.linalg.svd(wanted.T @ off)
    sign = np.array([1.0, np.sign(np.linalg.det(left @ right))])
    scale = (stretch * sign).sum() / (off**2).sum()
    transform = scale * (left * sign) @ right
    return np.column_stack([transform, template - transform @ middle])


def aligned(pixels: Pixels, transform: Points) -> Pixels:
    """The face (512, 512, 3), upright; grey where the picture ends."""
    return _warped(Image.fromarray(pixels), inverse(transform), (FACE, FACE), (135, 133, 132))


def paste(picture: Pixels, face: Pixels, transform: Points) -> None:
    """Lay an aligned face back into the picture, in place; its edge is feathered."""
    height, width = picture.shape[:2]
    corners = np.array([[0, 0, 1], [FACE, 0, 1], [0, FACE, 1], [FACE, FACE, 1]]) @ inverse(transform).T
    left, top = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(corners.max(0)), (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    moved, size = transform.copy(), (int(right - left), int(bottom - top))
    moved[:, 2] += transform[:, :2] @ (left, top)
    drawn = _warped(Image.fromarray(face), moved, size, (0, 0, 0)).astype(np.float32)
    share = _warped(Image.fromarray(_mask()), moved, size, 0).astype(np.float32)[..., None] / 255
    part = picture[top:bottom, left:right]
    part[:] = np.rint(part + (drawn - part) * share)


def inverse(transform: Points) -> Points:
    """(2, 3): the way back."""
    back = np.linalg.inv(transform[:, :2])
    return np.column_stack([back, -back @ transform[:, 2]])


def _mask() -> Pixels:
    """(512, 512): 255 inside, falling to 0 at the edge."""
    inwards = np.minimum(np.arange(FACE) + 0.5, FACE - np.arange(FACE) - 0.5) / EDGE
    ramp = np.clip(inwards, 0, 1)
    return np.rint(np.minimum.outer(ramp, ramp) * 255).astype(np.uint8)


def _warped(image: Image.Image, transform: Points, size: tuple[int, int], ground: Any) -> Pixels:
    """What lies at `transform` of each pixel of the result."""
    return np.asarray(image.transform(size, Image.Transform.AFFINE, tuple(transform.ravel()), Image.Resampling.BICUBIC,
                                      fillcolor=ground))
