"""What the sampler begins with when a picture is given: its latent with noise, and what holds the mask."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from backend.worker.draw.init_image import Source
from backend.worker.draw.plan import Pass, Plan
from backend.worker.draw.work_items import Canvas
from backend.worker.guidance.hooks import Hook, Shown
from backend.worker.guidance.mask_hooks import Blend, SoftBlend
from backend.worker.models.codec import EncodePicture
from backend.worker.models.vae import GREY


@dataclass(slots=True)
class Start:
    """`x` (C, h, w) on the sampler's scale, the hooks that hold the mask, and for an edit network the `picture`."""

    x: Tensor
    hooks: list[Hook] = field(default_factory=list)
    blend: Blend | SoftBlend | None = None
    picture: Tensor | None = None

    def kept(self, latent: Tensor) -> Tensor:
        """The sampled latent with what was not to change as it was."""
        return self.blend.kept(latent) if self.blend else latent


def from_noise(plan: Plan, canvas: Canvas, noise: Tensor) -> Generator[EncodePicture, Tensor, Start]:
    """txt2img: noise at the first level."""
    path, sgm = plan.first, plan.request.sgm_noise_multiplier
    return Start(path.sampler.initial(noise, path.noise_sigma, sgm=sgm), (yield from shown_nothing(canvas)))


def shown_nothing(canvas: Canvas) -> Generator[EncodePicture, Tensor, list[Hook]]:
    """What shows an inpainting network that all is to be painted: a mask of ones over grey. Others need no hook."""
    if not canvas.model.sees_masks:
        return []
    grey = np.full((*canvas.size, 3), GREY, np.float32)
    hidden = yield EncodePicture(grey, tiling=canvas.tiling)
    return [Shown(torch.cat([torch.ones_like(hidden[:1]), hidden]))]


def from_picture(plan: Plan, canvas: Canvas, noise: Tensor, source: Source) -> Generator[EncodePicture, Tensor, Start]:
    """The picture's latent raised to the first noise level (SDEdit, Meng et al. 2022), what is masked as asked for.

    An edit network at denoising strength 1 starts from noise alone, as it was trained: it is shown the picture.
    """
    request = plan.request
    latent = _resized((yield EncodePicture(source.pixels, kept=source.given, tiling=canvas.tiling)), canvas.shape)
    start = Start(noise, picture=latent if canvas.model.sees_pictures else None)
    if source.mask is None:
        start.hooks = yield from shown_nothing(canvas)
    else:
        latent = yield from _masked(plan, canvas, noise, source, latent, start)
    x = noise * request.initial_noise_multiplier
    if canvas.model.sees_pictures and request.denoising_strength == 1:
        start.x = plan.first.sampler.initial(x, plan.first.noise_sigma)
    else:
        start.x = noised(plan.first, latent, x, request.extra_noise)
    return start


def _masked(
    plan: Plan, canvas: Canvas, noise: Tensor, source: Source, latent: Tensor, start: Start
) -> Generator[EncodePicture, Tensor, Tensor]:
    """The latent with its masked content; `start` gets what holds the mask."""
    request = plan.request
    mask = _resized(torch.from_numpy(source.latent_mask(canvas.cell)).to(latent)[None], canvas.shape)        # (1, h, w)
    if request.masked_content == "latent noise":
        latent = torch.lerp(latent, noise, mask)
    elif request.masked_content == "latent nothing":
        latent = latent * (1 - mask)
    soft = request.soft_inpainting
    start.blend = SoftBlend(latent, mask, plan.first.sigmas.tolist()) if soft else Blend(latent, mask)
    start.hooks.append(start.blend)
    if canvas.model.sees_masks:
        hidden = _resized((yield EncodePicture(source.hidden, kept=source.given, tiling=canvas.tiling)), canvas.shape)
        start.hooks.append(Shown(torch.cat([mask.round(), hidden])))
    return latent


def noised(path: Pass, latent: Tensor, noise: Tensor, extra: float) -> Tensor:
    """With `extra` noise on top, which the sampler takes for detail: AUTOMATIC1111's img2img_extra_noise."""
    return path.sampler.noised(latent, noise, path.noise_sigma) + noise * extra


def _resized(latent: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(C, h, w) at the canvas's size; only the latent resize mode needs it."""
    if latent.shape[-2:] == shape[-2:]:
        return latent
    return interpolate(latent[None], size=shape[-2:], mode="bilinear", align_corners=False)[0]
