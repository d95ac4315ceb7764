"""From latents to pixels and back, for every family whose VAE is diffusers' AutoencoderKL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from backend.errors import EaselError
from backend.worker.pixels.feather import Mixed, starts
from backend.worker.pixels.tiles import Pixels

GREY = 127.5
"""The level halfway between black and white: 0 for a VAE. Inpainting networks see it where they are to paint."""

@dataclass(frozen=True, slots=True)
class Tiles:
    """Square tiles of `side` latent cells, of which neighbours share at least `overlap`."""

    side: int = 64
    overlap: int = 16

    def places(self, rows: int, columns: int) -> Iterator[tuple[int, int]]:
        """(top, left) of each tile."""
        return product(starts(rows, self.side, self.overlap), starts(columns, self.side, self.overlap))


TILES = Tiles()


def scale(vae: nn.Module) -> int:
    """Pixels per latent cell, in each direction: every stage but the last halves the picture."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def decode(vae: nn.Module, latent: Tensor) -> Pixels:
    """Latents (B, C, h, w) -> pixels (B, H, W, 3). Where half precision overflows, the VAE goes on in float32."""
    return _to_pixels(_decode_finite(vae, latent))


def decode_tiled(vae: nn.Module, latent: Tensor, tiles: Tiles, wrap: bool = False) -> Pixels:
    """The same from tiles, blended. `wrap`: opposite edges are neighbours. Sums are kept on the CPU."""
    around, cell = tiles.overlap if wrap else 0, scale(vae)
    latent = _wrapped(latent, around)
    rows, columns = (side * cell for side in latent.shape[-2:])
    mixed = Mixed((len(latent), 3, rows, columns), tiles.overlap * cell)
    for top, left in tiles.places(*latent.shape[-2:]):
        part = latent[:, :, top : top + tiles.side, left : left + tiles.side]
        mixed.add(_decode_finite(vae, part).cpu(), top * cell, left * cell)
    return _to_pixels(_cut(mixed.whole(), around * cell))


def encode_tiled(vae: nn.Module, pixels: Pixels, tiles: Tiles, wrap: bool = False) -> Tensor:
    """The mean as `encode` gives it, from tiles of pixels, blended."""
    around, cell = tiles.overlap if wrap else 0, scale(vae)
    image = _wrapped(torch.tensor(pixels).permute(0, 3, 1, 2), around * cell)
    rows, columns = (side // cell for side in image.shape[-2:])
    mixed = Mixed((len(image), vae.config.latent_channels, rows, columns), tiles.overlap)
    side = tiles.side * cell
    for top, left in tiles.places(rows, columns):
        y, x = top * cell, left * cell
        part = image[:, :, y : y + side, x : x + side].to(vae.device)
        mixed.add(encode_image(vae, part.float() / 127.5 - 1).cpu(), top, left)
    return _cut(mixed.whole(), around).to(vae.device)


def encode(vae: nn.Module, pixels: Pixels, noise: Tensor | None = None) -> Tensor:
    """Pixels (B, H, W, 3) -> latents (B, C, h, w): the distribution's mean, or with `noise` a sample."""
    image = torch.tensor(pixels, device=vae.device).permute(0, 3, 1, 2)
    return encode_image(vae, image.float() / 127.5 - 1, noise)


def _decode_finite(vae: nn.Module, latent: Tensor) -> Tensor:
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


def _wrapped(image: Tensor, around: int) -> Tensor:
    """(B, C, h, w) with `around` cells of the opposite edge at each side."""
    rows, columns = (torch.arange(-around, side + around) % side for side in image.shape[-2:])
    return image[:, :, rows][:, :, :, columns] if around else image


def _cut(image: Tensor, around: int) -> Tensor:
    return image[..., around : image.shape[-2] - around, around : image.shape[-1] - around]
