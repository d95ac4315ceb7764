"""Self-attention guidance (Hong et al. 2022, algorithm 1): away from a picture blurred where the network looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn
from torchvision.transforms.functional import gaussian_blur

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import ForSomeRows, LeavesWords, Use, Watched
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Guidance, Hook
from backend.worker.guidance.row import Answer, Row
from backend.worker.house import WorkerHouse
from backend.worker.models.model_base import Model

LOOKED_AT = "looked at"
KERNEL = 9              # cells of the latent
MORE_THAN_EVEN = 1.0    # a place is looked at when it gets more than it would if all places got the same


class AttentionMap(ForSomeRows, LeavesWords):
    """An adapter that changes nothing: tells how much each place of the middle block is looked at, (1, h, w)."""

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Iterator[Sequence[Watched]]:
        """See `Adapter.attach`."""
        watched: list[Watched] = [{} for _ in rows]
        told = [number for number, use in enumerate(uses) if use is not None]
        size: list[tuple[int, int]] = []
        transformer = model.denoiser.mid_block.attentions[0]

        def enter(module: nn.Module, given: tuple[Any, ...]) -> None:
            size[:] = [tuple(given[0].shape[-2:])]

        def look(attention: nn.Module, given: tuple[Any, ...], named: dict[str, Any], found: Tensor) -> None:
            x = given[0] if given else named["hidden_states"]
            query, key = (attention.head_to_batch_dim(of(x), out_dim=4) for of in (attention.to_q, attention.to_k))
            for number in told:
                shares = attention.get_attention_scores(query[number], key[number])     # (heads, places, places)
                watched[number][LOOKED_AT] = shares.float().mean(0).sum(0).view(1, *size[0])

        attention = transformer.transformer_blocks[0].attn1
        handles = (transformer.register_forward_pre_hook(enter),
                   attention.register_forward_hook(look, with_kwargs=True))
        try:
            yield watched
        finally:
            for handle in handles:
                handle.remove()


MAP = AttentionMap()


@dataclass(slots=True)
class SelfAttentionGuidance(Hook):
    """Adds `scale` times (blurred - what the network makes of the blurred) to the guided answer.

    What is blurred is the answer to the negative prompt, or without one that to the prompt.
    """

    scale: float
    blur: float
    blurred: Tensor | None = field(default=None, init=False)

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """All rows are watched, so that they fit into one call."""
        watched = [replace(row, watch=True) for row in rows]
        base = watched[_base(rows)]
        watched[_base(rows)] = replace(base, uses=(*base.uses, Use(MAP)))
        return watched

    def after(self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer]) -> list[Row]:
        """See `Hook.after`."""
        row, answer = rows[_base(rows)], answers[_base(rows)]
        looked_at = (answer.watched[LOOKED_AT] > MORE_THAN_EVEN).to(answer.denoised)
        mask = nnf.interpolate(looked_at[None], answer.denoised.shape[-2:])[0]
        soft = gaussian_blur(answer.denoised, [KERNEL, KERNEL], [self.blur, self.blur])
        self.blurred = torch.lerp(answer.denoised, soft, mask)
        x = row.x + (self.blurred - answer.denoised)
        uses = tuple(use for use in row.uses if use.adapter is not MAP)
        return [replace(row, x=x, uses=uses, watch=False)]

    def guided(self, noisy: Noisy, denoised: Tensor, guidance: Guidance, own: Sequence[Answer]) -> Tensor:
        """See `Hook.guided`."""
        return denoised + self.scale * (self.blurred - own[0].denoised)


def _base(rows: Sequence[Row]) -> int:
    return next((number for number, row in enumerate(rows) if row.role == "uncond"), 0)


def _hook(request: Request) -> Hook | None:
    return SelfAttentionGuidance(request.sag_scale, request.sag_blur) if request.sag_scale else None


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("self-attention guidance", _hook))
