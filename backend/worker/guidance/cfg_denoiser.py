"""Guidance: one noisy latent becomes rows for the network; their answers become one denoised latent.

The class keeps AUTOMATIC1111's name. Classifier-free guidance is Ho and Salimans 2022, composition with AND is
Liu et al. 2022, rescaled guidance is Lin et al. 2023 (section 3.4).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from backend.prompt.prompt_editing import active
from backend.sampling.parametrisation import Parametrisation
from backend.sampling.protocol import Noisy, Sampler
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.hypernetwork import HypernetworkUse
from backend.worker.adapters.lora_branches import Branches
from backend.worker.guidance.hooks import Guidance, Hook
from backend.worker.guidance.interrupted import Interrupted
from backend.worker.guidance.lazy_latents import LazyLatent, calculated
from backend.worker.guidance.row import Answer, Row
from backend.worker.models.encoded_text import Encoded, Role, equally_long
from backend.worker.models.model_base import Model

COND: Role = "cond"
UNCOND: Role = "uncond"


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a prompt part says for a while: its encoded text, and what the networks in force change: see `Row`."""

    encoded: Encoded
    uses: tuple[Use, ...] = ()
    branches: tuple[Branches | HypernetworkUse, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """One prompt part over time: (last step, what it says) in the order of the steps, and its weight under AND.

    `region` (1, h, w) in 0..1: where it acts; None is everywhere.
    """

    timeline: tuple[tuple[int, Said], ...]
    weight: float = 1.0
    region: Tensor | None = None

    def at(self, call: int) -> Said:
        """What is in force at the denoiser's call number `call`, counted from 0."""
        return self.timeline[active(self.timeline, call)][1]


@dataclass(frozen=True, slots=True)
class Strength:
    """How strongly to guide."""

    scale: float = 7.0
    rescale: float = 0.0                 # 0..1, Lin et al. 2023
    s_min_uncond: float = 0.0            # below this sigma every other call leaves the negative prompt out
    keep_uncond: bool = False            # the sampler itself needs the unconditional answer (CFG++)


@dataclass(frozen=True, slots=True, eq=False)
class GuidedModel:
    """What is asked: a model, what its output means, the prompts as it reads them, and hooks that it adds."""

    model: Model
    parametrisation: Parametrisation
    parts: Sequence[Conditioning]
    negative: Conditioning
    hooks: Sequence[Hook] = ()


@dataclass(frozen=True, slots=True)
class Successor:
    """Another network takes over at the noise level `below` (a sigma) and stays; `prepare` asks for what it needs."""

    below: float
    prepare: Callable[[], Generator[Any, Any, GuidedModel]]


@dataclass(slots=True)
class CFGDenoiser:
    """Turns a `Noisy` into rows and the rows' answers into one guided answer. One per picture; counts its calls.

    `parametrisation` is the model's own, or what the sampler makes of it.
    """

    model: Model
    parametrisation: Parametrisation
    parts: Sequence[Conditioning]
    negative: Conditioning
    strength: Strength
    hooks: Sequence[Hook] = ()
    successor: Successor | None = None
    call: int = field(default=0, init=False)

    def rows(self, noisy: Noisy) -> list[Row]:
        """The conditional rows in the order of the parts, then the unconditional one unless nothing depends on it."""
        rows = self.plain_rows(noisy)
        for hook in self.hooks:
            rows = hook.rows(noisy, rows)
        return rows

    def handed_over(self, sigma: float) -> Generator[Any, Any, None]:
        """Let the successor take over when its noise level is reached."""
        if self.successor and sigma <= self.successor.below:
            network = yield from self.successor.prepare()
            self.model, self.parametrisation = network.model, network.parametrisation
            self.parts, self.negative, self.successor = network.parts, network.negative, None
            self.hooks = [*self.hooks, *network.hooks]

    def plain_rows(self, noisy: Noisy) -> list[Row]:
        """The rows before the hooks."""
        said = [(COND, part.at(self.call)) for part in self.parts]
        if self._needs_uncond(noisy.sigma):
            said.append((UNCOND, self.negative.at(self.call)))
        return self.made(noisy, said)

    def made(self, noisy: Noisy, said: Sequence[tuple[Role, Said]]) -> list[Row]:
        """A row for each of these, all equally long."""
        encoded = equally_long([each.encoded for _, each in said])
        return [
            Row(noisy.x, noisy.sigma, text, self.model, self.parametrisation, role, each.uses, each.branches)
            for text, (role, each) in zip(encoded, said, strict=True)
        ]

    def combine(
        self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer], own: Sequence[Sequence[Answer]] = (), *,
        lazily: bool = False,
    ) -> tuple[Tensor | LazyLatent, Tensor | LazyLatent]:
        """(denoised, unconditional denoised) from the answers to `rows` and to each hook's own; both (C, h, w).

        `lazily`: for a sampler of lazy latents; where nobody looks at them before, their arithmetic is put off, too.
        """
        for hook in self.hooks:
            answers = hook.answers(noisy, rows, answers)
        latents = [answer.denoised for answer in answers]
        if lazily and self._only_mixes:
            self.call += 1
            return self.mixed([LazyLatent(latent) for latent in latents])
        denoised, uncond = self.mixed(latents)
        denoised = self._put_together(noisy, denoised, uncond, own)
        if self.strength.rescale:
            denoised = self._rescaled(noisy, denoised, latents[0])
        for hook in self.hooks:
            denoised = hook.denoised(noisy, denoised)
        self.call += 1
        return (LazyLatent(denoised), LazyLatent(uncond)) if lazily else (denoised, uncond)

    @property
    def _only_mixes(self) -> bool:
        """Whether what was put together goes to the sampler as it is."""
        plain = all(type(hook).denoised is Hook.denoised and type(hook).guided is Hook.guided for hook in self.hooks)
        return plain and not self.strength.rescale

    def mixed(self, answers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """uncond + sum_i weight_i * scale * (cond_i - uncond), as AUTOMATIC1111's combine_denoised, each in its region;
        and uncond.

        Where the unconditional row was left out, the first conditional answer takes its place.
        """
        conditional = answers[: len(self.parts)]
        uncond = answers[len(self.parts)] if len(answers) > len(self.parts) else conditional[0]
        denoised = uncond
        for part, answer in zip(self.parts, conditional, strict=True):
            share = part.weight * self.strength.scale
            denoised = denoised + (answer - uncond) * (share if part.region is None else part.region * share)
        return denoised, uncond

    def _put_together(
        self, noisy: Noisy, denoised: Tensor, uncond: Tensor, own: Sequence[Sequence[Answer]]
    ) -> Tensor:
        """What those hooks make of the answers that have a way of their own to put them together."""
        asked = [(hook, given) for hook, given in zip_longest(self.hooks, own, fillvalue=())
                 if type(hook).guided is not Hook.guided]
        if asked and self.strength.scale:
            towards = (denoised - uncond) / self.strength.scale
            guidance = Guidance(uncond, towards, self.strength.scale, self.parametrisation)
            for hook, given in asked:
                denoised = hook.guided(noisy, denoised, guidance, given)
        return denoised

    def _needs_uncond(self, sigma: float) -> bool:
        share = 1 - self.strength.scale * sum(part.weight for part in self.parts)
        if self.strength.keep_uncond:
            return True
        if self.call % 2 and sigma < self.strength.s_min_uncond:
            return False
        return abs(share) > 1e-9 or any(part.region is not None for part in self.parts)

    def _rescaled(self, noisy: Noisy, denoised: Tensor, conditional: Tensor) -> Tensor:
        """With the contrast that the conditional answer has, as the network predicts it."""
        network = self.parametrisation
        guided, reference = (network.predicted(noisy.x, d, noisy.sigma) for d in (denoised, conditional))
        plain = guided * (reference.std() / guided.std().clamp_min(1e-12))
        return network.denoised(noisy.x, torch.lerp(guided, plain, self.strength.rescale), noisy.sigma)


OnStep = Callable[[Noisy, Tensor], None]
AskedRows = Generator[list[Row], Sequence[Answer], tuple[Sequence[Answer], list[list[Answer]]]]


def asked(guidance: CFGDenoiser, noisy: Noisy, rows: list[Row]) -> AskedRows:
    """Yields the rows and what hooks want to know besides; returns the answers to `rows`, and to each hook's own."""
    beside = [hook.beside(noisy, rows) for hook in guidance.hooks]
    answers = yield [*rows, *chain.from_iterable(beside)]
    answers, rest = answers[: len(rows)], iter(answers[len(rows):])
    own = [[next(rest) for _ in each] for each in beside]
    after = [hook.after(noisy, rows, answers) for hook in guidance.hooks]
    if any(after):
        rest = iter((yield [*chain.from_iterable(after)]))
        own = [[*given, *(next(rest) for _ in each)] for given, each in zip(own, after, strict=True)]
    return answers, own


def guided(sampler: Sampler, guidance: CFGDenoiser, on_step: OnStep) -> Generator[Any, Any, Tensor]:
    """Runs a sampler under guidance: yields rows, is sent their answers, returns the final latent (C, h, w).

    Of a sampler of lazy latents it also yields the `Calculate` of their values; where another network takes over, what
    that asks for.

    `on_step(noisy, denoised)` hears of every guided call. Interrupted, it raises that with the last guided latent.
    """
    sent = heard = known = denoised = None
    while True:
        try:
            noisy = sampler.send(sent)
            latent = noisy.x
        except StopIteration as end:
            noisy, latent = None, end.value
        lazily = isinstance(latent, LazyLatent)
        try:
            x, known = yield from calculated(latent, denoised)
            if heard:
                on_step(heard, known)
            if noisy is None:
                return x.clone() if lazily else x       # whoever keeps it keeps no other pictures' rows
            noisy = heard = replace(noisy, x=x)
            yield from guidance.handed_over(noisy.sigma)
            rows = guidance.rows(noisy)
            answers, own = yield from asked(guidance, noisy, rows)
        except Interrupted:
            raise Interrupted(known) from None
        denoised, uncond = guidance.combine(noisy, rows, answers, own, lazily=lazily)
        sent = (denoised, uncond) if guidance.strength.keep_uncond else denoised
