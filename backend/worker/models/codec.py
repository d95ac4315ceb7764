"""Words and pictures to tensors, and latents back to pictures: what is done between the network's calls."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from backend.errors import OutOfMemory
from backend.prompt.embedding_names import mentioned
from backend.worker.models.autoencoder import Autoencoder
from backend.worker.models.encoded_text import NO_EMBEDDINGS, Embeddings, Encoded, TextChange, TextSettings, key_of
from backend.worker.models.memory import Memory
from backend.worker.models.memory_errors import out_of_memory
from backend.worker.models.model_base import Model
from backend.worker.models.seamless import seamless
from backend.worker.models.side_stream import Later, Reading, within
from backend.worker.models.vae_memory_estimate import Direction, fitting
from backend.worker.models.vae_tiles import TILES, Tiles

log = logging.getLogger(__name__)

TEXT_BYTES = 256 * 2**20        # of encoded prompts held for reuse
PICTURE_BYTES = 256 * 2**20        # of encoded pictures held for reuse
TOO_LARGE = "in tiles: the whole picture needs more memory than is free"
SHORT = "in tiles: memory was short"
SMALLER = (TILES, Tiles(32, 8), Tiles(16, 4))

Result = TypeVar("Result")
EncodedText = tuple[str, TextSettings, TextChange | None]
"""A text, how it is read, and what changes the encoders meanwhile."""


@dataclass(frozen=True, slots=True)
class EncodePicture:
    """Encode pixels (H, W, 3), uint8 or float of the same range. Answered by a latent (C, h, w).

    `kept`: others may ask for the same pixels. `tiling`: their opposite edges are neighbours.
    """

    pixels: np.ndarray
    kept: bool = True
    tiling: bool = False


@dataclass(frozen=True, slots=True)
class DecodeLatent:
    """Decode a latent (C, h, w). Answered by RGB pixels, uint8 (H, W, 3)."""

    latent: Tensor
    tiling: bool = False

    @property
    def kind(self) -> tuple[tuple[int, ...], bool]:
        """Latents of one kind can be decoded together."""
        return tuple(self.latent.shape), self.tiling


@dataclass(frozen=True, slots=True, eq=False)
class Coming(Generic[Result]):
    """What is made beside the next steps: `joined` from the results of its parts, `otherwise` where memory runs out."""

    parts: Sequence[Later[Any]]
    joined: Callable[[Sequence[Any]], Result]
    otherwise: Callable[[], Result] | None = None

    @property
    def is_there(self) -> bool:
        """Whether nobody would wait for it any more."""
        there = [part.is_there for part in self.parts]      # each of them, so that all come as far as they can
        return all(there)

    def get(self) -> Result:
        """Waits for it. Raises what goes wrong."""
        try:
            found = [part.get() for part in self.parts]
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or self.otherwise is None:
                raise
            return self.otherwise()
        return self.joined(found)


class Codec:
    """Uses a model's text encoder, and its VAE or another; keeps what may be asked for again.

    Notes are for the person, "" for none.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._texts, self._pictures = memory.cache(TEXT_BYTES), memory.cache(PICTURE_BYTES)
        self._pictures_coming: dict[Hashable, Coming[tuple[Tensor, str]]] = {}

    def text(self, model: Model, asked: EncodedText, embeddings: Embeddings = NO_EMBEDDINGS) -> Encoded:
        """The encoded text of a prompt, read by encoders that may be changed for it."""
        text, settings, change = asked
        known = {**embeddings, **(change.words if change else {})}
        meant = {name: known[name] for name in mentioned(known, text)}

        def encode() -> Encoded:
            with change.attached() if change else nullcontext():
                return model.encode_text(text, settings, meant)

        vectors = tuple((name, each.identity) for name, each in meant.items())
        key = (model.identity, text, settings, key_of(change), vectors)
        return self._texts.get(key, partial(self._memory.attempt, encode))

    def picture(self, by: Autoencoder, work: EncodePicture) -> Coming[tuple[Tensor, str]]:
        """The latent (C, h, w) of a picture: encoded once for all that ask; and a note, "" for none."""
        if not work.kept:
            return self._encoding(by, work)
        key = (by.identity, work.tiling, work.pixels.shape, hashlib.sha256(work.pixels.tobytes()).digest())
        if (known := self._pictures.find(key)) is not None:
            return Coming((), lambda nothing: (known, ""))
        self._pictures_coming = {other: each for other, each in self._pictures_coming.items() if not each.is_there}
        if key not in self._pictures_coming:
            self._pictures_coming[key] = self._encoding(by, work, partial(self._keep, key))
        return self._pictures_coming[key]

    def _keep(self, key: Hashable, latent: Tensor) -> Tensor:
        return self._pictures.get(key, lambda: latent)

    def _encoding(
        self, by: Autoencoder, work: EncodePicture, keep: Callable[[Tensor], Tensor] = lambda latent: latent
    ) -> Coming[tuple[Tensor, str]]:
        pixels = work.pixels[None]

        def in_tiles(note: str) -> tuple[Tensor, str]:
            with seamless(by.vae, work.tiling):
                latent = self._tiled(partial(by.encode_tiled, pixels, wrap=work.tiling))[0]
            return keep(latent), f"encoded {note}"

        fits = self._together(by, "encode", work.pixels.shape[:2])
        parts = [(partial(by.encoding, pixels), ())] if fits else []
        return self._begun(by, work.tiling, parts, lambda found: (keep(found[0][0]), ""), in_tiles)

    def decode(self, by: Autoencoder, works: Sequence[DecodeLatent]) -> Coming[tuple[Sequence[np.ndarray], str]]:
        """The pixels of latents of one shape and tiling, as many at a time as there is memory for; and a note."""
        latents, tiling = torch.stack([work.latent for work in works]), works[0].tiling
        rows, columns = (side * by.latent_scale for side in latents.shape[-2:])

        def in_tiles(note: str) -> tuple[Sequence[np.ndarray], str]:
            run = partial(by.decode_tiled, wrap=tiling)
            with seamless(by.vae, tiling):
                return [self._tiled(partial(run, latent[None]))[0] for latent in latents], f"decoded {note}"

        together = self._together(by, "decode", (rows, columns))
        parts = [(partial(by.decoding, some), (some,)) for some in latents.split(together)] if together else []
        return self._begun(by, tiling, parts, lambda found: ([one for some in found for one in some], ""), in_tiles)

    def _begun(
        self, by: Autoencoder, tiling: bool, parts: Sequence[tuple[Callable[[], Reading[Any]], Sequence[Tensor]]],
        joined: Callable[[Sequence[Any]], Result], in_tiles: Callable[[str], Result],
    ) -> Coming[Result]:
        """Begin all parts, each with the tensors it reads, beside the next steps; without any, in tiles at once."""
        around = partial(seamless, by.vae, tiling)

        def begin() -> list[Later[Any]]:
            return [Later(within(around, make()), self._memory.side, reads) for make, reads in parts]

        note = TOO_LARGE
        if parts:
            try:
                return Coming(self._memory.attempt(begin), joined, partial(in_tiles, SHORT))
            except OutOfMemory:
                note = SHORT
        made = in_tiles(note)
        return Coming((), lambda nothing: made)

    def _tiled(self, run: Callable[[Tiles], Result]) -> Result:
        """What `run` gives in the largest tiles for which there is memory. Raises OutOfMemory when there are none."""
        for tiles in SMALLER:
            try:
                return self._memory.attempt(partial(run, tiles))
            except OutOfMemory:
                log.warning("memory is too short for tiles of %d cells", tiles.side)
        raise OutOfMemory("needs more memory than there is, even in tiles; choose a smaller size", field="width")

    def _together(self, by: Autoencoder, direction: Direction, size: tuple[int, int]) -> int:
        """How many pictures the VAE takes at once, after idle networks have left if not even one fits beside them."""
        fits = fitting(by.vae, direction, size)
        return fits or (fitting(by.vae, direction, size) if self._memory.free_idle() else 0)
