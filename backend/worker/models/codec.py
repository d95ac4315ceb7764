"""Words and pictures to tensors, and latents back to pictures: what is done between the network's calls."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from backend.errors import OutOfMemory
from backend.prompt.embedding_names import mentioned
from backend.worker.models.autoencoder import Autoencoder
from backend.worker.models.base import Model
from backend.worker.models.encoded import NO_EMBEDDINGS, Embeddings, Encoded, TextChange, TextSettings, key_of
from backend.worker.models.memory import Memory
from backend.worker.models.seamless import seamless
from backend.worker.models.vae_memory import Direction, fitting
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


class Codec:
    """Uses a model's text encoder, and its VAE or another; keeps what may be asked for again.

    Notes are for the person, "" for none.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._texts, self._pictures = memory.cache(TEXT_BYTES), memory.cache(PICTURE_BYTES)

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

    def picture(self, by: Autoencoder, work: EncodePicture) -> tuple[Tensor, str]:
        """The latent (C, h, w) of a picture: encoded once for all that ask; and a note, "" for none."""
        notes = [""]

        def encode() -> Tensor:
            latent, notes[0] = self._encoded(by, work)
            return latent

        if not work.kept:
            return encode(), notes[0]
        key = (by.identity, work.tiling, work.pixels.shape, hashlib.sha256(work.pixels.tobytes()).digest())
        return self._pictures.get(key, encode), notes[0]

    def _encoded(self, by: Autoencoder, work: EncodePicture) -> tuple[Tensor, str]:
        pixels, note = work.pixels[None], TOO_LARGE
        with seamless(by.vae, work.tiling):
            if self._together(by, "encode", work.pixels.shape[:2]):
                try:
                    return self._memory.attempt(lambda: by.encode(pixels)[0]), ""
                except OutOfMemory:
                    note = SHORT
            tiled = self._tiled(partial(by.encode_tiled, pixels, wrap=work.tiling))[0]
        return tiled, f"encoded {note}"

    def decode(self, by: Autoencoder, works: Sequence[DecodeLatent]) -> tuple[Sequence[np.ndarray], str]:
        """The pixels of latents of one shape and tiling, as many at a time as there is memory for; and a note."""
        latents, note = torch.stack([work.latent for work in works]), TOO_LARGE
        rows, columns = (side * by.latent_scale for side in latents.shape[-2:])
        with seamless(by.vae, works[0].tiling):
            if together := self._together(by, "decode", (rows, columns)):
                parts = latents.split(together)
                try:
                    return self._memory.attempt(lambda: [pixels for some in parts for pixels in by.decode(some)]), ""
                except OutOfMemory:
                    note = SHORT
            run = partial(by.decode_tiled, wrap=works[0].tiling)
            tiled = [self._tiled(partial(run, latent[None]))[0] for latent in latents]
        return tiled, f"decoded {note}"

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
