"""The guides of a request at work in one of its passes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from backend.catalog.guide_files import reads_key_points
from backend.request.guide_modules import INPAINT, MODULES
from backend.request.guide_unit import BALANCED, BOTH, CONTROL_LEADS, FIRST, PROMPT_LEADS, SECOND, is_on, union_kind
from backend.request.output_size import Margins
from backend.request.record import Record
from backend.request.request import Request
from backend.sampling.noise import ImageNoise
from backend.sampling.seeds import NoiseSpec
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.controlnet import ControlNet, UnionControlNet
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.ip_adapter_attention_weights import attention_weights, turned_weights
from backend.worker.adapters.ip_adapter_projection import PicturePrompt
from backend.worker.adapters.reference import REFERENCES
from backend.worker.adapters.style_adapter import StyleAdapter
from backend.worker.adapters.t2i_adapter import Features, T2IAdapter
from backend.worker.draw.guide_hint import Annotate
from backend.worker.draw.init_image import Source
from backend.worker.draw.instant_id import told_who
from backend.worker.draw.plan import Pass
from backend.worker.draw.work_items import Canvas, LeaveGuide, LoadGuide, ShowHint, ShowPicture
from backend.worker.guidance.guide_hook import Guide, Guided
from backend.worker.guidance.hooks import Hook
from backend.worker.models.codec import EncodePicture
from backend.worker.models.model_base import Model
from backend.worker.pixels import Pixels

FADING = 0.825          # of a residual to the next, from the middle to the top, where the prompt shall lead
LEVELS = (0.25, 0.62, 0.825, 1.0)       # of the features of a T2I-Adapter, where the prompt shall lead
MISSING = -1.0          # what a hint has where the picture is missing

Asked = LoadGuide | Annotate | ShowPicture | ShowHint | EncodePicture
Asking = Generator[Asked, Any, Guide]


def guided_by(
    request: Request, path: Pass, canvas: Canvas, source: Source | None, *, second: bool = False
) -> Generator[Asked, Any, list[Hook]]:
    """The hook that has the rows of this pass guided while the canvas' model draws; nothing where nothing does."""
    made = []
    for number, unit in _acting(request, second):
        if unit.module in REFERENCES:
            guide = yield from _referenced(number, unit, request, canvas, source, second)
            made.append(replace(guide, start=unit.start, end=unit.end))
            continue
        network = yield LoadGuide(canvas.model, unit.model, number)
        if network is None:
            continue
        prompts = isinstance(network, IPAdapter | StyleAdapter)
        ask = _prompted if prompts else partial(_hinted, request)
        guide = yield from ask(number, unit, network, canvas, source)
        if isinstance(network, ControlNet) and reads_key_points(unit):
            guide = yield from told_who(guide, request, canvas, partial(_pictures, source=source))
        made.append(replace(guide, start=unit.start, end=unit.end))
        if isinstance(network, IPAdapter):
            made += _kept_out(unit, network, guide, canvas.model)
    return [Guided(canvas.model, made, len(path.sigmas) - 1)] if made else []


def left(request: Request, canvas: Canvas) -> Generator[LeaveGuide, None, None]:
    """The models of guides that shall take little memory are not there while the picture is decoded."""
    for unit in request.guides:
        if is_on(unit) and unit.low_vram and unit.module not in REFERENCES:
            yield LeaveGuide(canvas.model, unit.model)


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
    return _drawn_from(source)


def annotation(
    request: Request, unit: Record, size: tuple[int, int], source: Source | None, number: int = 0
) -> Annotate:
    """The hint of a unit at a height and width, as the part of the picture is drawn that `source` tells."""
    picture = _picture(_placed(request, unit), source)
    return Annotate(unit, picture, size, source.part if source else None, number)


def _placed(request: Request, unit: Record) -> Record:
    """Where a picture grows, a guide that shows the same one shows the grown one, as it lies on the canvas."""
    grows = Margins.of(request) and unit.image == request.init_image
    return Record({**unit, "image": ""}) if grows else unit


def _pictures(unit: Record, source: Source | None) -> list[str | Pixels]:
    """All of a unit whose picture is a prompt."""
    own = [*([unit.image] if unit.image else []), *unit.more_images]
    return own or [_drawn_from(source)]


def _drawn_from(source: Source | None) -> Pixels:
    assert source is not None
    return source.frame.part() if source.frame else source.pixels


def _prompted(
    number: int, unit: Record, network: IPAdapter | StyleAdapter, canvas: Canvas, source: Source | None
) -> Asking:
    """By pictures that stand beside the words."""
    prompt: PicturePrompt = yield ShowPicture(network, _pictures(unit, source), unit, number)
    if isinstance(network, StyleAdapter):
        return Guide(words=prompt.picture * unit.weight)
    region = (yield from _level(number, unit, canvas, source)) if unit.mask else None
    weights = attention_weights(canvas.model, unit.weight_type, unit.block_weights)
    data = weights, *([] if region is None else [region[0]])
    lora = network.branches(canvas.model, unit.lora_weight)
    uses = (Use(network, unit.weight, (tokens, *data)) for tokens in (prompt.picture, prompt.none))
    return Guide(*uses, branches=(lora,) if lora else ())


def _kept_out(unit: Record, network: IPAdapter, guide: Guide, model: Model) -> Iterator[Guide]:
    """Of the precise kinds: in the blocks of what is not wanted the picture is what others are pushed away from."""
    weights = turned_weights(model, unit.weight_type)
    if weights.any() and not unit.block_weights.strip():
        picture, _, *region = guide.cond.data
        use = Use(network, unit.weight, (picture, weights, *region))
        yield Guide(uncond=use, start=unit.start, end=unit.end)


def _hinted(
    request: Request, number: int, unit: Record, network: ControlNet | T2IAdapter, canvas: Canvas, source: Source | None
) -> Asking:
    """By what a preprocessor makes of a picture."""
    wanted = annotation(request, unit, canvas.size, source, number)
    hint = _tensor((yield wanted), canvas)
    region = None
    if unit.mask and unit.module != INPAINT:        # where the picture is missing is no region
        region = yield from _level(number, unit, canvas, source)
    if unit.module == INPAINT:
        hint = yield from _without_missing(number, unit, hint, canvas, source)
    if isinstance(network, T2IAdapter):
        found = yield ShowHint(network, unit.model, hint, wanted.key, number)
        return _by_features(unit, network, found, canvas, region)
    return _by_hint(unit, _of_kind(network, unit), hint, region)


def _referenced(
    number: int, unit: Record, request: Request, canvas: Canvas, source: Source | None, second: bool
) -> Asking:
    """By a picture that the network itself looks at. In the second pass of hires fix it counts as much as it can."""
    plain = Record({**unit, "module": "none"})
    pixels = yield annotation(request, plain, canvas.size, source, number)
    latent = yield EncodePicture(pixels, tiling=canvas.tiling)
    spec = NoiseSpec(seed=request.seed, source=request.seed_source)
    noise = ImageNoise(spec, canvas.shape, cell=canvas.cell, device=canvas.model.device).initial()
    usual = 0.0 if second or unit.control_mode == PROMPT_LEADS else MODULES[unit.module].levels(unit)[0]
    fidelity = 1.0 if unit.control_mode == CONTROL_LEADS else usual
    use = Use(REFERENCES[unit.module], unit.weight, (latent, noise, torch.tensor([fidelity], device=latent.device)))
    return Guide(use, use)


def _of_kind(network: ControlNet, unit: Record) -> ControlNet:
    return network.of_kind(union_kind(unit)) if isinstance(network, UnionControlNet) else network


def _level(
    number: int, unit: Record, canvas: Canvas, source: Source | None
) -> Generator[Annotate, Pixels, Tensor]:
    """A mask of the unit, laid as its picture is: (1, H, W) in 0..1."""
    plain = Record({**unit, "module": "none"})
    pixels = yield Annotate(plain, unit.mask, canvas.size, source.part if source else None, number)
    return _tensor(pixels, canvas).mean(dim=0, keepdim=True)


def _without_missing(
    number: int, unit: Record, hint: Tensor, canvas: Canvas, source: Source | None
) -> Generator[Annotate, Pixels, Tensor]:
    """The hint (3, H, W) of an inpainting ControlNet: of the unit's own picture by its mask, else by the job's."""
    if unit.mask:
        missing = yield from _level(number, unit, canvas, source)
    elif source is not None and source.mask is not None:
        height, width = canvas.size
        mask = Image.fromarray(source.mask).resize((width, height))
        missing = torch.tensor(np.asarray(mask), device=hint.device).float()[None] / 255
    else:
        return hint
    return torch.where(missing > 0.5, MISSING, hint)


def _by_hint(unit: Record, network: ControlNet, hint: Tensor, region: Tensor | None) -> Guide:
    last = network.places - 1
    fading = [1.0 if unit.control_mode == BALANCED else FADING ** (last - place) for place in range(network.places)]
    data = hint, torch.tensor(fading, device=hint.device), *(() if region is None else (region,))
    return _for_rows(unit, Use(network, unit.weight, data), with_words_only=network.pools)


def _by_features(
    unit: Record, network: T2IAdapter, found: Features, canvas: Canvas, region: Tensor | None
) -> Guide:
    levels, device = len(found.levels), canvas.model.device
    weights = torch.tensor([1.0] * levels if unit.control_mode == BALANCED else LEVELS[-levels:], device=device)
    where = torch.ones(1, *canvas.shape[1:], device=device) if region is None else region
    return _for_rows(unit, Use(network, unit.weight, (weights, where, *found.levels)))


def _for_rows(unit: Record, use: Use, with_words_only: bool = False) -> Guide:
    return Guide(use, None if with_words_only or unit.control_mode == CONTROL_LEADS else use)


def _tensor(pixels: Pixels, canvas: Canvas) -> Tensor:
    """(3, H, W) in 0..1 on the model's device."""
    return torch.tensor(pixels, device=canvas.model.device).permute(2, 0, 1).float() / 255
