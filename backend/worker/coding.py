"""Words and pictures to tensors, and latents back to pictures: what is done between the network's calls."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from backend.prompt.chunks import chunk
from backend.request import Request
from backend.worker.checkpoints.base import Model
from backend.worker.checkpoints.footprint import fitting
from backend.worker.checkpoints.memory import Memory, out_of_memory
from backend.worker.seamless import seamless
from backend.worker.work import Decode, Look

TEXT_BYTES = 256 * 2**20        # of encoded prompts held for reuse
LOOK_BYTES = 256 * 2**20        # of encoded pictures held for reuse
TOO_LARGE = "in tiles: the whole picture needs more memory than is free"
SHORT = "in tiles: memory was short"


class Coder:
    """Uses a model's text encoder and VAE; keeps what may be asked for again. Notes are for the person, "" for none."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._texts, self._looks = _Kept(TEXT_BYTES), _Kept(LOOK_BYTES)

    def text(self, model: Model, request: Request, text: str) -> Tensor:
        """The encoded prompt (T, D) under the request's clip skip and emphasis."""
        key = (*model.identity, text, request.clip_skip, request.emphasis)

        def encode() -> Tensor:
            chunks = chunk(text, model.tokenizer, emphasis=request.emphasis)
            return model.encode_text(chunks, request.clip_skip, request.emphasis)[0]

        return self._texts.get(key, encode)

    def look(self, model: Model, work: Look) -> tuple[Tensor, str]:
        """The latent (C, H/8, W/8) of a picture: encoded once for all that ask; and a note."""
        notes = [""]

        def encode() -> Tensor:
            latent, notes[0] = self._encoded(model, work)
            return latent

        if not work.kept:
            return encode(), notes[0]
        key = (*model.identity, work.tiling, work.pixels.shape, hashlib.sha256(work.pixels.tobytes()).digest())
        return self._looks.get(key, encode), notes[0]

    def _encoded(self, model: Model, work: Look) -> tuple[Tensor, str]:
        pixels, note = work.pixels[None], TOO_LARGE
        with seamless(model.vae, work.tiling):
            if fitting(model.vae, "encode", work.pixels.shape[:2]):
                try:
                    return model.encode(pixels)[0], ""
                except (RuntimeError, MemoryError) as error:
                    note = self._short(error)
            return model.encode_tiled(pixels, wrap=work.tiling)[0], f"encoded {note}"

    def decode(self, model: Model, works: Sequence[Decode]) -> tuple[Sequence[np.ndarray], str]:
        """The pixels of latents of one shape and tiling, as many at a time as there is memory for; and a note."""
        latents, note = torch.stack([work.latent for work in works]), TOO_LARGE
        rows, columns = latents.shape[-2:]
        with seamless(model.vae, works[0].tiling):
            if together := fitting(model.vae, "decode", (rows * 8, columns * 8)):
                try:
                    return [pixels for some in latents.split(together) for pixels in model.decode(some)], ""
                except (RuntimeError, MemoryError) as error:
                    note = self._short(error)
            tiled = [model.decode_tiled(latent[None], wrap=works[0].tiling)[0] for latent in latents]
        return tiled, f"decoded {note}"

    def _short(self, error: Exception) -> str:
        """The note that memory was short; any other error goes on."""
        if not out_of_memory(error):
            raise error
        self._memory.free_cache()
        return SHORT


class _Kept:
    """Tensors by key, those used longest ago leaving first when they take more than `limit` bytes together."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._held: OrderedDict[tuple, Tensor] = OrderedDict()

    def get(self, key: tuple, make: Callable[[], Tensor]) -> Tensor:
        """What is held under the key, else what `make` gives."""
        if key not in self._held:
            self._held[key] = made = make()
            self._bytes += made.nbytes
            while self._bytes > self._limit and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
        self._held.move_to_end(key)
        return self._held[key]
