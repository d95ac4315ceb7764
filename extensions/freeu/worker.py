"""FreeU at work: diffusers' own, switched on for single calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import LeavesWords, Use
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.row import Row
from backend.worker.house import WorkerHouse
from backend.worker.models.base import Model


@dataclass(frozen=True, slots=True, eq=False)
class FreeU(LeavesWords):
    """An adapter; its rows share a call when they have the same four numbers."""

    s1: float
    s2: float
    b1: float
    b2: float

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        """See `Adapter.attach`."""
        model.denoiser.enable_freeu(self.s1, self.s2, self.b1, self.b2)
        try:
            yield
        finally:
            model.denoiser.disable_freeu()


freeu = lru_cache(maxsize=64)(FreeU)


@dataclass(slots=True)
class WithFreeU(Hook):
    """Has all rows use it."""

    adapter: FreeU

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`."""
        return [replace(row, uses=(*row.uses, Use(self.adapter))) for row in rows]


def _hook(request: Request) -> Hook | None:
    if not request.freeu_enabled:
        return None
    return WithFreeU(freeu(request.freeu_s1, request.freeu_s2, request.freeu_b1, request.freeu_b2))


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("FreeU", _hook))
