"""What detailers look for, found in a finished picture by the detectors of a job."""

from __future__ import annotations

from backend.catalog.model_file import FACE_DETECTOR, OBJECT_DETECTOR, SEGMENTER
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.request.detailer import FACES
from backend.request.record import place
from backend.worker.engine.program import Program
from backend.worker.faces.loading import detector_in
from backend.worker.models import object_detector, segmenter
from backend.worker.models.memory import Memory
from backend.worker.models.run_errors import running
from backend.worker.pixels.object_detection import FindObjects, Objects

NONE_FOUND = "Detailer {}: nothing was found ({}); the picture stays as it is."


def objects_found(memory: Memory, program: Program, work: FindObjects) -> Objects:
    """What is there, else the picture's notes tell. CheckpointError, OutOfMemory and InvalidRequest name the field."""
    try:
        found = memory.attempt(lambda: _objects(memory, program, work))
    except InvalidRequest as error:
        raise InvalidRequest(problems=error.about(place("detailers", work.number, "classes"))) from error
    except (CheckpointError, OutOfMemory) as error:
        raise type(error)(problems=error.about(place("detailers", work.number, "model"))) from error
    if work.sam:
        found = _outlined(memory, program, work, found)
    program.note("" if len(found.boxes) else NONE_FOUND.format(work.number + 1, work.model))
    return found


def _objects(memory: Memory, program: Program, work: FindObjects) -> Objects:
    if work.model == FACES:
        file = program.task.run.files[FACE_DETECTOR, ""]
        faces = detector_in(memory, file)
        memory.pin(faces, program)
        with running(file.key):
            return Objects(faces.boxes(work.pixels, work.confidence))
    file = program.task.run.files[OBJECT_DETECTOR, work.model]
    detector = memory.fetch(file.kind, file.key, file.path, lambda: object_detector.load(file, memory.placement))
    memory.pin(detector, program)
    with running(file.key):
        return detector.objects(work.pixels, work.confidence, work.classes)


def _outlined(memory: Memory, program: Program, work: FindObjects, found: Objects) -> Objects:
    """The same with SAM's outlines. CheckpointError and OutOfMemory name the field that asks for it."""
    file = program.task.run.files[SEGMENTER, ""]
    try:
        network = memory.fetch(file.kind, file.key, file.path, lambda: segmenter.load(file, memory.placement))
        memory.pin(network, program)
        with running(file.key):
            return Objects(found.boxes, memory.attempt(lambda: network.outlines(work.pixels, found.boxes)))
    except (CheckpointError, OutOfMemory) as error:
        raise type(error)(problems=error.about(place("detailers", work.number, "sam"))) from error
