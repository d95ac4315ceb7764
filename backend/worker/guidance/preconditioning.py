"""The network as a denoiser: rows at any noise levels in, denoised latents out, in one call.

Preconditioning is that of k-diffusion's CompVisDenoiser (epsilon) and CompVisVDenoiser (v prediction): with data of
unit variance, c_in = 1 / sqrt(sigma^2 + 1), and the timestep is where the model's own noise table has that sigma.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.worker.guidance.cfg_denoiser import Row
from backend.worker.models.base import Model
from backend.worker.models.seamless import seamless


def denoise(model: Model, rows: Sequence[Row]) -> list[Tensor]:
    """The denoised latent (C, h, w), float32, of each row. All rows share `Row.kind`."""
    x = torch.stack([row.x for row in rows])                                                    # (B, C, h, w)
    context = torch.stack([row.context for row in rows])                                        # (B, T, D)
    sigma = torch.tensor([row.sigma for row in rows], device=x.device, dtype=torch.float32).view(-1, 1, 1, 1)
    times = [model.schedule.sigma_to_t(row.sigma) for row in rows]
    timesteps = torch.tensor(times, device=x.device, dtype=torch.float32)                       # (B,)
    total = sigma**2 + 1
    with seamless(model.unet, rows[0].tiling):
        output = model.predict(x * total.rsqrt(), timesteps, context, **_control(rows))
    denoised = x - output * sigma if model.prediction == "epsilon" else x / total - output * sigma * total.rsqrt()
    return list(denoised.unbind(0))


def _control(rows: Sequence[Row]) -> dict[str, Tensor]:
    """What only some networks take; all rows have it or none."""
    shown = [row.channels for row in rows if row.channels is not None]
    return {"channels": torch.stack(shown)} if shown else {}                                    # (B, K, h, w)
