"""How alike two people are: the largest face of each of two pictures, by a network that knows faces again."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from backend.errors import CheckpointError, EaselError, InvalidRequest, OutOfMemory, Problem
from backend.messages import CompareFaces, FacesCompared
from backend.request.guide_unit import LARGEST
from backend.worker.draw.annotation import opaque
from backend.worker.engine.picture_prompts import faces_in
from backend.worker.faces.analysis import Face
from backend.worker.faces.selection import chosen
from backend.worker.models.memory import Memory

PLACES = ("The left picture", "The right picture")


def faces_compared(memory: Memory, command: CompareFaces) -> FacesCompared:
    """The cosine of the angle between both identities, -1..1; or why there is none, in a whole sentence."""
    try:
        first, second = (_face(memory, command, number) for number in range(len(PLACES)))
    except (CheckpointError, InvalidRequest, OutOfMemory, OSError) as error:
        said = error.problems[0].message if isinstance(error, EaselError) else "A picture cannot be read."
        return FacesCompared(command.task, problem=Problem(said))
    return FacesCompared(command.task, float(np.dot(first.normed, second.normed)))


def _face(memory: Memory, command: CompareFaces, number: int) -> Face:
    pixels = np.asarray(opaque(Image.open(io.BytesIO(command.pictures[number]))))
    try:
        return chosen(faces_in(memory, command.file, pixels, pixels), LARGEST, 0)
    except InvalidRequest as error:
        raise InvalidRequest(f"{PLACES[number]} {error.problems[0].message}.") from error
