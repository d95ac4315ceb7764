"""The guides of a request at work in one of its passes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor

from backend.catalog.guide_files import reads_key_points
from backend.catalog.picture_prompts import RAW_FACE
from backend.request.guide_unit import BALANCED, BOTH, CONTROL_LEADS, FIRST, KEY_POINTS, SECOND, is_on
from backend.request.record import Record
from backend.request.request import Request
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.attention_weights import attention_weights, turned_weights
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.image_projection import PicturePrompt
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.draw.annotation import Annotate
from backend.worker.draw.init_image import Source
from backend.worker.draw.plan import Pass
from backend.worker.draw.work_items import Canvas, FindKeyPoints, LoadGuide, ShowPicture
from backend.worker.guidance.guided_rows import Guide, Guided
from backend.worker.models.base import Model
from backend.worker.pixels import Pixels

FADING = 0.825          # of a residual to the next, from the middle to the top, where the prompt shall lead


Asking = Generator[LoadGuide | Annotate | ShowPicture | FindKeyPoints, Any, Any]


def guided_by(
    request: Request, path: Pass, canvas: Canvas, source: Source | None, *, second: bool = False
) -> Asking:
    """The hook that has the rows of this pass guided, in a list; nothing where nothing guides them."""
    identity = yield from _identity(request, canvas, source)
    made: list[Guide] = []
    for number, unit in _acting(request, second):
        network = yield LoadGuide(canvas.model, unit.model, number)
        if isinstance(network, IPAdapter):
            prompt = yield ShowPicture(network, _pictures(unit, source), unit, number)
            made += _picture_prompt(unit, network, prompt, canvas.model)
            continue
        pixels = yield from _hint(request, number, canvas, source)
        made.append(_guide(unit, network, _tensor(pixels, canvas), identity if reads_key_points(unit) else None))
    return [Guided(canvas.model, made, len(path.sigmas) - 1)] if made else []


def _identity(request: Request, canvas: Canvas, source: Source | None) -> Asking:
    """What InstantID's ControlNet reads in place of the words; None where there is no such unit."""
    units = [(number, unit) for number, unit in enumerate(request.guides) if unit.enabled]
    if not any(reads_key_points(unit) for _, unit in units if is_on(unit)):
        return None
    for number, unit in units:
        network = yield LoadGuide(canvas.model, unit.model, number)
        if isinstance(network, IPAdapter) and network.projection.sees == RAW_FACE:
            return (yield ShowPicture(network, _pictures(unit, source), unit, number))
    return None


def _hint(request: Request, number: int, canvas: Canvas, source: Source | None) -> Asking:
    """The pixels that a ControlNet is shown. Key points without a picture are those of the other unit's face."""
    unit = request.guides[number]
    picture, part = _picture(unit, source, request), source.part if source else None
    if unit.module == KEY_POINTS:
        picture = yield FindKeyPoints(picture, unit, number)
    return (yield Annotate(unit, picture, canvas.size, part))


def _acting(request: Request, second: bool) -> Iterator[tuple[int, Record]]:
    """(number, unit) of those that act in this pass; hires fix may leave one of its passes out."""
    passes = (BOTH, SECOND if second else FIRST)
    for number, unit in enumerate(request.guides):
        if is_on(unit) and (not request.enable_hr or unit.hires in passes):
            yield number, unit


def _picture(unit: Record, source: Source | None, request: Request) -> str | Pixels:
    """The unit's own, or that of the unit that InstantID's ControlNet belongs to, or what is drawn from."""
    if unit.image:
        return unit.image
    others = [other.image for other in request.guides if other.enabled and other.image]
    if others and reads_key_points(unit):
        return others[0]
    return _drawn_from(source)


def _pictures(unit: Record, source: Source | None) -> list[str | Pixels]:
    own = [*([unit.image] if unit.image else []), *unit.more_images]
    return own or [_drawn_from(source)]


def _drawn_from(source: Source | None) -> Pixels:
    assert source is not None
    return source.frame.part() if source.frame else source.pixels


def _guide(unit: Record, network: ControlNet, hint: Tensor, identity: PicturePrompt | None) -> Guide:
    last = network.places - 1
    fading = [1.0 if unit.control_mode == BALANCED else FADING ** (last - place) for place in range(network.places)]
    data = hint, torch.tensor(fading, device=hint.device)
    if identity is None:
        use = Use(network, unit.weight, data)
        none = use
    else:
        use, none = (Use(network, unit.weight, (*data, read)) for read in (identity.picture, identity.none))
    with_words_only = unit.control_mode == CONTROL_LEADS or network.pools
    return Guide(use, None if with_words_only else none, unit.start, unit.end)


def _picture_prompt(unit: Record, network: IPAdapter, prompt: PicturePrompt, model: Model) -> Iterator[Guide]:
    weights = attention_weights(model, unit.weight_type, unit.block_weights)
    lora = network.branches(model, unit.lora_weight)
    cond, uncond = (Use(network, unit.weight, (tokens, weights)) for tokens in (prompt.picture, prompt.none))
    yield Guide(cond, uncond, unit.start, unit.end, (lora,) if lora else ())
    kept_out = turned_weights(model, unit.weight_type)
    if kept_out.any() and not unit.block_weights.strip():
        yield Guide(None, Use(network, unit.weight, (prompt.picture, kept_out)), unit.start, unit.end)


def _tensor(pixels: Pixels, canvas: Canvas) -> Tensor:
    """(3, H, W) in 0..1 on the model's device."""
    return torch.tensor(pixels, device=canvas.model.device).permute(2, 0, 1).float() / 255
