"""From latents to pixels and back, for every family whose VAE is diffusers' AutoencoderKL."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn

from backend.errors import EaselError
from backend.worker.pixels import Pixels

log = logging.getLogger(__name__)

GREY = 127.5
"""The level halfway between black and white: 0 for a VAE. Inpainting networks see it where they are to paint."""


def scale(vae: nn.Module) -> int:
    """Pixels per latent cell, in each direction: every stage but the last halves the picture."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def decode(vae: nn.Module, latent: Tensor) -> Pixels:
    """Latents (B, C, h, w) -> pixels (B, H, W, 3). Where half precision overflows, the VAE goes on in float32."""
    return _to_pixels(decode_finite(vae, latent))


def encode(vae: nn.Module, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
    """Pixels (B, H, W, 3) -> latents (B, C, h, w): the distribution's mean, or with `noise` a sample."""
    image = torch.tensor(pixels, device=vae.device).permute(0, 3, 1, 2)
    return encode_image(vae, image.float() / 127.5 - 1, noise)


def decode_finite(vae: nn.Module, latent: Tensor) -> Tensor:
    """As `decode_image`. Raises EaselError when the picture is not finite even in float32."""
    image = decode_image(vae, latent)
    if not torch.isfinite(image).all():
        raise EaselError("the picture has no finite colours: the model or the settings are numerically unstable")
    return image


def decode_image(vae: nn.Module, latent: Tensor) -> Tensor:
    """Scaled latent (B, C, h, w) -> image (B, 3, H, W), [-1, 1] where the latent is one of a picture."""
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latent.to(vae.device).float() / vae.config.scaling_factor + shift
    return _wide_enough(vae, unscaled, lambda: vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float())


def encode_image(vae: nn.Module, image: Tensor, noise: Tensor | None = None) -> Tensor:
    """Image (B, 3, H, W) in [-1, 1] -> scaled latent: the distribution's mean, or with `noise` a sample."""

    def run() -> Tensor:
        distribution = vae.encode(image.to(vae.dtype)).latent_dist
        mean = distribution.mean.float()
        return mean if noise is None else mean + distribution.std.float() * noise.to(mean.device)

    return (_wide_enough(vae, image, run) - (vae.config.get("shift_factor") or 0.0)) * vae.config.scaling_factor


def _wide_enough(vae: nn.Module, given: Tensor, run: Callable[[], Tensor]) -> Tensor:
    """What `run` makes of what is `given`; where half precision is too narrow for it, the VAE stays in float32."""
    result = run()
    if vae.dtype == torch.float32 or torch.isfinite(result).all() or not torch.isfinite(given).all():
        return result
    log.info("the VAE's numbers outgrow %s; it goes on in float32", vae.dtype)
    vae.float()
    return run()


def _to_pixels(image: Tensor) -> Pixels:
    return _quantize(image.permute(0, 2, 3, 1))


def _quantize(image: Tensor) -> Pixels:
    """[-1, 1] -> 0 ... 255, rounded."""
    return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).contiguous().cpu().numpy()
