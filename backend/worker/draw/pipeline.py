"""The life of one picture, top to bottom.

`draw` is a straight line: encode the words, make the start, sample under guidance, decode. Whatever needs a model is
yielded as a work item; the engine does it, together with the work of other pictures where that pays, and sends back the
result. Closing the generator ends the picture and frees its latents. `Interrupted`, thrown into it, ends the picture
with what there is of it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from backend.prompt.grammar import Wording
from backend.request.checkpoints import changes_checkpoint, second_checkpoint
from backend.request.request import Request
from backend.sampling.noise import ImageNoise
from backend.sampling.parametrisation import Consistency, Parametrisation
from backend.sampling.samplers import SAMPLERS
from backend.sampling.seeds import NoiseSpec
from backend.worker.adapters.kinds import uses_of
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.draw import face_swap
from backend.worker.draw.detailer import Drawer, detailed
from backend.worker.draw.guide_hint import Annotate
from backend.worker.draw.guides import guided_by, left
from backend.worker.draw.hires_target import LATENT_MODES, Target
from backend.worker.draw.init_image import Source
from backend.worker.draw.initial_latent import Start, from_noise, from_picture, noised, shown_nothing
from backend.worker.draw.plan import Pass, Plan, parametrisation, second_pass
from backend.worker.draw.regions import region_masks
from backend.worker.draw.shared_results import FirstPass, first_pass_key, shared
from backend.worker.draw.work_items import (
    Canvas,
    Drawing,
    EncodeText,
    Finished,
    LeaveGuide,
    LoadNetworks,
    UseModel,
    Work,
)
from backend.worker.guidance.cfg_denoiser import (
    COND,
    UNCOND,
    CFGDenoiser,
    Conditioning,
    GuidedModel,
    OnStep,
    Said,
    Strength,
    Successor,
    guided,
)
from backend.worker.guidance.hook_table import hooks_for
from backend.worker.guidance.hooks import Seamless
from backend.worker.guidance.interrupted import Interrupted
from backend.worker.guidance.lazy_latents import Calculate, LazyLatent, lazy_noise
from backend.worker.guidance.pix2pix import Pix2PixDenoiser
from backend.worker.guidance.row import Row
from backend.worker.models.codec import DecodeLatent, EncodePicture
from backend.worker.models.encoded_text import Role, key_of
from backend.worker.models.model_base import Model
from backend.worker.pixels import Pixels
from backend.worker.pixels.upscaling import enlarged


def draw(
    plan: Plan, canvas: Canvas, on_step: OnStep, source: Source | None = None, before: Sequence[Request] = ()
) -> Drawing:
    """The one picture of the plan's request, as RGB pixels, uint8 (H, W, 3); from `source` if there is one.

    At denoising strength 0 that is kept as it is: sampling makes at least one step, from whatever level.
    `before`: requests that are drawn alike, and whose faces are others; their pictures are handed out first.
    Raises Interrupted with the half-drawn picture when it was interrupted before the last step.
    """
    half = False
    if source and not plan.request.denoising_strength:
        pixels = source.at(canvas.size)
    else:
        pixels, half = yield from _drawn(plan, canvas, on_step, source)
    if not half:
        pixels, half = yield from detailed(plan.request, Drawer(draw, canvas, on_step), pixels)
    return (yield from completed([*before, plan.request], pixels, source.finished if source else None, half))


def completed(
    requests: Sequence[Request], pixels: Pixels, finished: Callable[[Pixels], Pixels] | None = None, half: bool = False
) -> Drawing:
    """What was drawn for these requests (H, W, 3), each with the faces that it wants, `finished`, and enlarged; the
    last is returned, those before it are handed out. When `half` of it was drawn, as it is.

    Raises Interrupted with what there is of the picture that is next.
    """
    for number, request in enumerate(requests, 1):
        made, enlarges = pixels, False
        try:
            if not half:
                made, enlarges = yield from face_swap.drawn(request, pixels)
        except Interrupted as interrupted:
            half, made = True, pixels if interrupted.pixels is None else interrupted.pixels
        made = finished(made) if finished else made
        try:
            made = (yield from face_swap.larger(request, made)) if enlarges and not half else made
        except Interrupted:
            half = True
        if half:
            raise Interrupted(pixels=made)
        if number < len(requests):
            yield Finished(made)
    return made


def _drawn(
    plan: Plan, canvas: Canvas, on_step: OnStep, source: Source | None
) -> Generator[Work, Any, tuple[Pixels, bool]]:
    """The pixels of all passes, and whether they were interrupted."""
    try:
        latent, half = (yield from _passes(plan, canvas, on_step, source)), False
    except Interrupted as interrupted:
        if interrupted.latent is None:
            raise
        latent, half = interrupted.latent, True
    return (yield from _decoded(latent, canvas, left(plan.request, canvas))), half


def _decoded(
    latent: Tensor, canvas: Canvas, leaving: Iterator[LeaveGuide]
) -> Generator[LeaveGuide | DecodeLatent, Any, Pixels]:
    """The picture of a latent. An interruption meanwhile comes too late: there is nothing left to sample."""
    while True:
        try:
            yield from leaving
            return (yield DecodeLatent(latent, canvas.tiling))
        except Interrupted:
            continue


def _passes(plan: Plan, canvas: Canvas, on_step: OnStep, source: Source | None) -> Generator[Work, Any, Tensor]:
    """The latent to decode. Interrupted after the first pass, there is at least that pass's."""
    draw_first = partial(_first_pass, plan, canvas, on_step, source)
    if source is None:
        first = yield from shared(first_pass_key(plan.request, canvas), draw_first, plan.first.calls)
    else:
        first = yield from draw_first()
    try:
        if first.checkpoint != plan.request.checkpoint:     # another cell of the plot may have changed to it
            yield UseModel(first.checkpoint)
        if not plan.request.enable_hr:
            return first.latent
        larger = yield from _enlarged(plan.request, canvas, first.latent)
        if not plan.second:
            return larger
        canvas = yield from _on(second_checkpoint(plan.request), plan.request, canvas)
        return (yield from _second_pass(plan, replace(canvas, shape=tuple(larger.shape)), on_step, larger))
    except Interrupted as half:
        raise Interrupted(first.latent if half.latent is None else half.latent) from None


def _first_pass(plan: Plan, canvas: Canvas, on_step: OnStep, source: Source | None) -> Generator[Work, Any, FirstPass]:
    request = plan.request
    canvas = yield from _on(request.checkpoint, request, canvas)
    texts = yield from _conditioned(request, plan.first, canvas, canvas.size, source)
    noise = _image_noise(request, canvas)
    unit = noise.initial()
    start = yield from (from_picture(plan, canvas, unit, source) if source else from_noise(plan, canvas, unit))
    start.hooks += yield from guided_by(request, plan.first, canvas, source)
    denoiser = _denoiser(request, plan.first, canvas, start, texts)
    latent = start.kept((yield from _sampled(plan.first, start.x, noise, denoiser, on_step)))
    refined = plan.first.refined_below and denoiser.successor is None
    return FirstPass(latent, request.refiner_checkpoint if refined else request.checkpoint)


def _second_pass(plan: Plan, canvas: Canvas, on_step: OnStep, latent: Tensor) -> Generator[Work, Any, Tensor]:
    """Hires fix: the enlarged latent noised and sampled again. The network is told the size before any is cut off."""
    target, model = Target.of(plan.request, canvas.cell), canvas.model
    table = parametrisation(plan.request, model.parametrisation).table
    path = second_pass(plan, table, sdxl_knots=model.sdxl_knots)
    texts = yield from _conditioned(plan.request, path, canvas, (target.height, target.width))
    noise = _image_noise(plan.request, canvas)
    x = noised(path, latent, noise.initial(), plan.request.extra_noise)
    start = Start(x, (yield from shown_nothing(canvas)))
    start.hooks += yield from guided_by(plan.request, path, canvas, None, second=True)
    denoiser = _denoiser(plan.request, path, canvas, start, replace(texts, second=True))
    return (yield from _sampled(path, x, noise, denoiser, on_step))


def _on(checkpoint: str, request: Request, canvas: Canvas) -> Generator[UseModel, Model, Canvas]:
    """The canvas on one of the request's checkpoints. Where it has but one, that is in use from the start."""
    if not changes_checkpoint(request):
        return canvas
    return replace(canvas, model=(yield UseModel(checkpoint)))


@dataclass(frozen=True, slots=True)
class _Texts:
    """The prompts of a pass, encoded for a picture that the network believes to have `size`, (height, width).

    `second`: it is the second one of hires fix.
    """

    size: tuple[int, int]
    source: Source | None
    parts: tuple[Conditioning, ...]
    negative: Conditioning
    second: bool = False


def _conditioned(
    request: Request, path: Pass, canvas: Canvas, size: tuple[int, int], source: Source | None = None
) -> Generator[LoadNetworks | EncodeText | Annotate, Any, _Texts]:
    """`size`: the height and width in pixels that the network is told; `source`: of what only a part may be drawn."""
    model = canvas.model
    networks = (yield LoadNetworks(model, path.networks)) if path.networks else PromptNetworks(model)
    parts = [*((COND, part) for part in path.parts), (UNCOND, path.negative)]
    read = {}
    for role in (COND, UNCOND):
        texts = [wording.text for each, part in parts if each == role for _, wording in part.timeline]
        read[role] = model.text_settings(request, role, size, texts)
    wordings = [(role, wording) for role, part in parts for _, wording in part.timeline]
    unet = {wording.applied: networks.unet(wording.applied) for _, wording in wordings}
    text = {wording.applied: networks.text(wording.applied) for _, wording in wordings}
    asked = {(wording.text, role, key_of(text[wording.applied])): (wording.text, read[role], text[wording.applied])
             for role, wording in wordings}
    encoded = dict(zip(asked, (yield EncodeText(model, tuple(asked.values()))), strict=True))

    def said(role: Role, wording: Wording) -> Said:
        found = encoded[wording.text, role, key_of(text[wording.applied])]
        changes = unet[wording.applied]
        return Said(found, (*changes.uses, *uses_of(wording.networks, model)), changes.branches)

    masks = yield from region_masks(request, canvas, source)
    *made, negative = (
        Conditioning(tuple((end, said(role, wording)) for end, wording in part.timeline), part.weight)
        for role, part in parts)
    within = [replace(part, region=mask) for part, mask in zip(made, masks, strict=False)]
    return _Texts(size, source, (*within, *made[len(within):]), negative)


def _refiner(
    request: Request, path: Pass, canvas: Canvas, first: _Texts
) -> Generator[Work, Any, GuidedModel]:
    """With guides of its own: their networks are made to act on it, as far as they can."""
    model = yield UseModel(request.refiner_checkpoint)
    its, hooks = replace(canvas, model=model), []
    texts = yield from _conditioned(request, path, its, first.size, first.source)
    if model is not canvas.model:
        hooks = yield from guided_by(request, path, its, first.source, second=first.second)
    return GuidedModel(model, _parametrisation(request, path, model), texts.parts, texts.negative, hooks)


def _parametrisation(request: Request, path: Pass, model: Model) -> Parametrisation:
    own = parametrisation(request, model.parametrisation)
    return Consistency.of(own) if path.sampler.lcm else own


def _denoiser(request: Request, path: Pass, canvas: Canvas, start: Start, texts: _Texts) -> CFGDenoiser:
    """What guides a pass."""
    found: dict[str, Any] = {
        "model": canvas.model,
        "parametrisation": _parametrisation(request, path, canvas.model),
        "parts": texts.parts,
        "negative": texts.negative,
        "hooks": [*start.hooks, *([Seamless()] if canvas.tiling else []), *hooks_for(request)],
        "strength": Strength(
            scale=path.scale,
            rescale=request.cfg_rescale,
            s_min_uncond=request.s_min_uncond,
            keep_uncond=path.sampler.needs_uncond,
        ),
    }
    if path.refined_below:
        prepare = partial(_refiner, request, path, canvas, texts)
        found["successor"] = Successor(path.refined_below, prepare)
    if start.picture is None:
        return CFGDenoiser(**found)
    return Pix2PixDenoiser(**found, picture=start.picture, picture_scale=request.image_cfg_scale)


def _sampled(
    path: Pass, x: Tensor, noise: ImageNoise, denoiser: CFGDenoiser, on_step: OnStep
) -> Generator[list[Row] | Calculate, Sequence[Any], Tensor]:
    """The latent at the end of one way down the noise levels.

    Extensions' samplers may do with tensors what they like, and one that chooses its steps looks at them.
    """
    draws = noise.brownian(*path.noise_range) if path.sampler.brownian else noise
    if not path.sampler.adaptive and not SAMPLERS.owner_of(path.sampler.label):
        x, draws = LazyLatent(x), lazy_noise(draws)
    return (yield from guided(path.sampler.start(x, path.sigmas, draws, **path.options), denoiser, on_step))


def _enlarged(request: Request, canvas: Canvas, latent: Tensor) -> Generator[Work, Any, Tensor]:
    """The first pass's latent at the second's size, directly or by way of its pixels."""
    target = Target.of(request, canvas.cell)
    if request.hr_upscaler in LATENT_MODES:
        return target.latent(latent, request.hr_upscaler)

    def upscale() -> Generator[Work, Any, Pixels]:
        pixels = yield DecodeLatent(latent, canvas.tiling)
        return (yield from enlarged(pixels, request.hr_upscaler, *target.whole))

    def encode() -> Generator[Work, Any, Tensor]:
        return (yield EncodePicture(target.cut(larger), kept=False, tiling=canvas.tiling))

    upscaled = (first_pass_key(request, canvas), request.hr_upscaler, target)
    larger = yield from shared(upscaled, upscale)
    second = yield from _on(second_checkpoint(request), request, canvas)
    return (yield from shared((upscaled, second.model.identity), encode))


def _image_noise(request: Request, canvas: Canvas) -> ImageNoise:
    spec = NoiseSpec(
        seed=request.seed,
        subseed=request.variation_seed,
        subseed_strength=request.variation_strength,
        resize_from=(request.seed_resize_from_h, request.seed_resize_from_w),
        ensd=request.ensd,
        source=request.seed_source,
    )
    return ImageNoise(spec, canvas.shape, cell=canvas.cell, device=canvas.model.device)
