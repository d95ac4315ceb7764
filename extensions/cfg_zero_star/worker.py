"""CFG-Zero* (Fan et al. 2025, equations 7 and 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Guidance, Hook
from backend.worker.guidance.row import Answer
from backend.worker.house import WorkerHouse

NOTHING = 1e-8


@dataclass(slots=True)
class ZeroStar(Hook):
    """The unconditional prediction, scaled to explain as much as it can of the conditional one, is guided away from.

    In the first `silent` steps the network is taken to predict nothing.
    """

    silent: int

    def guided(self, noisy: Noisy, denoised: Tensor, guidance: Guidance, own: Sequence[Answer]) -> Tensor:
        """See `Hook.guided`: guidance's own share of the answer changes, what other hooks did to it stays."""
        network, x, sigma = guidance.parametrisation, noisy.x, noisy.sigma
        if noisy.step < self.silent:
            return network.denoised(x, torch.zeros_like(x), sigma)
        cond, uncond = (network.predicted(x, latent, sigma)
                        for latent in (guidance.uncond + guidance.towards, guidance.uncond))
        explained = (cond * uncond).sum() / (uncond.square().sum() + NOTHING) * uncond
        changed = network.denoised(x, explained + guidance.scale * (cond - explained), sigma)
        return denoised + changed - (guidance.uncond + guidance.scale * guidance.towards)


def _hook(request: Request) -> Hook | None:
    return ZeroStar(request.cfg_zero_steps) if request.cfg_zero_star else None


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("CFG-Zero*", _hook))
