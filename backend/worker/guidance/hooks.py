"""What may be changed around one guided call: its rows before, the guided answer after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from backend.sampling.protocol import Noisy
from backend.worker.guidance.row import Answer, Row


class Hook:
    """Overrides what it changes. One per picture."""

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """The rows that are evaluated: as many as were given, in their order."""
        return rows

    def answers(self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer]) -> Sequence[Answer]:
        """The answers that are combined, one for each row."""
        return answers

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        """The guided latent (C, h, w) that the sampler gets."""
        return denoised


class Seamless(Hook):
    """Asks for rows whose edges are neighbours."""

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`."""
        return [replace(row, tiling=True) for row in rows]


@dataclass(slots=True)
class Shown(Hook):
    """Shows a network `channels` (K, h, w) beside the latent: an inpainting one the mask and the hidden picture."""

    channels: Tensor

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`."""
        return [replace(row, channels=self.channels) for row in rows]
