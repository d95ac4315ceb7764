"""What may be changed around one guided call: its rows before, how their answers are put together, what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from backend.sampling.parametrisation import Parametrisation
from backend.sampling.protocol import Noisy
from backend.worker.guidance.row import Answer, Row


@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """What is put together at one call; latents are (C, h, w), denoised.

    `towards`: the sum of the prompt's parts less `uncond`, weighted, each in its region: plain guidance gives
    uncond + scale * towards. `parametrisation` is the network's, for what needs an answer as it was predicted.
    """

    uncond: Tensor
    towards: Tensor
    scale: float
    parametrisation: Parametrisation


class Hook:
    """Overrides what it changes. One per picture and pass."""

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """The rows that are evaluated: as many as were given, in their order."""
        return rows

    def answers(self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer]) -> Sequence[Answer]:
        """The answers that are combined, one for each row."""
        return answers

    def beside(self, noisy: Noisy, rows: Sequence[Row]) -> list[Row]:
        """Rows that the hook wants evaluated for itself, in the same call where they fit into it."""
        return []

    def after(self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Row]:
        """The same, of what follows from the answers: one network call more."""
        return []

    def guided(self, noisy: Noisy, denoised: Tensor, guidance: Guidance, own: Sequence[Answer]) -> Tensor:
        """The guided latent (C, h, w) in place of `denoised`; `own` answers the rows of `beside`, then of `after`."""
        return denoised

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        """The guided latent (C, h, w) that the sampler gets, after the CFG rescale."""
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
