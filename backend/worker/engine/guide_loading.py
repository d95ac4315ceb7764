"""The models of a job's guides, brought into memory, and what they are shown."""

from __future__ import annotations

from backend.catalog.model_file import CONTROLNET
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.request.record import place
from backend.worker.adapters import controlnet
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.draw.annotation import Annotate
from backend.worker.draw.work_items import LoadGuide
from backend.worker.engine.program import Program
from backend.worker.models.memory import Memory
from backend.worker.pixels import Pixels


def load_guide(memory: Memory, program: Program, work: LoadGuide) -> ControlNet:
    """On the device, and kept there for the program. Raises InvalidRequest naming the unit's model."""
    field = place("guides", work.unit, "model")
    file = program.task.run.files.get((CONTROLNET, work.name))
    if file is None:
        raise InvalidRequest(f"'{work.name[:80]}' is not in the models folders", field=field)
    name = f"{file.key} on {work.model.checkpoint.key}" if file.facts.get("difference") else file.key
    try:
        network = memory.fetch(CONTROLNET, name, file.path, lambda: controlnet.load(file, work.model))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about(field)) from error
    memory.pin(network, program)
    return network


def annotated(memory: Memory, program: Program, work: Annotate) -> Pixels:
    """The hint, made once for equal pictures and options."""
    return memory.hints.get(work.key, lambda: work.made(program.task.run.pictures))
