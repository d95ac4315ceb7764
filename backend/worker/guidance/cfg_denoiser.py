"""Guidance: one noisy latent becomes rows for the network; their answers become one denoised latent.

The class keeps AUTOMATIC1111's name. Classifier-free guidance is Ho and Salimans 2022, composition with AND is
Liu et al. 2022, rescaled guidance is Lin et al. 2023 (section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from backend.prompt.timeline import active
from backend.sampling.protocol import Noisy, Sampler


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluation of the network."""

    x: Tensor            # (C, h, w) float32: the latent plus `sigma` times unit noise
    sigma: float
    context: Tensor      # (T, D): the encoded prompt
    channels: Tensor | None = None      # (K, h, w): what inpainting and edit networks see beside the latent
    tiling: bool = False                # opposite edges are neighbours

    @property
    def kind(self) -> tuple[tuple[int, ...], int, int, bool]:
        """Rows of one kind fit into one call: latent shape, context length, channels shown, tiling."""
        shown = 0 if self.channels is None else len(self.channels)
        return tuple(self.x.shape), len(self.context), shown, self.tiling


@dataclass(frozen=True, slots=True)
class Conditioning:
    """One encoded prompt part over time.

    `schedule` is the timeline of the text, `contexts` holds the encoding of each of its entries, in the same order.
    """

    schedule: tuple[tuple[int, str], ...]
    contexts: tuple[Tensor, ...]         # each (T, D)
    weight: float = 1.0

    def at(self, call: int) -> Tensor:
        """The encoding in force at the denoiser's call number `call`, counted from 0."""
        return self.contexts[active(self.schedule, call)]


class Hook(Protocol):
    """What an adapter may do around one guided call."""

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]: ...

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly to guide."""

    scale: float = 7.0
    rescale: float = 0.0                 # 0..1, Lin et al. 2023
    s_min_uncond: float = 0.0            # below this sigma every other call leaves the negative prompt out
    keep_uncond: bool = False            # the sampler itself needs the unconditional answer (CFG++)
    prediction: str = "epsilon"          # the space in which contrast is rescaled: "epsilon" or "v"


@dataclass(slots=True)
class CFGDenoiser:
    """Turns a `Noisy` into rows and the rows' answers into one guided answer. One per picture; counts its calls."""

    parts: Sequence[Conditioning]
    negative: Conditioning
    strength: Strength
    hooks: Sequence[Hook] = ()
    call: int = field(default=0, init=False)

    def rows(self, noisy: Noisy) -> list[Row]:
        """The conditional rows in the order of the parts, then the unconditional one unless nothing depends on it."""
        rows = self.plain_rows(noisy)
        for hook in self.hooks:
            rows = hook.rows(noisy, rows)
        return rows

    def plain_rows(self, noisy: Noisy) -> list[Row]:
        """The rows before the hooks."""
        contexts = equally_long([part.at(self.call) for part in self.parts])
        if self._needs_uncond(noisy.sigma):
            contexts.append(self.negative.at(self.call))
        return [Row(noisy.x, noisy.sigma, context) for context in contexts]

    def combine(self, noisy: Noisy, answers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(denoised, unconditional denoised) from the answers to `rows(noisy)`; both (C, h, w)."""
        denoised, uncond = self.mixed(answers)
        if self.strength.rescale:
            denoised = self._rescaled(noisy, denoised, answers[0])
        for hook in self.hooks:
            denoised = hook.denoised(noisy, denoised)
        self.call += 1
        return denoised, uncond

    def mixed(self, answers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """uncond + sum_i weight_i * scale * (cond_i - uncond), as AUTOMATIC1111's combine_denoised; and uncond.

        Where the unconditional row was left out, the first conditional answer takes its place.
        """
        conditional = answers[: len(self.parts)]
        uncond = answers[len(self.parts)] if len(answers) > len(self.parts) else conditional[0]
        denoised = uncond
        for part, answer in zip(self.parts, conditional, strict=True):
            denoised = denoised + (answer - uncond) * (part.weight * self.strength.scale)
        return denoised, uncond

    def _needs_uncond(self, sigma: float) -> bool:
        share = 1 - self.strength.scale * sum(part.weight for part in self.parts)
        if self.strength.keep_uncond:
            return True
        if self.call % 2 and sigma < self.strength.s_min_uncond:
            return False
        return abs(share) > 1e-9

    def _rescaled(self, noisy: Noisy, denoised: Tensor, conditional: Tensor) -> Tensor:
        guided, reference = (self._predicted(noisy, d) for d in (denoised, conditional))
        plain = guided * (reference.std() / guided.std().clamp_min(1e-12))
        mixed = torch.lerp(guided, plain, self.strength.rescale)
        return self._from_predicted(noisy, mixed)

    def _predicted(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        if self.strength.prediction == "epsilon":
            return (noisy.x - denoised) / noisy.sigma
        total = noisy.sigma**2 + 1
        return (noisy.x / total - denoised) * (total**0.5 / noisy.sigma)

    def _from_predicted(self, noisy: Noisy, predicted: Tensor) -> Tensor:
        if self.strength.prediction == "epsilon":
            return noisy.x - predicted * noisy.sigma
        total = noisy.sigma**2 + 1
        return noisy.x / total - predicted * (noisy.sigma / total**0.5)


OnStep = Callable[[Noisy, Tensor], None]


def guided(sampler: Sampler, guidance: CFGDenoiser, on_step: OnStep) -> Generator[list[Row], Sequence[Tensor], Tensor]:
    """Runs a sampler under guidance: yields rows, is sent their denoised answers, returns the final latent (C, h, w).

    `on_step(noisy, denoised)` hears of every guided call.
    """
    try:
        noisy = next(sampler)
        while True:
            answers = yield guidance.rows(noisy)
            denoised, uncond = guidance.combine(noisy, answers)
            on_step(noisy, denoised)
            noisy = sampler.send((denoised, uncond) if guidance.strength.keep_uncond else denoised)
    except StopIteration as end:
        return end.value


def equally_long(contexts: list[Tensor]) -> list[Tensor]:
    """Shorter encodings get their last vector repeated, as AUTOMATIC1111's stack_conds does."""
    longest = max(len(context) for context in contexts)
    return [c if len(c) == longest else torch.cat([c, c[-1:].expand(longest - len(c), -1)]) for c in contexts]
