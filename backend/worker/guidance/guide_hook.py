"""Guides at work: a hook around guidance that has rows use ControlNets and the like while it is their turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.lora_branches import Branches
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.row import Row
from backend.worker.models.encoded_text import Encoded
from backend.worker.models.model_base import Model


@dataclass(frozen=True, slots=True, eq=False)
class Guide:
    """What rows use from `start` to `end`, shares of the steps: those with the words `cond`, others `uncond`.

    `words` (T, D) stand behind those of the prompt; behind others there are as many zeros. All rows have the `branches`
    beside their layers.
    """

    cond: Use | None = None
    uncond: Use | None = None
    words: Tensor | None = None
    start: float = 0.0
    end: float = 1.0
    branches: tuple[Branches, ...] = ()


@dataclass(slots=True)
class Guided(Hook):
    """All guides of a pass of `steps` steps for one model. Another one, such as a refiner, has guides of its own."""

    model: Model
    guides: Sequence[Guide]
    steps: int
    _told: dict[tuple[int, ...], Encoded] = field(init=False, default_factory=dict)

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`. A use without strength is none, so that it costs nothing."""
        done = noisy.step / self.steps
        acting = [guide for guide in self.guides if guide.start <= done <= guide.end]
        branches = tuple(each for guide in acting for each in guide.branches)
        return [replace(row, uses=(*row.uses, *self._uses(row, acting)), encoded=self._encoded(row, acting),
                        branches=(*row.branches, *(branches if row.model is self.model else ())))
                for row in rows]

    def _uses(self, row: Row, acting: Sequence[Guide]) -> list[Use]:
        if row.model is not self.model:
            return []
        uses = [guide.cond if row.role == "cond" else guide.uncond for guide in acting]
        return [use for use in uses if use is not None and use.strength]

    def _encoded(self, row: Row, acting: Sequence[Guide]) -> Encoded:
        said = [guide.words for guide in acting if guide.words is not None]
        if row.model is not self.model or not said:
            return row.encoded
        key = row.encoded.identity, row.role == "cond", *map(id, said)
        if key not in self._told:
            more = said if row.role == "cond" else [torch.zeros_like(each) for each in said]
            self._told[key] = replace(row.encoded, tokens=torch.cat([row.encoded.tokens, *more]))
        return self._told[key]
