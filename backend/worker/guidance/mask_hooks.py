"""Masks at work: hooks around guidance that keep what is not marked.

Masks are (1, h, w), 1 where cells are drawn anew and 0 where they stay; latents are (C, h, w).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.sampling.protocol import Noisy
from backend.worker.guidance.hooks import Hook


@dataclass(slots=True)
class Blend(Hook):
    """Inpainting's rule: where `mask` is 0 the picture stays `original`."""

    original: Tensor
    mask: Tensor

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        """See `Hook.denoised`."""
        return self.kept(denoised)

    def kept(self, latent: Tensor) -> Tensor:
        """`latent` where the mask is 1, the original where it is 0."""
        return latent * self.mask + self.original * (1 - self.mask)


@dataclass(slots=True)
class SoftBlend(Hook):
    """Differential diffusion (Levin and Fried 2023): a cell of level g changes during the last share g of the steps.

    Until then it stays `original`, as if the picture had been drawn from it with g times the denoising strength.
    `sigmas` are those of the steps, descending.
    """

    original: Tensor
    mask: Tensor
    sigmas: Sequence[float]

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        """See `Hook.denoised`."""
        return torch.where(self.mask >= self.threshold(noisy.sigma), denoised, self.original)

    def kept(self, latent: Tensor) -> Tensor:
        """`latent` except where the mask is 0: there the original."""
        return torch.where(self.mask > 0, latent, self.original)

    def threshold(self, sigma: float) -> float:
        """The level from which cells are free at this noise level: 1 at the first, near 0 at the last step."""
        steps = len(self.sigmas) - 1
        done = np.interp(-sigma, [-s for s in self.sigmas], range(steps + 1))
        return max(1 - float(done) / max(steps, 1), 1e-6) - 1e-6
