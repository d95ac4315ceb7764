"""Where the parts of a prompt act: a mask for each of those between AND, as Latent Couple has them."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from backend.request.guide_unit import GUIDE_UNIT
from backend.request.record import Record
from backend.request.request import Request
from backend.worker.draw.guide_hint import Annotate
from backend.worker.draw.init_image import Source
from backend.worker.draw.work_items import Canvas
from backend.worker.pixels import Pixels

PLAIN = {"module": "none", "resize_mode": "Just Resize"}


def region_masks(
    request: Request, canvas: Canvas, source: Source | None
) -> Generator[Annotate, Pixels, list[Tensor | None]]:
    """For each part of the prompt, as far as regions are told, a mask (1, h, w) in 0..1 over the latent; None is
    everywhere."""
    unit = Record({name: field.default for name, field in GUIDE_UNIT.items()} | PLAIN)
    masks: list[Tensor | None] = []
    for region in request.regions:
        if not region.mask:
            masks.append(None)
            continue
        pixels = yield Annotate(unit, region.mask, canvas.size, source.part if source else None)
        levels = torch.tensor(pixels, device=canvas.model.device).float().mean(dim=2)[None, None] / 255
        masks.append(interpolate(levels, canvas.shape[1:], mode="area")[0])
    return masks
