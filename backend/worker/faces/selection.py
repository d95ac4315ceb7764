"""Which of a picture's faces is meant: by gender, by size or place, then by number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from backend.errors import InvalidRequest
from backend.request.face_swap import EVERYBODY, FEMALE, MALE
from backend.request.guide_unit import FACE_ORDERS
from backend.worker.faces.analysis import Face

NONE_FOUND = ("shows no face that could be found; choose a picture in which one is larger, sharper and seen from the "
              "front")
_BY = (lambda face: -face.area, lambda face: face.area, lambda face: face.box[0], lambda face: -face.box[2],
       lambda face: face.box[1], lambda face: -face.box[3])
_MALE = {FEMALE: False, MALE: True}
_KEYS: Mapping[str, Callable[[Face], float]] = dict(zip(FACE_ORDERS, _BY, strict=True))


def in_order(faces: Sequence[Face], order: str) -> list[Face]:
    """All of them in one of FACE_ORDERS."""
    return sorted(faces, key=_KEYS[order])


def chosen(faces: Sequence[Face], order: str, number: int) -> Face:
    """The face that has this number in an order, counted from 0. Raises InvalidRequest."""
    if not faces:
        raise InvalidRequest(NONE_FOUND)
    if number >= len(faces):
        there = "one face, number 0" if len(faces) == 1 else f"{len(faces)} faces, 0 to {len(faces) - 1}"
        raise InvalidRequest(f"shows {there}; there is no number {number}")
    return in_order(faces, order)[number]


def of_gender(faces: Sequence[Face], gender: str, *, everybody: bool = False) -> list[Face]:
    """Those among whom numbers count: all of one gender, or `everybody`.

    Raises InvalidRequest where nothing tells men from women.
    """
    if gender != EVERYBODY and any(face.male is None for face in faces):
        raise InvalidRequest("needs insightface's genderage.onnx beside its other files to tell men from women")
    return list(faces) if everybody else [face for face in faces if is_of_gender(face, gender)]


def is_of_gender(face: Face, gender: str) -> bool:
    """Whether it is one of those that "Male", "Female" or everybody means."""
    return gender == EVERYBODY or face.male == _MALE[gender]
