"""The network files that a picture's prompt names, brought into memory, and what the picture tells of them."""

from __future__ import annotations

from backend.catalog.prompt_networks import FILE_KINDS
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.worker.adapters.network_file import NetworkFile, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.draw.work_items import LoadNetworks
from backend.worker.engine.program import Program
from backend.worker.models.memory import Memory


def load_networks(memory: Memory, program: Program, work: LoadNetworks) -> PromptNetworks:
    """The files on the device, kept there for the program. Raises InvalidRequest naming the prompt."""
    files: dict[tuple[str, str], NetworkFile] = {}
    for kind, name in work.names:
        files[kind, name] = network = _loaded(memory, program, kind, name)
        memory.pin(network, program)
        program.note(f"{network.key}: {network.on(work.model).fit.told()}")
    return PromptNetworks(work.model, files, memory)


def _loaded(memory: Memory, program: Program, kind: str, name: str) -> NetworkFile:
    file = program.task.run.files.get((FILE_KINDS[kind], name))
    if file is None:
        raise InvalidRequest(f"names {name[:80]}, which is not in the models folders", field="prompt")
    try:
        return memory.fetch(file.kind, file.key, file.path, lambda: read_network(file, memory.placement))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about("prompt")) from error
