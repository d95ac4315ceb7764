"""The life of one picture, top to bottom.

`draw` is a straight line: encode the words, make the start, sample under guidance, decode. Whatever needs a model is
yielded as a work item; the engine does it, together with the work of other pictures where that pays, and sends back the
result. Closing the generator ends the picture and frees its latents.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from backend.request import Request
from backend.sampling.noise import ImageNoise
from backend.sampling.protocol import Noisy
from backend.sampling.seeds import NoiseSpec
from backend.worker.guidance import (
    Blend,
    CFGDenoiser,
    Conditioning,
    Hook,
    InpaintChannels,
    Row,
    Strength,
    guided,
)
from backend.worker.hires import LATENT_MODES, Target
from backend.worker.plan import Part, Pass, Plan
from backend.worker.source import Source
from backend.worker.upscaling import Enlarge, Expect, Inspect, enlarged


@dataclass(frozen=True, slots=True)
class Encode:
    """Work item: encode these texts. Answered by one (T, D) tensor each."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Look:
    """Work item: encode pixels, uint8 (H, W, 3). Answered by a latent (C, H/8, W/8)."""

    pixels: np.ndarray


@dataclass(frozen=True, slots=True)
class Decode:
    """Work item: decode a latent (C, h, w). Answered by RGB pixels, uint8 (H, W, 3)."""

    latent: Tensor


Work = Encode | Look | Decode | Inspect | Expect | Enlarge | list[Row]
"""What a picture asks of the engine; rows are answered by their denoised latents, in order."""

Drawing = Generator[Work, Any, np.ndarray]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a picture is drawn: latent shape (C, h, w), device, what the network predicts and whether it sees masks."""

    shape: tuple[int, int, int]
    device: torch.device
    prediction: str
    sees_masks: bool = False


@dataclass(slots=True)
class Start:
    """What the sampler begins with: `x` (C, h, w) on its own scale, and the hooks that hold the mask."""

    x: Tensor
    hooks: list[Hook] = field(default_factory=list)
    blend: Blend | None = None


def draw(
    plan: Plan, canvas: Canvas, on_step: Callable[[Noisy, Tensor], None], source: Source | None = None
) -> Drawing:
    """The one picture of the plan's request, as RGB pixels, uint8 (H, W, 3); from `source` if there is one."""
    encoded = dict(zip(plan.texts, (yield Encode(plan.texts)), strict=True))
    noise = _image_noise(plan.request, canvas)
    if source:
        start = yield from _from_picture(plan, canvas, noise.initial(), source)
    else:
        start = Start(plan.first.sampler.initial(noise.initial(), plan.first.noise_sigma))
    guide = _Guide(plan.request, canvas.prediction, encoded, on_step)
    latent = yield from _sampled(plan.first, start, noise, guide)
    if start.blend:
        latent = start.blend.kept(latent)
    if plan.request.enable_hr:
        latent = yield from _enlarged(plan.request, latent)
    if plan.second:
        noise = _image_noise(plan.request, replace(canvas, shape=tuple(latent.shape)))
        start = Start(_noised(plan.second, latent, noise.initial(), plan.request.extra_noise))
        latent = yield from _sampled(plan.second, start, noise, guide)
    pixels = yield Decode(latent)
    return source.finished(pixels) if source else pixels


@dataclass(frozen=True, slots=True)
class _Guide:
    """What guides every pass of a picture."""

    request: Request
    prediction: str
    encoded: dict[str, Tensor]
    on_step: Callable[[Noisy, Tensor], None]

    def denoiser(self, path: Pass, hooks: Sequence[Hook]) -> CFGDenoiser:
        return CFGDenoiser(
            parts=[self._conditioning(part) for part in path.parts],
            negative=self._conditioning(path.negative),
            strength=Strength(
                scale=path.scale,
                rescale=self.request.cfg_rescale,
                s_min_uncond=self.request.s_min_uncond,
                keep_uncond=path.sampler.needs_uncond,
                prediction=self.prediction,
            ),
            hooks=hooks,
        )

    def _conditioning(self, part: Part) -> Conditioning:
        return Conditioning(part.schedule, tuple(self.encoded[text] for _, text in part.schedule), part.weight)


def _sampled(
    path: Pass, start: Start, noise: ImageNoise, guide: _Guide
) -> Generator[list[Row], Sequence[Tensor], Tensor]:
    """The latent at the end of one way down the noise levels."""
    draws = noise.brownian(*path.noise_range) if path.sampler.brownian else noise
    sampler = path.sampler.start(start.x, path.sigmas, draws, **path.options)
    return (yield from guided(sampler, guide.denoiser(path, start.hooks), guide.on_step))


def _enlarged(request: Request, latent: Tensor) -> Generator[Work, Any, Tensor]:
    """The first pass's latent at the second's size, directly or by way of its pixels."""
    target = Target.of(request)
    if request.hr_upscaler in LATENT_MODES:
        return target.latent(latent, request.hr_upscaler)
    pixels = yield Decode(latent)
    larger = yield from enlarged(pixels, request.hr_upscaler, *target.whole)
    return (yield Look(target.cut(larger)))


def _from_picture(plan: Plan, canvas: Canvas, noise: Tensor, source: Source) -> Generator[Look, Tensor, Start]:
    """The picture's latent raised to the first noise level (SDEdit, Meng et al. 2022), what is masked as asked for."""
    request = plan.request
    latent = _resized((yield Look(source.pixels)), canvas.shape)
    x = noise * request.initial_noise_multiplier
    latent_mask = source.latent_mask
    if latent_mask is None:
        return Start(_noised(plan.first, latent, x, request.extra_noise))
    mask = _resized(torch.from_numpy(latent_mask).to(latent)[None], canvas.shape)        # (1, h, w)
    if request.masked_content == "latent noise":
        latent = torch.lerp(latent, noise, mask)
    elif request.masked_content == "latent nothing":
        latent = latent * (1 - mask)
    blend = Blend(latent, mask)
    hooks: list[Hook] = [blend]
    if canvas.sees_masks:
        hidden = _resized((yield Look(source.hidden)), canvas.shape)
        hooks.append(InpaintChannels(torch.cat([mask, hidden])))
    return Start(_noised(plan.first, latent, x, request.extra_noise), hooks, blend)


def _noised(path: Pass, latent: Tensor, noise: Tensor, extra: float) -> Tensor:
    """With `extra` noise on top, which the sampler takes for detail: AUTOMATIC1111's img2img_extra_noise."""
    return path.sampler.noised(latent, noise, path.noise_sigma) + noise * extra


def _resized(latent: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(C, h, w) at the canvas's size; only the latent resize mode needs it."""
    if latent.shape[-2:] == shape[-2:]:
        return latent
    return interpolate(latent[None], size=shape[-2:], mode="bilinear", align_corners=False)[0]


def _image_noise(request: Request, canvas: Canvas) -> ImageNoise:
    spec = NoiseSpec(
        seed=request.seed,
        subseed=request.variation_seed,
        subseed_strength=request.variation_strength,
        resize_from=(request.seed_resize_from_h, request.seed_resize_from_w),
        ensd=request.ensd,
        source=request.seed_source,
    )
    return ImageNoise(spec, canvas.shape, device=canvas.device)
