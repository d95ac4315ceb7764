"""How a picture is ended in the middle without being lost."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from backend.worker.pixels import Pixels


@dataclass(eq=False)
class Interrupted(Exception):
    """Thrown into a program at what it waits for; it comes back out with what there is of the picture by then.

    `latent` (C, h, w) is the last denoised one, `pixels` (H, W, 3) the half-drawn picture made of it. Both are None
    where no step has been made.
    """

    latent: Tensor | None = None
    pixels: Pixels | None = None
