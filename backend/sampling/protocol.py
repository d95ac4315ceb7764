"""The contract between a sampler and whoever evaluates the network for it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Noisy:
    """A latent that wants denoising.

    ``x`` = clean latent + ``sigma`` * unit noise (the "variance exploding" scale, for every sampler);
    ``step`` counts sampler steps from 0, and repeats when a step needs several evaluations.
    """

    x: Tensor
    sigma: float
    step: int


Sampler: TypeAlias = "Generator[Noisy, Tensor, Tensor]"
"""Yields a noisy latent, is sent the denoised one (an estimate of the clean latent), returns the final latent."""

Noise: TypeAlias = "Callable[[float, float], Tensor]"
"""``noise(sigma, sigma_next)``: unit normal noise for the step between two noise levels, new numbers on each call."""


def pairs(sigmas: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Neighbours of a descending list: n + 1 sigmas make n steps."""
    return pairwise(sigmas)


def floats(values: Iterable[float]) -> list[float]:
    """A tensor, an array or any iterable of numbers as Python floats, with a single device transfer."""
    listed = values.tolist() if hasattr(values, "tolist") else values
    return [float(value) for value in listed]
