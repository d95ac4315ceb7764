"""DeepCache (Ma et al. 2023) with the outermost of the network's levels: what the deeper ones found is used again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import LeavesWords, Use, Watched
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.row import Answer, Row
from backend.worker.house import WorkerHouse
from backend.worker.models.model_base import Model
from extensions.step_cache.extension import COSTS, EVERY

DEEP = "deep features"


class Whole(LeavesWords):
    """An adapter that changes nothing: tells what the outermost level on the way up is given, (C, h, w) of each row."""

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[Sequence[Watched]]:
        """See `Adapter.attach`."""
        watched: list[Watched] = [{} for _ in rows]

        def tell(block: nn.Module, given: tuple[Any, ...], found: Tensor) -> None:
            for row, deep in zip(watched, found.unbind(0), strict=True):
                row[DEEP] = deep

        handle = model.denoiser.up_blocks[-2].register_forward_hook(tell)
        try:
            yield watched
        finally:
            handle.remove()


class Outermost(LeavesWords):
    """An adapter: of the network only the outermost level runs, on the deep features that are a use's data."""

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        """See `Adapter.attach`."""
        unet, deep = model.denoiser, torch.stack([use.data[0] for use in uses])

        def down(block: nn.Module) -> Any:
            skipped = len(block.resnets) + bool(block.downsamplers)
            return lambda hidden_states, *_, **__: (hidden_states, (hidden_states.new_zeros(()),) * skipped)

        def up(hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
            return deep

        with ExitStack() as replaced:
            for block in unet.down_blocks[1:]:
                replaced.enter_context(_instead(block, down(block)))
            for block in (unet.mid_block, *unet.up_blocks[:-1]):
                replaced.enter_context(_instead(block, up))
            yield


WHOLE, OUTERMOST = Whole(), Outermost()


@dataclass(slots=True)
class StepCache(Hook):
    """Asks for the whole network in every `every`-th call. While anything else is at work in it, in all of them."""

    every: int
    deep: list[Tensor] = field(default_factory=list, init=False)
    model: Model | None = field(default=None, init=False)       # whose features those are
    since: int = field(default=0, init=False)

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`."""
        self.since += 1
        if any(row.uses for row in rows):
            self.deep = []
            return rows
        if len(self.deep) == len(rows) and self.since < self.every and rows[0].model is self.model:
            return [replace(row, uses=(Use(OUTERMOST, data=(deep,)),))
                    for row, deep in zip(rows, self.deep, strict=True)]
        self.since, self.model = 0, rows[0].model
        return [replace(row, uses=(Use(WHOLE),), watch=True) for row in rows]

    def answers(self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer]) -> Sequence[Answer]:
        """See `Hook.answers`."""
        if all(DEEP in answer.watched for answer in answers):
            self.deep = [answer.watched[DEEP] for answer in answers]
        return answers


@contextmanager
def _instead(block: nn.Module, forward: Any) -> Iterator[None]:
    """Another way through a block, for one call."""
    block.forward = forward
    try:
        yield
    finally:
        del block.forward


def _hook(request: Request) -> Hook | None:
    return StepCache(EVERY[request.step_cache]) if request.step_cache in EVERY else None


def _note(request: Request) -> str:
    cost = COSTS.get(request.step_cache)
    return f"step cache, {request.step_cache.lower()}: not the exact picture; {cost}" if cost else ""


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("step cache", _hook, _note))
