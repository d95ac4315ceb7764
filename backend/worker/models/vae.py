"""From latents to pixels and back, for every family whose VAE is diffusers' AutoencoderKL."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from backend.errors import EaselError
from backend.worker.pixels import Pixels

SCALE = 8

# "Decoding latents to RGB without upscaling", Kevin Turner 2022: what AUTOMATIC1111 calls "Approx cheap"
SD1_PREVIEW = (      # to RGB in [-1, 1]
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
    (0.0, 0.0, 0.0),
)


def scale(vae: nn.Module) -> int:
    """Pixels per latent cell, in each direction: every stage but the last halves the picture."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def decode(vae: nn.Module, latent: Tensor) -> Pixels:
    """Latents (B, C, h, w) -> pixels (B, 8h, 8w, 3). Where half precision overflows, the VAE goes on in float32."""
    return _to_pixels(decode_finite(vae, latent))


def encode(vae: nn.Module, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
    """Pixels (B, H, W, 3) -> latents (B, C, H/8, W/8): the distribution's mean, or with `noise` a sample."""
    image = torch.tensor(pixels, device=vae.device).permute(0, 3, 1, 2)
    return encode_image(vae, image.float() / 127.5 - 1, noise)


def preview_factors(vae: nn.Module) -> Tensor:
    """The linear map from latent to RGB in 0..1, (C + 1, 3), the last row an offset.

    Published for Stable Diffusion's VAE; other, small VAEs are fitted in a fraction of a second.
    """
    config = vae.config
    known = tuple(config.block_out_channels) == (128, 256, 512, 512) and config.latent_channels == 4
    factors = torch.tensor(SD1_PREVIEW) if known else _fit_preview(vae)
    factors = factors / 2
    factors[-1] += 0.5
    return factors.to(vae.device)


def linear_rgb(factors: Tensor, latent: Tensor) -> Pixels:
    """Latents (B, C, h, w) -> (B, h, w, 3) by `preview_factors`."""
    colours = latent.float().movedim(1, -1) @ factors[:-1] + factors[-1]
    return (colours * 255).round().clamp(0, 255).byte().cpu().numpy()


def decode_finite(vae: nn.Module, latent: Tensor) -> Tensor:
    """Scaled latent (B, C, h, w) -> image (B, 3, H, W), about [-1, 1]; in float32 from then on where half overflows.

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
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latent.to(vae.device).float() / vae.config.scaling_factor + shift
    return vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float()


def encode_image(vae: nn.Module, image: Tensor, noise: Tensor | None = None) -> Tensor:
    """Image (B, 3, H, W) in [-1, 1] -> scaled latent."""
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


@torch.no_grad()
def _fit_preview(vae: nn.Module) -> Tensor:
    """Least squares from the codes of soft colour fields to what the VAE decodes them to, in [-1, 1]: (C + 1, 3).

    Grey for a VAE that gives no finite numbers: its pictures will say so, in the job that asks for one.
    """
    fields, cells, knots = 4, 16, 6
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(fields, 3, knots, knots, generator=generator) * 2 - 1
    image = nn.functional.interpolate(colours, size=cells * SCALE, mode="bilinear").to(vae.device)
    latent = encode_image(vae, image, None)
    seen = nn.functional.avg_pool2d(decode_image(vae, latent).clamp(-1, 1), SCALE)
    known = _cells(nn.functional.pad(latent, (0, 0, 0, 0, 0, 1), value=1.0))            # (fields * cells^2, C + 1)
    return torch.linalg.lstsq(known, _cells(seen)).solution.float().nan_to_num()


def _cells(image: Tensor) -> Tensor:
    """(B, C, h, w) -> (B * h * w, C), float64 on the CPU, 0 for what is no finite number."""
    return image.movedim(1, -1).flatten(0, 2).double().cpu().nan_to_num(0, 0, 0)
