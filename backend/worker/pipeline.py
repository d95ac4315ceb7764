"""The life of one picture, top to bottom.

`draw` is a straight line: encode the words, make the noise, sample under guidance, decode. Whatever needs a model is
yielded as a work item; the engine does it, together with the work of other pictures where that pays, and sends back the
result. Closing the generator ends the picture and frees its latents.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.sampling.noise import ImageNoise
from backend.sampling.protocol import Noise, Noisy
from backend.sampling.seeds import NoiseSpec
from backend.worker.guidance import CFGDenoiser, Conditioning, Row, Strength, guided
from backend.worker.plan import Part, Plan


@dataclass(frozen=True, slots=True)
class Encode:
    """Work item: encode these texts. Answered by one (T, D) tensor each."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Decode:
    """Work item: decode a latent (C, h, w). Answered by RGB pixels, uint8 (H, W, 3)."""

    latent: Tensor


Work = Encode | Decode | list[Row]
"""What a picture asks of the engine; rows are answered by their denoised latents, in order."""

Drawing = Generator[Work, Any, np.ndarray]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a picture is drawn: latent shape (C, h, w), device and what the network predicts."""

    shape: tuple[int, int, int]
    device: torch.device
    prediction: str


def draw(plan: Plan, index: int, canvas: Canvas, on_step: Callable[[Noisy, Tensor], None]) -> Drawing:
    """Picture `index` of the plan's request, as RGB pixels, uint8 (H, W, 3)."""
    texts = plan.texts
    encoded = dict(zip(texts, (yield Encode(texts)), strict=True))
    guidance = CFGDenoiser(
        parts=[_conditioning(part, encoded) for part in plan.parts],
        negative=_conditioning(plan.negative, encoded),
        strength=_strength(plan, canvas),
    )
    noise = _image_noise(plan, index, canvas)
    start = plan.sampler.initial(noise.initial(), float(plan.sigmas[0]))
    sampler = plan.sampler.start(start, plan.sigmas, _draws(plan, noise), **plan.options)
    latent = yield from guided(sampler, guidance, on_step)
    return (yield Decode(latent))


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
    positive = plan.sigmas[plan.sigmas > 0]
    return image.brownian(float(positive.min()), float(positive.max()))
