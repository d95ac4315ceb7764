"""Dynamic thresholding, as mcmonkey's extension for AUTOMATIC1111 has it with its modes at "Constant"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Guidance, Hook
from backend.worker.guidance.row import Answer
from backend.worker.house import WorkerHouse
from extensions.dynamic_thresholding.extension import FROM_ZERO, PEAK

NOTHING = 1e-12


@dataclass(slots=True, kw_only=True)
class Thresholded(Hook):
    """Guided at the CFG scale with the contrast that guidance at `mimic` has. `percentile` 0..1, `phi` 0..1."""

    mimic: float
    percentile: float
    separate: bool
    from_zero: bool
    by_peak: bool
    phi: float

    def guided(self, noisy: Noisy, denoised: Tensor, guidance: Guidance, own: Sequence[Answer]) -> Tensor:
        """See `Hook.guided`: guidance's own share of the answer changes, what other hooks did to it stays."""
        wide = guidance.uncond + guidance.scale * guidance.towards
        narrow = guidance.uncond + self.mimic * guidance.towards
        shape = (len(wide), -1) if self.separate else (1, -1)
        narrowed = self._with_contrast(wide.reshape(shape), narrow.reshape(shape)).view_as(wide)
        return denoised + self.phi * (narrowed - wide)

    def _with_contrast(self, wide: Tensor, narrow: Tensor) -> Tensor:
        """`wide` (G, N) with the contrast of `narrow`, for each of the G groups."""
        middle = torch.zeros_like(wide[:, :1]) if self.from_zero else wide.mean(dim=1, keepdim=True)
        theirs = narrow if self.from_zero else narrow - narrow.mean(dim=1, keepdim=True)
        off = wide - middle
        if not self.by_peak:
            return off / off.std(dim=1, keepdim=True).clamp_min(NOTHING) * theirs.std(dim=1, keepdim=True) + middle
        reference = theirs.abs().amax(dim=1, keepdim=True)
        peak = torch.maximum(torch.quantile(off.abs(), self.percentile, dim=1, keepdim=True), reference)
        return off.clamp(-peak, peak) / peak.clamp_min(NOTHING) * reference + middle


def _hook(request: Request) -> Hook | None:
    if not request.dynthres_enabled:
        return None
    return Thresholded(
        mimic=request.dynthres_mimic_scale, percentile=request.dynthres_percentile / 100,
        separate=request.dynthres_separate_channels, from_zero=request.dynthres_startpoint == FROM_ZERO,
        by_peak=request.dynthres_variability == PEAK, phi=request.dynthres_phi)


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("dynamic thresholding", _hook))
