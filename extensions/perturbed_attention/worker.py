"""Perturbed-attention guidance (Ahn et al. 2024, equation 13): away from the answer without self-attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import ForSomeRows, LeavesWords, Use
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Guidance, Hook
from backend.worker.guidance.row import Answer, Row
from backend.worker.house import WorkerHouse
from backend.worker.models.device_transfer import on_device
from backend.worker.models.model_base import Model


@dataclass(frozen=True, slots=True, eq=False)
class IdentityAttention(ForSomeRows, LeavesWords):
    """In the rows that use this adapter each place of a self-attention sees itself alone."""

    blocks: str

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Iterator[None]:
        """See `Adapter.attach`."""
        perturbed = on_device([use is not None for use in uses], model.device, torch.bool).view(-1, 1, 1)

        def alone(attention: nn.Module, given: tuple[Any, ...], named: dict[str, Any], found: Tensor) -> Tensor:
            x = given[0] if given else named["hidden_states"]
            return torch.where(perturbed, attention.to_out[0](attention.to_v(x)), found)

        with ExitStack() as hooked:
            for attention in self._attentions(model.denoiser):
                hooked.callback(attention.register_forward_hook(alone, with_kwargs=True).remove)
            yield

    def _attentions(self, unet: nn.Module) -> list[nn.Module]:
        places = {"Middle": [unet.mid_block], "Up": unet.up_blocks, "Down": unet.down_blocks,
                  "All": [*unet.down_blocks, unet.mid_block, *unet.up_blocks]}
        return [module.attn1 for block in places[self.blocks] for module in block.modules() if hasattr(module, "attn1")]


ADAPTERS = {blocks: IdentityAttention(blocks) for blocks in ("Middle", "Up", "Down", "All")}


@dataclass(slots=True)
class PerturbedAttention(Hook):
    """Adds `scale` times (cond - perturbed cond) to the guided answer, the mean over the prompt's parts."""

    scale: float
    adapter: IdentityAttention
    cond: list[Tensor] = field(default_factory=list)

    def beside(self, noisy: Noisy, rows: Sequence[Row]) -> list[Row]:
        """See `Hook.beside`."""
        return [replace(row, uses=(*row.uses, Use(self.adapter))) for row in rows if row.role == "cond"]

    def answers(self, noisy: Noisy, rows: Sequence[Row], answers: Sequence[Answer]) -> Sequence[Answer]:
        """See `Hook.answers`."""
        self.cond = [answer.denoised for row, answer in zip(rows, answers, strict=True) if row.role == "cond"]
        return answers

    def guided(self, noisy: Noisy, denoised: Tensor, guidance: Guidance, own: Sequence[Answer]) -> Tensor:
        """See `Hook.guided`."""
        away = [cond - perturbed.denoised for cond, perturbed in zip(self.cond, own, strict=True)]
        return denoised + self.scale * torch.stack(away).mean(dim=0)

def _hook(request: Request) -> Hook | None:
    return PerturbedAttention(request.pag_scale, ADAPTERS[request.pag_blocks]) if request.pag_scale else None


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("perturbed attention", _hook))
