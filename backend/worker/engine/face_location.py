"""Where the faces of a picture are, so that somebody can choose one of them."""

from __future__ import annotations

import hashlib
import io
import logging

import numpy as np
from PIL import Image

from backend.errors import EaselError, Problem
from backend.messages import FacesLocated, LocateFaces
from backend.request.guide_unit import FACE_ORDERS
from backend.worker.engine.image_prompts import faces_in
from backend.worker.faces.selection import NONE_FOUND, in_order
from backend.worker.models.memory import Memory
from backend.worker.pixels import Pixels
from backend.worker.pixels.opaque import opaque

log = logging.getLogger(__name__)


def faces_located(memory: Memory, command: LocateFaces) -> FacesLocated:
    """The faces of a picture, or why there are none, in a whole sentence."""
    try:
        pixels = picture_of(command.picture)
        faces = faces_in(memory, command.file, hashlib.sha256(command.picture).hexdigest(), pixels)
    except BaseException as error:  # noqa: BLE001 - the border of one question
        return FacesLocated(command.task, problem=told(error))
    if not faces:
        return FacesLocated(command.task, problem=Problem(f"The picture {NONE_FOUND}."))
    height, width = pixels.shape[:2]
    boxes = tuple(tuple((face.box / (width, height, width, height)).clip(0, 1).tolist()) for face in faces)
    places = {id(face): number for number, face in enumerate(faces)}
    orders = {order: tuple(places[id(face)] for face in in_order(faces, order)) for order in FACE_ORDERS}
    return FacesLocated(command.task, boxes, tuple(face.male for face in faces), orders)


def picture_of(file: bytes) -> Pixels:
    """Pixels (H, W, 3) of a picture file. Raises what PIL raises."""
    return np.asarray(opaque(Image.open(io.BytesIO(file))))


def told(error: BaseException) -> Problem:
    """Why nothing can be said of faces, in a whole sentence."""
    if isinstance(error, EaselError):
        return Problem(error.problems[0].message)
    if isinstance(error, OSError | SyntaxError | Image.DecompressionBombError):
        return Problem("A picture cannot be read.")
    log.error("looking at faces failed", exc_info=error)
    return Problem(f"The network that knows faces failed: {type(error).__name__}: {error}"[:300])
