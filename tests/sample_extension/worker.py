"""The door that the worker opens besides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.prompt.grammar import Network
from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.kinds import AdapterKind
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.row import Row
from backend.worker.house import WorkerHouse
from backend.worker.models.model_base import Model

BREAKS = 1.0


@dataclass
class Push(Hook):
    """Moves every denoised latent; pushed as far as it goes it breaks."""

    by: float

    def denoised(self, noisy: Noisy, denoised: Tensor) -> Tensor:
        if self.by >= BREAKS:
            raise ArithmeticError("pushed too far")
        return denoised + self.by


def _push(request: Request) -> Hook | None:
    by = request.sample_push + sum(unit.weight for unit in request.sample_units if unit.on)
    return Push(by) if by else None


class Tint:
    """An adapter: adds `strength` of each row to what the network says to it."""

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        strengths = torch.tensor([use.strength for use in uses], device=model.device).view(-1, 1, 1, 1)
        handle = model.denoiser.register_forward_hook(lambda network, given, said: (said[0] + strengths.to(said[0]),))
        try:
            yield
        finally:
            handle.remove()


TINT = Tint()


def _tint(network: Network, model: Model) -> Use:
    return Use(TINT, float(network.positional[0]))


def register(house: WorkerHouse) -> None:
    house.hooks.add(HookRow("sample push", _push))
    house.adapters.add(AdapterKind("tint", _tint))
