"""How alike two people are: the largest face of each of two pictures, by a network that knows faces again."""

from __future__ import annotations

import numpy as np

from backend.errors import InvalidRequest
from backend.messages import CompareFaces, FacesCompared
from backend.request.guide_unit import LARGEST
from backend.worker.engine.face_location import picture_of, told
from backend.worker.engine.image_prompts import faces_in
from backend.worker.faces.analysis import Face
from backend.worker.faces.selection import chosen
from backend.worker.models.memory import Memory

PLACES = ("The left picture", "The right picture")


def faces_compared(memory: Memory, command: CompareFaces) -> FacesCompared:
    """The cosine of the angle between both identities, -1..1; or why there is none, in a whole sentence."""
    try:
        first, second = (_face(memory, command, number) for number in range(len(PLACES)))
    except BaseException as error:  # noqa: BLE001 - the border of one question
        return FacesCompared(command.task, problem=told(error))
    return FacesCompared(command.task, float(np.dot(first.normed, second.normed)))


def _face(memory: Memory, command: CompareFaces, number: int) -> Face:
    pixels = picture_of(command.pictures[number])
    try:
        return chosen(faces_in(memory, command.file, pixels, pixels), LARGEST, 0)
    except InvalidRequest as error:
        raise InvalidRequest(f"{PLACES[number]} {error.problems[0].message}.") from error
