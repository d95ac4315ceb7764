"""The files that a picture's prompts name, brought into memory, and what the picture tells of them."""

from __future__ import annotations

from collections.abc import Sequence

from backend.catalog.model_file import EMBEDDING, HYPERNETWORK, ModelFile
from backend.catalog.prompt_networks import FILE_KINDS
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.prompt.embedding_names import mentioned
from backend.worker.adapters.embedding_file import EmbeddingFile, read_embedding
from backend.worker.adapters.hypernetwork import Hypernetwork, read_hypernetwork
from backend.worker.adapters.network_file import NetworkFile, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.draw.work_items import EncodeText, LoadNetworks
from backend.worker.engine.program import Program
from backend.worker.models.codec import Codec
from backend.worker.models.encoded import Encoded
from backend.worker.models.memory import Memory

LORA_HASHES, EMBEDDING_HASHES = "Lora hashes", "TI hashes"      # AUTOMATIC1111's keys


def load_networks(memory: Memory, program: Program, work: LoadNetworks) -> PromptNetworks:
    """The files on the device, kept there for the program. Raises InvalidRequest naming the prompt."""
    files: dict[tuple[str, str], NetworkFile | Hypernetwork] = {}
    for kind, name in work.names:
        files[kind, name] = network = _network(memory, program, kind, name)
        memory.pin(network, program)
        if isinstance(network, NetworkFile):
            program.note(f"{network.key} on {work.model.checkpoint.key}: {network.on(work.model).fit.told()}")
            program.hashes.setdefault(LORA_HASHES, {})[network.key] = network.hash
    return PromptNetworks(work.model, files, memory)


def encode_texts(codec: Codec, memory: Memory, program: Program, work: EncodeText) -> list[Encoded]:
    """The texts of a pass, with the embeddings that they name. Raises InvalidRequest naming the prompt."""
    found = _embeddings(memory, program, [text for text, _, _ in work.texts])
    fitting = {name: word for name, file in found.items() if (word := file.on(work.model.word_widths))}
    for name in found.keys() - fitting.keys():
        program.note(f"the embedding {name} is made for other text encoders and was read as plain words")
    encoded = [codec.text(work.model, asked, fitting) for asked in work.texts]
    used = dict.fromkeys(name for text in encoded for name in text.embeddings)
    told = {name: found[name].hash for name in used if name in found}
    if told:
        program.hashes.setdefault(EMBEDDING_HASHES, {}).update(told)
    return encoded


def _embeddings(memory: Memory, program: Program, texts: Sequence[str]) -> dict[str, EmbeddingFile]:
    """By name, those of the job's embeddings whose names stand in the texts."""
    there = {name: file for (kind, name), file in program.task.run.files.items() if kind == EMBEDDING}
    return {name: _embedding(memory, there[name]) for name in mentioned(there, "\n".join(texts))}


def _embedding(memory: Memory, file: ModelFile) -> EmbeddingFile:
    try:
        return memory.fetch(EMBEDDING, file.key, file.path, lambda: read_embedding(file))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about("prompt")) from error


def _network(memory: Memory, program: Program, kind: str, name: str) -> NetworkFile | Hypernetwork:
    file = program.task.run.files.get((FILE_KINDS[kind], name))
    if file is None:
        raise InvalidRequest(f"names {name[:80]}, which is not in the models folders", field="prompt")
    read = read_hypernetwork if file.kind == HYPERNETWORK else read_network
    try:
        return memory.fetch(file.kind, file.key, file.path, lambda: read(file, memory.placement))
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about("prompt")) from error
