"""Textual inversion: a file's vectors, in all layouts that are about, as words for the text encoders of a model.

    AUTOMATIC1111's .pt           {"string_to_param": {"*": vectors}, "name": ..., ...}, also with a ParameterDict
    .safetensors                  {"emb_params": vectors}; of SDXL {"clip_l": vectors, "clip_g": vectors}
    diffusers' .bin               {"<the word>": vector}
    a picture                     see `catalog/embedding_cards`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from backend.catalog.embedding_cards import PICTURES, read_card
from backend.catalog.fingerprints import fingerprint, sha256_of
from backend.catalog.model_file import ModelFile
from backend.catalog.network_hashes import SHORT
from backend.catalog.network_names import BUNDLED
from backend.errors import CheckpointError
from backend.worker.models.encoded_text import Embedding
from backend.worker.models.load_errors import loading
from backend.worker.models.tensor_files import read_table

SDXL = ("clip_l", "clip_g")             # in the order of its text encoders
CPU = torch.device("cpu")


@dataclass(eq=False)
class EmbeddingFile:
    """The vectors of a file: one tensor (n, width), or two by SDXL's names. Owned by `Memory`."""

    tensors: Mapping[str, Tensor]
    sha256: str = ""
    _fits: dict[tuple[int, ...], Embedding | None] = field(default_factory=dict, init=False)

    @property
    def hash(self) -> str:
        """The short one of AUTOMATIC1111."""
        return self.sha256[:SHORT]

    @property
    def bytes(self) -> int:
        """Memory that the vectors take."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def device(self) -> torch.device:
        """They are put in where texts are read, and stay in main memory."""
        return CPU

    def to(self, device: torch.device) -> EmbeddingFile:
        """Nothing to move: see `device`."""
        return self

    def on(self, widths: tuple[int, ...]) -> Embedding | None:
        """A word for encoders of these widths; None when the vectors are for others.

        SDXL's refiner has the second of SDXL's encoders, and takes the vectors of that.
        """
        if widths not in self._fits:
            vectors = _in_order(self.tensors)[-len(widths):]
            fits = bool(widths) and tuple(each.shape[-1] for each in vectors) == widths
            self._fits[widths] = Embedding(vectors) if fits and len({len(each) for each in vectors}) == 1 else None
        return self._fits[widths]


def read_embedding(file: ModelFile) -> EmbeddingFile:
    """Raises CheckpointError when the file is missing, broken, or holds no vectors or NaN."""
    with loading(file) as path:
        found = _of_picture(path) if path.suffix.lower() in PICTURES else vectors_of(read_table(path))
        if not found:
            raise CheckpointError("it holds no vectors")
        if not all(bool(tensor.isfinite().all()) for tensor in found.values()):
            raise CheckpointError("some of its values are no numbers")
        known = file.sha256 if file.fingerprint == fingerprint(path) else ""
        return EmbeddingFile(found, known or sha256_of(path))


def bundled(tensors: Mapping[str, Tensor]) -> dict[str, EmbeddingFile]:
    """The embeddings that lie in the file of a LoRA, by name."""
    tables: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith(BUNDLED):
            word, _, key = name.removeprefix(BUNDLED).partition(".")
            tables.setdefault(word, {})[key.removeprefix("string_to_param.")] = tensor
    found = {word: vectors_of(table) for word, table in tables.items()}
    return {word: EmbeddingFile(vectors) for word, vectors in found.items() if vectors}


def vectors_of(table: Mapping[str, Any]) -> dict[str, Tensor]:
    """What of a file's content is vectors: (n, width), float32, by name."""
    held = table.get("string_to_param")
    inner = held if isinstance(held, Mapping | nn.ParameterDict) else table
    named = {str(name): each for name, each in inner.items() if isinstance(each, Tensor) and each.dim() in (1, 2)}
    if not named:
        return {}
    plain = "emb_params" if "emb_params" in named else next(iter(named))
    chosen = {name: named[name] for name in SDXL if name in named} or {plain: named[plain]}
    return {name: tensor.detach().float().reshape(-1, tensor.shape[-1]) for name, tensor in chosen.items()}


def _in_order(tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    return tuple(tensors[name] for name in SDXL) if set(SDXL) <= tensors.keys() else tuple(tensors.values())


def _of_picture(path: Path) -> dict[str, Tensor]:
    card = read_card(path)
    return {"emb_params": torch.from_numpy(card.vectors)} if card else {}
