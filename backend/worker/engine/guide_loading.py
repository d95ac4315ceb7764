"""The models of a job's guides, brought into memory, and the hints that they are shown."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from backend.catalog.guide_files import GUIDE, GUIDE_FACES, misfit
from backend.catalog.model_file import (
    ANNOTATOR,
    CONTROLNET,
    INSTANT_ID,
    IP_ADAPTER,
    T2I_ADAPTER,
    FileKey,
    ModelFile,
)
from backend.errors import CheckpointError, EaselError, InvalidRequest, OutOfMemory, Problem
from backend.messages import Preprocess, Preprocessed
from backend.request.guide_modules import KEY_POINTS, MODULES
from backend.request.output_size import CELL
from backend.request.pose_points import Person, read_people, written
from backend.request.record import place
from backend.worker.adapters import controlnet, ip_adapter, t2i_adapter
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.style_adapter import StyleAdapter
from backend.worker.adapters.t2i_adapter import Features, T2IAdapter
from backend.worker.draw.guide_hint import Annotate
from backend.worker.draw.guides import annotation
from backend.worker.draw.init_image import Source
from backend.worker.draw.pose_points import drawn, face_of, people_of, placed
from backend.worker.draw.trained_preprocessors import TRAINED, Detector, load, network_of, poses, preprocessor
from backend.worker.draw.work_items import LeaveGuide, LoadGuide, ShowHint
from backend.worker.engine.image_prompts import faces_in, points_in
from backend.worker.engine.program import Program
from backend.worker.faces.selection import chosen
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.pixels import Pixels

GuideModel = ControlNet | T2IAdapter | StyleAdapter | IPAdapter
LOADERS = {CONTROLNET: controlnet.load, T2I_ADAPTER: t2i_adapter.load, IP_ADAPTER: ip_adapter.load,
           INSTANT_ID: ip_adapter.load}

log = logging.getLogger(__name__)


def load_guide(memory: Memory, program: Program, work: LoadGuide) -> GuideModel | None:
    """On the device, and kept there for the program: see `LoadGuide`. Raises InvalidRequest naming the unit's model."""
    field = place("guides", work.unit, "model")
    file = program.task.run.files.get((GUIDE, work.name))
    if file is None:
        raise InvalidRequest(f"'{work.name[:80]}' is not in the models folders", field=field)
    if work.model is not program.model and (why := misfit(file, work.model.checkpoint)):
        program.note(f"Guide {work.unit + 1} stops where {work.model.checkpoint.key} draws: {why}")
        return None
    read = LOADERS[file.kind]
    try:
        network = memory.fetch(*_key(file, work.model), file.path, lambda: read(file, work.model))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about(field)) from error
    if isinstance(network, IPAdapter):
        network.kept = memory.stacked
    if isinstance(network, IPAdapter | ControlNet):
        network.kept_words = memory.words
    memory.pin(network, program)
    return network


def leave_guide(memory: Memory, program: Program, work: LeaveGuide) -> None:
    """Off the device, unless another picture needs it."""
    memory.shelve(_key(program.task.run.files[GUIDE, work.name], work.model), program)


def _key(file: ModelFile, model: Model) -> tuple[str, str]:
    """Under which it is held: what a file adds to a checkpoint is another network on each."""
    return file.kind, f"{file.key} on {model.checkpoint.key}" if file.facts.get("difference") else file.key


def annotated(memory: Memory, program: Program, work: Annotate) -> Pixels:
    """The hint, made once for equal pictures and options. Raises InvalidRequest naming the unit's preprocessor."""
    run = program.task.run
    return _hint(memory, work, run.files, run.pictures)


def _hint(
    memory: Memory, work: Annotate, files: Mapping[FileKey, ModelFile], pictures: Mapping[str, bytes]
) -> Pixels:
    name = work.unit["module"]
    looker = files[GUIDE_FACES, work.unit["model"]] if name == KEY_POINTS else None

    def made() -> Pixels:
        if looker:
            return work.made(pictures, partial(points_in, memory, looker, work.unit))
        if name not in TRAINED:
            return work.made(pictures)
        return work.made(pictures, preprocessor(name, _detector(memory, name, files)))

    short = Problem(f"{name} needs more memory than there is: choose a smaller preprocessor resolution or picture")
    try:
        key = (work.key, looker.path, looker.fingerprint) if looker else work.key
        return memory.hints.get(key, lambda: memory.attempt(made, short))
    except InvalidRequest as error:         # no such face
        raise InvalidRequest(problems=error.about(place("guides", work.number, "image"))) from error
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about(place("guides", work.number, "module"))) from error


def _detector(memory: Memory, name: str, files: Mapping[FileKey, ModelFile]) -> Detector:
    paths = [Path(files[ANNOTATOR, each].path) for each in MODULES[name].files]
    return memory.fetch(ANNOTATOR, network_of(name), str(paths[0]), lambda: load(name, paths))


def hint_shown(memory: Memory, program: Program, work: ShowHint) -> Features:
    """What a T2I-Adapter makes of a hint, once for equal ones. InvalidRequest names the unit's model."""
    file = program.task.run.files[GUIDE, work.name]
    key = file.path, file.fingerprint, work.key
    try:
        return memory.hints.get(key, lambda: memory.attempt(lambda: Features(work.network.features(work.hint))))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about(place("guides", work.unit, "model"))) from error


def preprocessed(memory: Memory, command: Preprocess) -> Preprocessed:
    """What a guide's model would be shown, for people to look at."""
    try:
        if command.points:
            pixels, points = drawn(read_people(command.points), command.size), ""
        else:
            work, pictures = _asked(command)
            pixels = _hint(memory, work, command.files, pictures)
            points = written(_people(memory, work, command, pictures)) if command.find_points else ""
    except BaseException as error:
        if not isinstance(error, EaselError):
            log.error("preprocessing failed", exc_info=error)
        told = error.problems[0] if isinstance(error, EaselError) else Problem(f"{type(error).__name__}: {error}"[:300])
        return Preprocessed(command.task, problem=told)
    height, width = pixels.shape[:2]
    return Preprocessed(command.task, width, height, pixels.tobytes(), points=points)


def _asked(command: Preprocess) -> tuple[Annotate, Mapping[str, bytes]]:
    """The hint that is asked for, and the picture files that it needs, by their names in it."""
    if command.job:
        source = Source.prepare(command.job, command.pictures, CELL)
        return annotation(command.job, command.unit, command.size, source), command.pictures
    name = hashlib.sha256(command.picture).hexdigest()
    return Annotate(command.unit, name, command.size), {name: command.picture}


def _people(
    memory: Memory, work: Annotate, command: Preprocess, pictures: Mapping[str, bytes]
) -> list[Person]:
    """Whoever is in the picture, in shares of the hint's sides."""
    pixels, resolution = work.seen(pictures)
    name, files = command.unit.module, command.files
    if name == KEY_POINTS:
        file = files[GUIDE_FACES, command.unit.model]
        face = chosen(faces_in(memory, file, pixels, pixels), command.unit.face_order, command.unit.face_index)
        found = face_of(face.points, pixels.shape[:2])
    else:
        found = people_of(poses(name, _detector(memory, name, files), pixels, resolution))
    return placed(found, pixels.shape[:2], command.size, command.unit.resize_mode)
