"""The models of a job's guides, brought into memory, and the hints that are made for them."""

from __future__ import annotations

from backend.catalog.guide_files import GUIDE, PROMPTS
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.request.record import place
from backend.worker.adapters import controlnet, ip_adapter
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.draw.annotation import Annotate
from backend.worker.draw.work_items import LoadGuide
from backend.worker.engine.program import Program
from backend.worker.models.memory import Memory
from backend.worker.pixels import Pixels


def load_guide(memory: Memory, program: Program, work: LoadGuide) -> ControlNet | IPAdapter:
    """On the device, and kept there for the program. Raises InvalidRequest naming the unit's model."""
    field = place("guides", work.unit, "model")
    file = program.task.run.files.get((GUIDE, work.name))
    if file is None:
        raise InvalidRequest(f"'{work.name[:80]}' is not in the models folders", field=field)
    load = ip_adapter.load if file.kind in PROMPTS else controlnet.load
    name = f"{file.key} on {work.model.checkpoint.key}" if file.facts.get("difference") else file.key
    try:
        network = memory.fetch(file.kind, name, file.path, lambda: load(file, work.model))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about(field)) from error
    if isinstance(network, IPAdapter):
        network.kept = memory.stacked
    memory.pin(network, program)
    return network


def annotated(memory: Memory, program: Program, work: Annotate) -> Pixels:
    """The hint, made once for equal pictures and options."""
    return memory.hints.get(work.key, lambda: work.made(program.task.run.pictures))
