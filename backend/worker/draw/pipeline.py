"""The life of one picture, top to bottom.

`draw` is a straight line: encode the words, make the start, sample under guidance, decode. Whatever needs a model is
yielded as a work item; the engine does it, together with the work of other pictures where that pays, and sends back the
result. Closing the generator ends the picture and frees its latents.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from backend.request.request import Request
from backend.sampling.noise import ImageNoise
from backend.sampling.protocol import Noisy
from backend.sampling.seeds import NoiseSpec
from backend.worker.draw.hires_target import LATENT_MODES, Target
from backend.worker.draw.init_image import Source
from backend.worker.draw.initial_latent import Start, from_picture, noised
from backend.worker.draw.plan import Part, Pass, Plan
from backend.worker.draw.work_items import Canvas, DecodeLatent, Drawing, EncodePicture, EncodeText, Work
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Row, Strength, guided
from backend.worker.guidance.hook_table import hooks_for
from backend.worker.guidance.pix2pix import Pix2PixDenoiser
from backend.worker.models.seamless import Seamless
from backend.worker.pixels.upscaling import enlarged

OnStep = Callable[[Noisy, Tensor], None]


def draw(plan: Plan, canvas: Canvas, on_step: OnStep, source: Source | None = None) -> Drawing:
    """The one picture of the plan's request, as RGB pixels, uint8 (H, W, 3); from `source` if there is one."""
    encoded = dict(zip(plan.texts, (yield EncodeText(plan.texts)), strict=True))
    noise = _image_noise(plan.request, canvas)
    if source:
        start = yield from from_picture(plan, canvas, noise.initial(), source)
    else:
        start = Start(plan.first.sampler.initial(noise.initial(), plan.first.noise_sigma))
    guide = _Guide(plan.request, canvas, encoded, on_step)
    latent = start.kept((yield from _sampled(plan.first, start, noise, guide)))
    if plan.request.enable_hr:
        latent = yield from _enlarged(plan.request, canvas, latent)
    if plan.second:
        noise = _image_noise(plan.request, replace(canvas, shape=tuple(latent.shape)))
        start = Start(noised(plan.second, latent, noise.initial(), plan.request.extra_noise))
        latent = yield from _sampled(plan.second, start, noise, guide)
    pixels = yield DecodeLatent(latent, canvas.tiling)
    return source.finished(pixels) if source else pixels


@dataclass(frozen=True, slots=True)
class _Guide:
    """What guides every pass of a picture."""

    request: Request
    canvas: Canvas
    encoded: dict[str, Tensor]
    on_step: OnStep

    def denoiser(self, path: Pass, start: Start) -> CFGDenoiser:
        strength = Strength(
            scale=path.scale,
            rescale=self.request.cfg_rescale,
            s_min_uncond=self.request.s_min_uncond,
            keep_uncond=path.sampler.needs_uncond,
            prediction=self.canvas.prediction,
        )
        parts, negative = [self._conditioning(part) for part in path.parts], self._conditioning(path.negative)
        hooks = [*start.hooks, *([Seamless()] if self.canvas.tiling else []), *hooks_for(self.request)]
        if start.picture is None:
            return CFGDenoiser(parts, negative, strength, hooks)
        return Pix2PixDenoiser(parts, negative, strength, hooks, picture=start.picture,
                            picture_scale=self.request.image_cfg_scale)

    def _conditioning(self, part: Part) -> Conditioning:
        return Conditioning(part.schedule, tuple(self.encoded[text] for _, text in part.schedule), part.weight)


def _sampled(
    path: Pass, start: Start, noise: ImageNoise, guide: _Guide
) -> Generator[list[Row], Sequence[Tensor], Tensor]:
    """The latent at the end of one way down the noise levels."""
    draws = noise.brownian(*path.noise_range) if path.sampler.brownian else noise
    sampler = path.sampler.start(start.x, path.sigmas, draws, **path.options)
    return (yield from guided(sampler, guide.denoiser(path, start), guide.on_step))


def _enlarged(request: Request, canvas: Canvas, latent: Tensor) -> Generator[Work, Any, Tensor]:
    """The first pass's latent at the second's size, directly or by way of its pixels."""
    target = Target.of(request)
    if request.hr_upscaler in LATENT_MODES:
        return target.latent(latent, request.hr_upscaler)
    pixels = yield DecodeLatent(latent, canvas.tiling)
    larger = yield from enlarged(pixels, request.hr_upscaler, *target.whole)
    return (yield EncodePicture(target.cut(larger), kept=False, tiling=canvas.tiling))


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
