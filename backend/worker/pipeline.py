"""The life of one picture, top to bottom.

`draw` is a straight line: encode the words, make the start, sample under guidance, decode. Whatever needs a model is
yielded as a work item; the engine does it, together with the work of other pictures where that pays, and sends back the
result. Closing the generator ends the picture and frees its latents.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from backend.sampling.noise import ImageNoise
from backend.sampling.protocol import Noise, Noisy
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
from backend.worker.plan import Part, Plan
from backend.worker.source import Source


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


Work = Encode | Look | Decode | list[Row]
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
    plan: Plan, index: int, canvas: Canvas, on_step: Callable[[Noisy, Tensor], None], source: Source | None = None
) -> Drawing:
    """Picture `index` of the plan's request, as RGB pixels, uint8 (H, W, 3); from `source` if there is one."""
    texts = plan.texts
    encoded = dict(zip(texts, (yield Encode(texts)), strict=True))
    noise = _image_noise(plan, index, canvas)
    start = (yield from _from_picture(plan, canvas, noise.initial(), source)) if source else _from_noise(plan, noise)
    guidance = CFGDenoiser(
        parts=[_conditioning(part, encoded) for part in plan.parts],
        negative=_conditioning(plan.negative, encoded),
        strength=_strength(plan, canvas),
        hooks=start.hooks,
    )
    sampler = plan.sampler.start(start.x, plan.sigmas, _draws(plan, noise), **plan.options)
    latent = yield from guided(sampler, guidance, on_step)
    pixels = yield Decode(start.blend.kept(latent) if start.blend else latent)
    return source.finished(pixels) if source else pixels


def _from_noise(plan: Plan, noise: ImageNoise) -> Start:
    return Start(plan.sampler.initial(noise.initial(), plan.noise_sigma))


def _from_picture(plan: Plan, canvas: Canvas, noise: Tensor, source: Source) -> Generator[Look, Tensor, Start]:
    """The picture's latent raised to the first noise level (SDEdit, Meng et al. 2022), what is masked as asked for."""
    request = plan.request
    latent = _resized((yield Look(source.pixels)), canvas.shape)
    x = noise * request.initial_noise_multiplier
    if source.latent_mask is None:
        return Start(_noised(plan, latent, x))
    mask = _resized(torch.from_numpy(source.latent_mask).to(latent)[None], canvas.shape)        # (1, h, w)
    if request.masked_content == "latent noise":
        latent = torch.lerp(latent, noise, mask)
    elif request.masked_content == "latent nothing":
        latent = latent * (1 - mask)
    blend = Blend(latent, mask)
    hooks: list[Hook] = [blend]
    if canvas.sees_masks:
        hidden = _resized((yield Look(source.hidden)), canvas.shape)
        hooks.append(InpaintChannels(torch.cat([mask, hidden])))
    return Start(_noised(plan, latent, x), hooks, blend)


def _noised(plan: Plan, latent: Tensor, noise: Tensor) -> Tensor:
    """With extra noise on top, which the sampler takes for detail: AUTOMATIC1111's img2img_extra_noise."""
    return plan.sampler.noised(latent, noise, plan.noise_sigma) + noise * plan.request.extra_noise


def _resized(latent: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(C, h, w) at the canvas's size; only the latent resize mode needs it."""
    if latent.shape[-2:] == shape[-2:]:
        return latent
    return interpolate(latent[None], size=shape[-2:], mode="bilinear", align_corners=False)[0]


def _conditioning(part: Part, encoded: dict[str, Tensor]) -> Conditioning:
    return Conditioning(part.schedule, tuple(encoded[text] for _, text in part.schedule), part.weight)


def _strength(plan: Plan, canvas: Canvas) -> Strength:
    return Strength(
        scale=plan.scale,
        rescale=plan.request.cfg_rescale,
        s_min_uncond=plan.request.s_min_uncond,
        keep_uncond=plan.sampler.needs_uncond,
        prediction=canvas.prediction,
    )


def _image_noise(plan: Plan, index: int, canvas: Canvas) -> ImageNoise:
    alone = plan.request.of_image(index)
    spec = NoiseSpec(
        seed=alone.seed,
        subseed=alone.variation_seed,
        subseed_strength=alone.variation_strength,
        resize_from=(alone.seed_resize_from_h, alone.seed_resize_from_w),
        ensd=alone.ensd,
        source=alone.seed_source,
    )
    return ImageNoise(spec, canvas.shape, device=canvas.device)


def _draws(plan: Plan, image: ImageNoise) -> Noise:
    if not plan.sampler.brownian:
        return image
    return image.brownian(*plan.noise_range)
