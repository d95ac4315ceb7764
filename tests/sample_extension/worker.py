"""The door that the worker opens besides."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook
from backend.worker.house import WorkerHouse


@dataclass
class Push(Hook):
    """Moves every denoised latent."""

    by: float

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        return denoised + self.by


def _push(request: Request) -> Hook | None:
    by = request.sample_push + sum(unit.weight for unit in request.sample_units if unit.on)
    return Push(by) if by else None


def register(house: WorkerHouse) -> None:
    house.hooks.add(HookRow("sample push", _push))
