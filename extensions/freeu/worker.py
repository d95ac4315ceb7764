"""FreeU at work: diffusers' own, the first version, and the second; both switched on for single calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch
from diffusers.utils.torch_utils import fourier_filter
from torch import nn

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import LeavesWords, Use
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.row import Row
from backend.worker.house import WorkerHouse
from backend.worker.models.model_base import Model
from extensions.freeu.extension import SECOND

NOTHING = 1e-6          # the least difference of means that half precision tells from none


@dataclass(frozen=True, slots=True, eq=False)
class _Strengths(LeavesWords):
    """Of the skipped part and of the backbone, in the first two stages of a decoder."""

    s1: float
    s2: float
    b1: float
    b2: float


class FreeU(_Strengths):
    """An adapter; its rows share a call when they have the same four numbers."""

    __slots__ = ()

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        """See `Adapter.attach`."""
        model.denoiser.enable_freeu(self.s1, self.s2, self.b1, self.b2)
        try:
            yield
        finally:
            model.denoiser.disable_freeu()


class SecondFreeU(_Strengths):
    """The authors' second version as ComfyUI and Forge have it: the backbone is amplified where it is strong already.

    The stages are told by their channels, four and two times the network's first, so a call of them may be any.
    """

    __slots__ = ()

    @contextmanager
    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]) -> Iterator[None]:
        """See `Adapter.attach`."""
        unet = model.denoiser
        first = unet.conv_in.out_channels
        stages = {4 * first: (self.b1, self.s1), 2 * first: (self.b2, self.s2)}
        channels = unet.mid_block.resnets[-1].out_channels
        with ExitStack() as hooked:
            for resnet in (resnet for block in unet.up_blocks for resnet in block.resnets):
                if channels in stages:
                    change = partial(_amplified, channels, *stages[channels])
                    hooked.callback(resnet.register_forward_pre_hook(change).remove)
                channels = resnet.out_channels
            yield


def _amplified(channels: int, backbone: float, skip: float, module: nn.Module, given: tuple[Any, ...]) -> tuple[
        Any, ...]:
    """What a decoder's block is given, (B, channels + skipped, h, w), both parts changed."""
    h, skipped = given[0].split([channels, given[0].shape[1] - channels], dim=1)
    mean = h.mean(dim=1, keepdim=True)
    least, most = mean.amin(dim=(2, 3), keepdim=True), mean.amax(dim=(2, 3), keepdim=True)
    strength = (mean - least) / (most - least).clamp_min(NOTHING)
    half = channels // 2
    stronger = h[:, :half] * ((backbone - 1) * strength + 1)
    filtered = fourier_filter(skipped, threshold=1, scale=skip)
    return (torch.cat([stronger, h[:, half:], filtered], dim=1), *given[1:])


freeu = lru_cache(maxsize=64)(FreeU)
second_freeu = lru_cache(maxsize=64)(SecondFreeU)


@dataclass(slots=True)
class WithFreeU(Hook):
    """Has all rows use it."""

    adapter: FreeU | SecondFreeU

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`."""
        return [replace(row, uses=(*row.uses, Use(self.adapter))) for row in rows]


def _hook(request: Request) -> Hook | None:
    if not request.freeu_enabled:
        return None
    version = second_freeu if request.freeu_version == SECOND else freeu
    return WithFreeU(version(request.freeu_s1, request.freeu_s2, request.freeu_b1, request.freeu_b2))


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("FreeU", _hook))
