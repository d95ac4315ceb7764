"""One call of a network for some rows: all tensors that it reads, and the network with what the rows attach to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from backend.worker.adapters import hypernetwork, lora_branches
from backend.worker.adapters.adapter import Recordable, Use, Watched, together
from backend.worker.adapters.attachment import Attachment
from backend.worker.adapters.key_value_cache import words_kept
from backend.worker.guidance.row import Row
from backend.worker.models.device_transfer import on_device
from backend.worker.models.encoded_text import Encoded, stacked
from backend.worker.models.graph_replay import CallShape
from backend.worker.models.seamless import seamless


@dataclass(eq=False)
class NetworkCall:
    """All rows share `Row.key`; each has its own noise level and parametrisation. See `graph_replay.RecordableCall`.

    `watched` is filled while the call is made; one in which anything is watched is not recorded.
    """

    rows: Sequence[Row]
    watched: Sequence[Watched] = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.rows[0].model
        self.watched = [{} for _ in self.rows]

    @cached_property
    def given(self) -> list[Tensor]:
        """Latents (B, C, h, w), (c_in, c_skip, c_out, timestep) of each row (B, 4), words, and what else is shown."""
        rows = self.rows
        at = [row.parametrisation.scalings(row.sigma) for row in rows]
        numbers = on_device([(s.c_in, s.c_skip, s.c_out, s.timestep) for s in at], rows[0].x.device)
        texts = stacked([row.encoded for row in rows])
        shown = [row.channels for row in rows if row.channels is not None]      # all rows have them or none
        more = [texts.pooled] if texts.pooled is not None else []
        more += [torch.stack(shown)] if shown else []
        return [torch.stack([row.x for row in rows]), numbers, texts.tokens, *more]

    @cached_property
    def attachments(self) -> list[Attachment]:
        """What is attached to the network, in that order: what is kept of the words comes last."""
        used = [self._attachment(uses) for uses in together([row.uses for row in self.rows])]
        beside = [row.branches for row in self.rows]
        model = self.model
        if model.compiled and not used and not any(beside):
            return [Attachment((), model.compiled.attached, "compiled")]
        return [*used, lora_branches.attachment(beside), hypernetwork.attachment(model.denoiser, beside),
                words_kept(model.denoiser, self._words_key(), model.kept_words)]

    @cached_property
    def inputs(self) -> list[Sequence[Tensor]]:
        """All that is read, what is given first."""
        return [self.given, *(each.tensors for each in self.attachments)]

    @cached_property
    def owners(self) -> list[nn.Module]:
        """Whose weights are read."""
        return [self.model.denoiser, *(owner for each in self.attachments for owner in each.owners)]

    @property
    def shape(self) -> CallShape | None:
        """See `graph_replay.RecordableCall`."""
        first, structures = self.rows[0], tuple(each.structure for each in self.attachments)
        if first.watch or None in structures:
            return None
        shown = 0 if first.channels is None else len(first.channels)
        kind = self.model.identity, first.tiling, first.x.shape, first.encoded.kind, shown
        return CallShape(kind, len(self.rows), structures)

    @property
    def settings(self) -> tuple[Hashable, ...]:
        """See `RecordableCall`: noise levels, words, strengths and data of adapters, the same of branches."""
        uses, beside = [row.uses for row in self.rows], [row.branches for row in self.rows]
        return (tuple(row.sigma for row in self.rows), tuple(row.encoded.identity for row in self.rows),
                _each(uses, lambda use: use.strength), _each(uses, lambda use: tuple(map(id, use.data))),
                _each(beside, lambda use: use.strength), _each(beside, lambda use: use.words_key))

    def run(self, inputs: Sequence[Sequence[Tensor]]) -> Tensor:
        """The denoised latents (B, C, h, w)."""
        given, *attached = inputs
        x, numbers, tokens, *more = given
        c_in, c_skip, c_out = numbers[:, :3].T[..., None, None, None]                               # each (B, 1, 1, 1)
        pooled = more.pop(0) if self.rows[0].encoded.pooled is not None else None
        with ExitStack() as stack:
            stack.enter_context(seamless(self.model.denoiser, self.rows[0].tiling))
            for attachment, tensors in zip(self.attachments, attached, strict=True):
                seen = stack.enter_context(attachment.attach(tensors))
                if seen is not None:
                    stack.callback(_collect, self.watched, seen)
            channels = more[0] if more else None
            output = self.model.predict(x * c_in, numbers[:, 3], Encoded(tokens, pooled), channels=channels)
        return x * c_skip + output * c_out

    def _attachment(self, uses: Sequence[Use | None]) -> Attachment:
        adapter, rows = next(use.adapter for use in uses if use is not None), self.rows
        if isinstance(adapter, Recordable):
            return adapter.attachment(self.model, rows, uses)
        return Attachment((), lambda tensors: adapter.attach(self.model, rows, uses))

    def _words_key(self) -> Hashable:
        keys = tuple(row.words_key for row in self.rows)
        return None if None in keys else keys


def _each(rows: Sequence[Sequence[Any]], told: Callable[[Any], Hashable]) -> Hashable:
    return tuple(tuple(told(use) for use in row) for row in rows)


def _collect(watched: Sequence[Watched], seen: Sequence[Watched]) -> None:
    for row, more in zip(watched, seen, strict=True):
        row.update(more)
