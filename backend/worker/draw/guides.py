"""The guides of a request at work in one of its passes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor

from backend.request.guide_unit import BALANCED, BOTH, CONTROL_LEADS, FIRST, SECOND, is_on
from backend.request.record import Record
from backend.request.request import Request
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.ip_adapter import IPAdapter, PicturePrompt
from backend.worker.draw.annotation import Annotate
from backend.worker.draw.init_image import Source
from backend.worker.draw.plan import Pass
from backend.worker.draw.work_items import Canvas, LoadGuide, ShowPicture
from backend.worker.guidance.guided_rows import Guide, Guided
from backend.worker.guidance.hooks import Hook
from backend.worker.pixels import Pixels

FADING = 0.825          # of a residual to the next, from the middle to the top, where the prompt shall lead


def guided_by(
    request: Request, path: Pass, canvas: Canvas, source: Source | None, *, second: bool = False
) -> Generator[LoadGuide | Annotate | ShowPicture, Any, list[Hook]]:
    """The hook that has the rows of this pass guided; nothing where nothing guides them."""
    made = []
    for number, unit in _acting(request, second):
        network, picture = (yield LoadGuide(canvas.model, unit.model, number)), _picture(unit, source)
        if isinstance(network, IPAdapter):
            prompt = yield ShowPicture(network, unit.model, picture, number)
            made.append(_picture_prompt(unit, network, prompt))
            continue
        pixels = yield Annotate(unit, picture, canvas.size, source.part if source else None)
        made.append(_guide(unit, network, _tensor(pixels, canvas)))
    return [Guided(canvas.model, made, len(path.sigmas) - 1)] if made else []


def _acting(request: Request, second: bool) -> Iterator[tuple[int, Record]]:
    """(number, unit) of those that act in this pass; hires fix may leave one of its passes out."""
    passes = (BOTH, SECOND if second else FIRST)
    for number, unit in enumerate(request.guides):
        if is_on(unit) and (not request.enable_hr or unit.hires in passes):
            yield number, unit


def _picture(unit: Record, source: Source | None) -> str | Pixels:
    """The unit's own, or else what is drawn from, as it was given."""
    if unit.image:
        return unit.image
    assert source is not None
    return source.frame.part() if source.frame else source.pixels


def _guide(unit: Record, network: ControlNet, hint: Tensor) -> Guide:
    last = network.places - 1
    fading = [1.0 if unit.control_mode == BALANCED else FADING ** (last - place) for place in range(network.places)]
    use = Use(network, unit.weight, (hint, torch.tensor(fading, device=hint.device)))
    with_words_only = unit.control_mode == CONTROL_LEADS or network.pools
    return Guide(use, None if with_words_only else use, unit.start, unit.end)


def _picture_prompt(unit: Record, network: IPAdapter, prompt: PicturePrompt) -> Guide:
    uses = (Use(network, unit.weight, (tokens,)) for tokens in (prompt.picture, prompt.none))
    return Guide(*uses, unit.start, unit.end)


def _tensor(pixels: Pixels, canvas: Canvas) -> Tensor:
    """(3, H, W) in 0..1 on the model's device."""
    return torch.tensor(pixels, device=canvas.model.device).permute(2, 0, 1).float() / 255
