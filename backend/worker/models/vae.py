"""From latents to pixels and back, for every family whose VAE is diffusers' AutoencoderKL."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.errors import EaselError
from backend.worker.pixels import Pixels

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
    """As `decode_image`, in float32 from then on where half precision overflows.

    Raises EaselError when it is not finite all the same.
    """
    image = decode_image(vae, latent)
    if not torch.isfinite(image).all() and vae.dtype != torch.float32:
        vae.float()
        image = decode_image(vae, latent)
    if not torch.isfinite(image).all():
        raise EaselError("the picture has no finite colours: the model or the settings are numerically unstable")
    return image


def decode_image(vae: nn.Module, latent: Tensor) -> Tensor:
    """Scaled latent (B, C, h, w) -> image (B, 3, H, W), [-1, 1] where the latent is one of a picture."""
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latent.to(vae.device).float() / vae.config.scaling_factor + shift
    return vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float()


def encode_image(vae: nn.Module, image: Tensor, noise: Tensor | None = None) -> Tensor:
    """Image (B, 3, H, W) in [-1, 1] -> scaled latent: the distribution's mean, or with `noise` a sample."""
    distribution = vae.encode(image.to(vae.dtype)).latent_dist
    latent = distribution.mean.float()
    if noise is not None:
        latent = latent + distribution.std.float() * noise.to(latent.device)
    return (latent - (vae.config.get("shift_factor") or 0.0)) * vae.config.scaling_factor


def _to_pixels(image: Tensor) -> Pixels:
    return _quantize(image.permute(0, 2, 3, 1))


def _quantize(image: Tensor) -> Pixels:
    """[-1, 1] -> 0 ... 255, rounded."""
    return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).contiguous().cpu().numpy()
