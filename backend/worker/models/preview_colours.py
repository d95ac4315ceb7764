"""The colours of a latent without decoding it: a linear map, one pixel per cell.

Two VAEs of one build can have different latents, so a family says which published map its own VAE has; any other VAE
is fitted in a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from backend.worker.models import vae as codes
from backend.worker.pixels import Pixels

FIELDS, CELLS, KNOTS = 4, 16, 6     # what is fitted: soft colour fields, their side in latent cells, and in colours


@dataclass(frozen=True, slots=True)
class Published:
    """A map that somebody measured: latent channels to RGB in [-1, 1], the last row an offset.

    It holds for VAEs with these `stages` (channels of each); a fine-tuned one of the same build keeps its latents.
    """

    stages: tuple[int, ...]
    rows: tuple[tuple[float, float, float], ...]

    def fits(self, vae: nn.Module) -> bool:
        """Whether the VAE is of this build."""
        config = vae.config
        return tuple(config.block_out_channels) == self.stages and config.latent_channels == len(self.rows) - 1


def preview_factors(vae: nn.Module, published: Published | None = None) -> Tensor:
    """The map from latents of this VAE to RGB in 0..1: (C + 1, 3), the last row an offset."""
    known = published is not None and published.fits(vae)
    factors = (torch.tensor(published.rows) if known else _fitted(vae)) / 2
    factors[-1] += 0.5
    return factors.to(vae.device)


def linear_rgb(factors: Tensor, latent: Tensor) -> Pixels:
    """Latents (B, C, h, w) -> (B, h, w, 3) by `preview_factors`."""
    colours = latent.float().movedim(1, -1) @ factors[:-1] + factors[-1]
    return (colours * 255).round().clamp(0, 255).byte().cpu().numpy()


@torch.no_grad()
def _fitted(vae: nn.Module) -> Tensor:
    """Least squares from the codes of soft colour fields to what the VAE decodes them to, in [-1, 1]: (C + 1, 3).

    Grey for a VAE that gives no finite numbers: its pictures will say so, in the job that asks for one.
    """
    cell = codes.scale(vae)
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(FIELDS, 3, KNOTS, KNOTS, generator=generator) * 2 - 1
    image = nn.functional.interpolate(colours, size=CELLS * cell, mode="bilinear").to(vae.device)
    latent = codes.encode_image(vae, image)
    seen = nn.functional.avg_pool2d(codes.decode_image(vae, latent).clamp(-1, 1), cell)
    known = _cells(nn.functional.pad(latent, (0, 0, 0, 0, 0, 1), value=1.0))            # (fields * cells^2, C + 1)
    return torch.linalg.lstsq(known, _cells(seen)).solution.float().nan_to_num()


def _cells(image: Tensor) -> Tensor:
    """(B, C, h, w) -> (B * h * w, C), float64 on the CPU, 0 for what is no finite number."""
    return image.movedim(1, -1).flatten(0, 2).double().cpu().nan_to_num(0, 0, 0)
