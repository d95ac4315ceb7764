"""What is in a picture, in words: a sentence by a captioner, or the tags of a tagger."""

from __future__ import annotations

import logging

from PIL import Image

from backend.catalog.model_file import TAGGER
from backend.errors import EaselError, Problem
from backend.messages import Describe, Described
from backend.worker.engine.face_location import picture_of
from backend.worker.models import captioner, tagger
from backend.worker.models.memory import Memory

log = logging.getLogger(__name__)


def picture_described(memory: Memory, command: Describe) -> Described:
    """The words, or why there are none, in a whole sentence."""
    try:
        pixels = picture_of(command.picture)
        file = command.file
        if file.kind == TAGGER:
            tags = memory.fetch(file.kind, file.key, file.path, lambda: tagger.load(file))
            return Described(command.task, tags=tags.tags(pixels, command.threshold))
        words = memory.fetch(file.kind, file.key, file.path, lambda: captioner.load(file, memory.placement))
        said = memory.attempt(lambda: words.caption(pixels, command.beams, command.shortest, command.longest))
        return Described(command.task, said)
    except BaseException as error:  # noqa: BLE001 - the border of one question
        return Described(command.task, problem=_told(error))


def _told(error: BaseException) -> Problem:
    if isinstance(error, EaselError):
        return Problem(error.problems[0].message)
    if isinstance(error, OSError | SyntaxError | Image.DecompressionBombError):
        return Problem("The picture cannot be read.")
    log.error("describing a picture failed", exc_info=error)
    return Problem(f"The network that describes pictures failed: {type(error).__name__}: {error}"[:300])
