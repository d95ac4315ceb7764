"""InstantID's two parts joined: its ControlNet on the key points reads whom to draw as its picture prompt sees them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from backend.catalog.ip_adapters import RAW_FACE
from backend.request.record import Record
from backend.request.request import Request
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.ip_adapter_projection import PicturePrompt
from backend.worker.adapters.reference import REFERENCES
from backend.worker.draw.work_items import Canvas, LoadGuide, ShowPicture
from backend.worker.guidance.guide_hook import Guide
from backend.worker.pixels import Pixels


def told_who(
    guide: Guide, request: Request, canvas: Canvas, pictures: Callable[[Record], Sequence[str | Pixels]]
) -> Generator[LoadGuide | ShowPicture, Any, Guide]:
    """The ControlNet's guide, with the tokens of the request's face unit in place of the words; as it is without one.

    `pictures` are those of a unit.
    """
    for number, unit in enumerate(request.guides):
        if not unit.enabled or unit.module in REFERENCES:
            continue
        network = yield LoadGuide(canvas.model, unit.model, number)
        if isinstance(network, IPAdapter) and network.projection.sees == RAW_FACE:
            prompt: PicturePrompt = yield ShowPicture(network, pictures(unit), unit, number)
            return replace(guide, cond=_reading(guide.cond, prompt.picture, canvas),
                           uncond=guide.uncond and _reading(guide.uncond, prompt.none, canvas))
    return guide


def _reading(use: Use, identity: Tensor, canvas: Canvas) -> Use:
    hint, weights, *region = use.data
    where = region[0] if region else torch.ones(1, *canvas.size, device=hint.device)
    return replace(use, data=(hint, weights, where, identity))
