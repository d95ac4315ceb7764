"""From latents to pixels and back, for every family whose VAE is diffusers' AutoencoderKL."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from backend.errors import EaselError
from backend.worker.models.side_stream import Reading, at_once
from backend.worker.pixels import Pixels

log = logging.getLogger(__name__)

NOT_FINITE = "the picture has no finite colours: the model or the settings are numerically unstable"

GREY = 127.5
"""The level halfway between black and white: 0 for a VAE. Inpainting networks see it where they are to paint."""


def scale(vae: nn.Module) -> int:
    """Pixels per latent cell, in each direction: every stage but the last halves the picture."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def decode(vae: nn.Module, latent: Tensor) -> Pixels:
    """As `decoding`, at once."""
    return at_once(decoding(vae, latent))


def encode(vae: nn.Module, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
    """As `encoding`, at once."""
    return at_once(encoding(vae, pixels, noise))


def decoding(vae: nn.Module, latent: Tensor) -> Reading[Pixels]:
    """Latents (B, C, h, w) -> pixels (B, H, W, 3). Where half precision overflows, the VAE goes on in float32.

    Raises EaselError when the picture is not finite even then.
    """
    _, finite, (pixels,) = yield from _wide_enough(vae, latent, lambda: _decoded(vae, latent), also=_to_pixels)
    if not finite:
        raise EaselError(NOT_FINITE)
    return pixels.numpy()


def encoding(vae: nn.Module, pixels: Pixels, noise: Tensor | None = None) -> Reading[Tensor]:
    """Pixels (B, H, W, 3) -> latents (B, C, h, w): the distribution's mean, or with `noise` a sample."""
    given = torch.tensor(pixels)
    if vae.device.type == "cuda":
        given = given.pin_memory()
    image = given.to(vae.device, non_blocking=True).permute(0, 3, 1, 2).float() / 127.5 - 1
    return (yield from _encoding(vae, image, noise))


def decode_finite(vae: nn.Module, latent: Tensor) -> Tensor:
    """As `decode_image`. Raises EaselError when the picture is not finite even in float32."""
    image, finite, _ = at_once(_wide_enough(vae, latent, lambda: _decoded(vae, latent)))
    if not finite:
        raise EaselError(NOT_FINITE)
    return image


def decode_image(vae: nn.Module, latent: Tensor) -> Tensor:
    """Scaled latent (B, C, h, w) -> image (B, 3, H, W), [-1, 1] where the latent is one of a picture."""
    return at_once(_wide_enough(vae, latent, lambda: _decoded(vae, latent)))[0]


def encode_image(vae: nn.Module, image: Tensor, noise: Tensor | None = None) -> Tensor:
    """Image (B, 3, H, W) in [-1, 1] -> scaled latent: the distribution's mean, or with `noise` a sample."""
    return at_once(_encoding(vae, image, noise))


def _decoded(vae: nn.Module, latent: Tensor) -> Tensor:
    """As `decode_image`, finite or not."""
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latent.to(vae.device).float() / vae.config.scaling_factor + shift
    return vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float()


def _encoding(vae: nn.Module, image: Tensor, noise: Tensor | None) -> Reading[Tensor]:
    def run() -> Tensor:
        distribution = vae.encode(image.to(vae.dtype)).latent_dist
        mean = distribution.mean.float()
        return mean if noise is None else mean + distribution.std.float() * noise.to(mean.device)

    latent, _, _ = yield from _wide_enough(vae, image, run)
    return (latent - (vae.config.get("shift_factor") or 0.0)) * vae.config.scaling_factor


def _wide_enough(
    vae: nn.Module, given: Tensor, run: Callable[[], Tensor], also: Callable[[Tensor], Tensor] | None = None
) -> Reading[tuple[Tensor, bool, Sequence[Tensor]]]:
    """What `run` makes of what is `given`, whether it is finite, and what is `also` made of it, in main memory.

    Where half precision is too narrow for it, the VAE stays in float32.
    """
    while True:
        result = run()
        more = [also(result)] if also else []
        finite, sound, *read = yield [torch.isfinite(result).all(), torch.isfinite(given).all(), *more]
        if finite or not sound or vae.dtype == torch.float32:
            return result, bool(finite), read
        log.info("the VAE's numbers outgrow %s; it goes on in float32", vae.dtype)
        if vae.device.type == "cuda":
            torch.cuda.synchronize(vae.device)      # other streams may still read the weights that go
        vae.float()


def _to_pixels(image: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) in 0 ... 255, rounded, uint8."""
    return ((image.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).contiguous()
