"""The VAE in overlapping tiles: needs the memory of one, whatever the size of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from backend.worker.models.vae import decode_finite, encode_image, scale
from backend.worker.pixels import Pixels
from backend.worker.pixels.tile_blender import Box, Span, Values, blend, blended, spans


@dataclass(frozen=True, slots=True)
class Tiles:
    """Square tiles of `side` latent cells, of which neighbours share at least `overlap`."""

    side: int = 64
    overlap: int = 16

    def along(self, cells: int, target: int) -> list[Span]:
        """Those along one side of a latent, for a result of `target` values."""
        return spans(cells, target, self.side, self.overlap)


TILES = Tiles()


def decode_tiled(vae: nn.Module, latent: Tensor, tiles: Tiles, wrap: bool = False) -> Pixels:
    """Latents (B, C, h, w) -> pixels (B, H, W, 3), as from `vae.decode`. `wrap`: opposite edges are neighbours."""
    around = tiles.overlap if wrap else 0
    return np.stack([_decoded(vae, _wrapped(one[None], around), tiles, around) for one in latent])


def encode_tiled(vae: nn.Module, pixels: Pixels, tiles: Tiles, wrap: bool = False) -> Tensor:
    """Pixels (B, H, W, 3) -> latents (B, C, h, w): the mean, as `vae.encode` gives it."""
    around = tiles.overlap if wrap else 0
    return torch.stack([_encoded(vae, one, tiles, around) for one in pixels])


def _decoded(vae: nn.Module, latent: Tensor, tiles: Tiles, around: int) -> Pixels:
    """Of one latent (1, C, h, w) that has `around` cells of the opposite edge at each side."""
    cell, (rows, columns) = scale(vae), latent.shape[-2:]

    def values(box: Box) -> Values:
        tile = latent[:, :, box.row.start:box.row.stop, box.column.start:box.column.stop]
        image = (decode_finite(vae, tile)[0] + 1) * 127.5
        return box.fitted(image.permute(1, 2, 0).cpu().numpy(), (cell, cell))

    blending = blended(tiles.along(rows, rows * cell), tiles.along(columns, columns * cell))
    return _without(blend(blending, values), around * cell)


def _encoded(vae: nn.Module, pixels: Pixels, tiles: Tiles, around: int) -> Tensor:
    """Of one picture (H, W, 3)."""
    cell = scale(vae)
    image = _wrapped(torch.tensor(pixels).permute(2, 0, 1)[None], around * cell)
    rows, columns = (side // cell for side in image.shape[-2:])

    def values(box: Box) -> Values:
        tile = image[:, :, box.row.start * cell:box.row.stop * cell, box.column.start * cell:box.column.stop * cell]
        latent = encode_image(vae, tile.to(vae.device).float() / 127.5 - 1)[0]
        return box.fitted(latent.permute(1, 2, 0).cpu().numpy(), (1.0, 1.0))

    blending = blended(tiles.along(rows, rows), tiles.along(columns, columns), vae.config.latent_channels, np.float32)
    return torch.from_numpy(_without(blend(blending, values), around)).permute(2, 0, 1).to(vae.device)


def _wrapped(image: Tensor, around: int) -> Tensor:
    """(B, C, h, w) with `around` cells of the opposite edge at each side."""
    rows, columns = (torch.arange(-around, side + around) % side for side in image.shape[-2:])
    return image[:, :, rows][:, :, :, columns] if around else image


def _without(values: Values, around: int) -> Values:
    return values[around:len(values) - around, around:values.shape[1] - around]
