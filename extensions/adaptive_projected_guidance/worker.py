"""Adaptive projected guidance (Sadat et al. 2024, algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Guidance, Hook
from backend.worker.guidance.row import Answer
from backend.worker.house import WorkerHouse

NOTHING = 1e-12


@dataclass(slots=True)
class Projected(Hook):
    """Guidance with `eta` of what of it runs along the conditional answer, at most `threshold` long (0 = no limit)."""

    eta: float
    threshold: float
    momentum: float
    average: Tensor | None = field(default=None, init=False)

    def guided(self, noisy: Noisy, denoised: Tensor, guidance: Guidance, own: Sequence[Answer]) -> Tensor:
        """See `Hook.guided`: guidance's own share of the answer changes, what other hooks did to it stays."""
        towards, cond = self._averaged(guidance.towards), guidance.uncond + guidance.towards
        if self.threshold:
            towards = towards * min(1.0, self.threshold / max(float(towards.norm()), NOTHING))
        along = (towards * cond).sum() / cond.square().sum().clamp_min(NOTHING) * cond
        changed = towards - along + self.eta * along
        return denoised + (guidance.scale - 1) * (changed - guidance.towards)

    def _averaged(self, towards: Tensor) -> Tensor:
        self.average = towards if self.average is None else towards + self.momentum * self.average
        return self.average


def _hook(request: Request) -> Hook | None:
    if request.apg_eta == 1 and not request.apg_threshold and not request.apg_momentum:
        return None
    return Projected(request.apg_eta, request.apg_threshold, request.apg_momentum)


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("adaptive projected guidance", _hook))
