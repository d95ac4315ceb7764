"""The files that a picture's prompts name, brought into memory, and what the picture tells of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backend.catalog.model_file import EMBEDDING, HYPERNETWORK, ModelFile
from backend.catalog.network_problems import FILE_KINDS, two_families
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.messages import Event, Hashed
from backend.prompt.embedding_names import mentioned
from backend.worker.adapters.embedding_file import EmbeddingFile, read_embedding
from backend.worker.adapters.hypernetwork import Hypernetwork, read_hypernetwork
from backend.worker.adapters.network_file import NetworkFile, read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.draw.work_items import EncodeText, LoadNetworks
from backend.worker.engine.program import Program
from backend.worker.models.codec import Codec
from backend.worker.models.encoded_text import Encoded
from backend.worker.models.memory import Memory

LORA_HASHES, EMBEDDING_HASHES = "Lora hashes", "TI hashes"      # AUTOMATIC1111's keys


Hear = Callable[[Event], None]


def load_networks(memory: Memory, program: Program, work: LoadNetworks, hear: Hear) -> PromptNetworks:
    """The files on the device, kept there for the program. Raises InvalidRequest naming the prompt."""
    files: dict[tuple[str, str], NetworkFile | Hypernetwork] = {}
    for kind, name in work.names:
        files[kind, name] = network = _network(memory, program, (kind, name), hear)
        memory.pin(network, program)
        if isinstance(network, NetworkFile):
            program.note(f"{network.key}{_place(program, (kind, name), work)}: {network.on(work.model).fit.told()}")
            program.hashes.setdefault(LORA_HASHES, {})[name] = network
    return PromptNetworks(work.model, files, memory)


def _place(program: Program, named: tuple[str, str], work: LoadNetworks) -> str:
    """Behind a network's name: what it is used on, and both families where it is made for another one."""
    file, checkpoint = program.task.run.files[FILE_KINDS[named[0]], named[1]], work.model.checkpoint
    return two_families(file, checkpoint) or f" on {checkpoint.key}"


def encode_texts(codec: Codec, memory: Memory, program: Program, work: EncodeText, hear: Hear) -> list[Encoded]:
    """The texts of a pass, with the embeddings that they name. Raises InvalidRequest naming the prompt."""
    found = _embeddings(memory, program, [text for text, _, _ in work.texts], hear)
    fitting = {name: word for name, file in found.items() if (word := file.on(work.model.word_widths))}
    for name in found.keys() - fitting.keys():
        program.note(f"the embedding {name} is made for other text encoders and was read as plain words")
    encoded = [codec.text(work.model, asked, fitting) for asked in work.texts]
    used = dict.fromkeys(name for text in encoded for name in text.embeddings)
    told = {name: found[name] for name in used if name in found}
    if told:
        program.hashes.setdefault(EMBEDDING_HASHES, {}).update(told)
    return encoded


def _embeddings(memory: Memory, program: Program, texts: Sequence[str], hear: Hear) -> dict[str, EmbeddingFile]:
    """By name, those of the job's embeddings whose names stand in the texts."""
    there = {name: file for (kind, name), file in program.task.run.files.items() if kind == EMBEDDING}
    return {name: _embedding(memory, there[name], hear) for name in mentioned(there, "\n".join(texts))}


def _embedding(memory: Memory, file: ModelFile, hear: Hear) -> EmbeddingFile:
    def read() -> EmbeddingFile:
        made = read_embedding(file)
        hear(Hashed(file.key, made.sha256, EMBEDDING))
        return made

    try:
        return memory.fetch(EMBEDDING, file.key, file.path, read)
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about("prompt")) from error


def _network(memory: Memory, program: Program, named: tuple[str, str], hear: Hear) -> NetworkFile | Hypernetwork:
    kind, name = named
    file = program.task.run.files.get((FILE_KINDS[kind], name))
    if file is None:
        raise InvalidRequest(f"names {name[:80]}, which is not in the models folders", field="prompt")

    def read() -> NetworkFile | Hypernetwork:
        if file.kind == HYPERNETWORK:
            return read_hypernetwork(file, memory.placement)
        made = read_network(file, memory.placement)
        if made.background_hash:
            made.background_hash.tell(lambda sha256: hear(Hashed(file.key, sha256, file.kind)))
        return made

    try:
        return memory.fetch(file.kind, file.key, file.path, read)
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about("prompt")) from error
