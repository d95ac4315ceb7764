"""What detailers look for, found in a finished picture by the detectors of a job."""

from __future__ import annotations

import numpy as np

from backend.catalog.model_file import FACE_DETECTOR, OBJECT_DETECTOR
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.request.detailer import FACES
from backend.request.record import place
from backend.worker.engine.program import Program
from backend.worker.models import face_detector, object_detector
from backend.worker.models.memory import Memory
from backend.worker.pixels.objects import FindObjects

NONE_FOUND = "Detailer {}: nothing was found ({}); the picture stays as it is."


def objects_found(memory: Memory, program: Program, work: FindObjects) -> np.ndarray:
    """The boxes; of none the picture's notes tell. CheckpointError, OutOfMemory and InvalidRequest name the field."""
    try:
        found = memory.attempt(lambda: _boxes(memory, program, work))
    except InvalidRequest as error:
        raise InvalidRequest(problems=error.about(place("detailers", work.number, "classes"))) from error
    except (CheckpointError, OutOfMemory) as error:
        raise type(error)(problems=error.about(place("detailers", work.number, "model"))) from error
    program.note("" if len(found) else NONE_FOUND.format(work.number + 1, work.model))
    return found


def _boxes(memory: Memory, program: Program, work: FindObjects) -> np.ndarray:
    if work.model == FACES:
        file = program.task.run.files[FACE_DETECTOR, ""]
        faces = memory.fetch(file.kind, file.key, file.path, lambda: face_detector.load(file, memory.placement))
        memory.pin(faces, program)
        return faces.boxes(work.pixels, work.confidence)
    file = program.task.run.files[OBJECT_DETECTOR, work.model]
    detector = memory.fetch(file.kind, file.key, file.path, lambda: object_detector.load(file, memory.placement))
    memory.pin(detector, program)
    return detector.boxes(work.pixels, work.confidence, work.classes)
