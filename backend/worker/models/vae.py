"""From latents to pixels and back, for every family whose VAE is diffusers' AutoencoderKL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.errors import EaselError
from backend.worker.pixels.feather import Mixed, starts

Pixels = NDArray[np.uint8]
SCALE = 8

# "Decoding latents to RGB without upscaling", Kevin Turner 2022: what AUTOMATIC1111 calls "Approx cheap"
SD1_PREVIEW = (      # to RGB in [-1, 1]
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
    (0.0, 0.0, 0.0),
)


@dataclass(frozen=True, slots=True)
class Tiles:
    """Square tiles of `side` latent cells, of which neighbours share at least `overlap`."""

    side: int = 64
    overlap: int = 16

    def places(self, rows: int, columns: int) -> Iterator[tuple[int, int]]:
        """(top, left) of each tile."""
        return product(starts(rows, self.side, self.overlap), starts(columns, self.side, self.overlap))


TILES = Tiles()


def decode(vae: nn.Module, latent: Tensor) -> Pixels:
    """Latents (B, C, h, w) -> pixels (B, 8h, 8w, 3). Where half precision overflows, the VAE goes on in float32."""
    return _to_pixels(_decode_finite(vae, latent))


def decode_tiled(vae: nn.Module, latent: Tensor, tiles: Tiles, wrap: bool = False) -> Pixels:
    """The same from tiles, blended. `wrap`: opposite edges are neighbours. Sums are kept on the CPU."""
    around = tiles.overlap if wrap else 0
    latent = _wrapped(latent, around)
    rows, columns = (side * SCALE for side in latent.shape[-2:])
    mixed = Mixed((len(latent), 3, rows, columns), tiles.overlap * SCALE)
    for top, left in tiles.places(*latent.shape[-2:]):
        part = latent[:, :, top : top + tiles.side, left : left + tiles.side]
        mixed.add(_decode_finite(vae, part).cpu(), top * SCALE, left * SCALE)
    return _to_pixels(_cut(mixed.whole(), around * SCALE))


def encode_tiled(vae: nn.Module, pixels: Pixels, tiles: Tiles, wrap: bool = False) -> Tensor:
    """The mean as `encode` gives it, from tiles of pixels, blended."""
    around = tiles.overlap if wrap else 0
    image = _wrapped(torch.tensor(pixels).permute(0, 3, 1, 2), around * SCALE)
    rows, columns = (side // SCALE for side in image.shape[-2:])
    mixed = Mixed((len(image), vae.config.latent_channels, rows, columns), tiles.overlap)
    side = tiles.side * SCALE
    for top, left in tiles.places(rows, columns):
        y, x = top * SCALE, left * SCALE
        part = image[:, :, y : y + side, x : x + side].to(vae.device)
        mixed.add(_encode(vae, part.float() / 127.5 - 1, None).cpu(), top, left)
    return _cut(mixed.whole(), around).to(vae.device)


def encode(vae: nn.Module, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
    """Pixels (B, H, W, 3) -> latents (B, C, H/8, W/8): the distribution's mean, or with `noise` a sample."""
    image = torch.tensor(pixels, device=vae.device).permute(0, 3, 1, 2)
    return _encode(vae, image.float() / 127.5 - 1, noise)


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


def _decode_finite(vae: nn.Module, latent: Tensor) -> Tensor:
    image = _decode(vae, latent)
    if not torch.isfinite(image).all() and vae.dtype != torch.float32:
        vae.float()
        image = _decode(vae, latent)
    if not torch.isfinite(image).all():
        raise EaselError("the picture has no finite colours: the model or the settings are numerically unstable")
    return image


def _decode(vae: nn.Module, latent: Tensor) -> Tensor:
    shift = vae.config.get("shift_factor") or 0.0
    unscaled = latent.to(vae.device).float() / vae.config.scaling_factor + shift
    return vae.decode(unscaled.to(vae.dtype), return_dict=False)[0].float()


def _encode(vae: nn.Module, image: Tensor, noise: Tensor | None) -> Tensor:
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


def _wrapped(image: Tensor, around: int) -> Tensor:
    """(B, C, h, w) with `around` cells of the opposite edge at each side."""
    rows, columns = (torch.arange(-around, side + around) % side for side in image.shape[-2:])
    return image[:, :, rows][:, :, :, columns] if around else image


def _cut(image: Tensor, around: int) -> Tensor:
    return image[..., around : image.shape[-2] - around, around : image.shape[-1] - around]


@torch.no_grad()
def _fit_preview(vae: nn.Module) -> Tensor:
    """Least squares from the codes of soft colour fields to what the VAE decodes them to, in [-1, 1]: (C + 1, 3).

    Grey for a VAE that gives no finite numbers: its pictures will say so, in the job that asks for one.
    """
    fields, cells, knots = 4, 16, 6
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(fields, 3, knots, knots, generator=generator) * 2 - 1
    image = nn.functional.interpolate(colours, size=cells * SCALE, mode="bilinear").to(vae.device)
    latent = _encode(vae, image, None)
    seen = nn.functional.avg_pool2d(_decode(vae, latent).clamp(-1, 1), SCALE)
    known = _cells(nn.functional.pad(latent, (0, 0, 0, 0, 0, 1), value=1.0))            # (fields * cells^2, C + 1)
    return torch.linalg.lstsq(known, _cells(seen)).solution.float().nan_to_num()


def _cells(image: Tensor) -> Tensor:
    """(B, C, h, w) -> (B * h * w, C), float64 on the CPU, 0 for what is no finite number."""
    return image.movedim(1, -1).flatten(0, 2).double().cpu().nan_to_num(0, 0, 0)
