"""What a picture asks of the engine while it is drawn, and where it is drawn."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.worker.guidance.cfg_denoiser import Row
from backend.worker.pixels.upscaling import Enlarge, Expect, Inspect


@dataclass(frozen=True, slots=True)
class EncodeText:
    """Encode these texts. Answered by one (T, D) tensor each."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class EncodePicture:
    """Encode pixels (H, W, 3), uint8 or float of the same range. Answered by a latent (C, H/8, W/8).

    `kept`: others may ask for the same pixels. `tiling`: their opposite edges are neighbours.
    """

    pixels: np.ndarray
    kept: bool = True
    tiling: bool = False


@dataclass(frozen=True, slots=True)
class DecodeLatent:
    """Decode a latent (C, h, w). Answered by RGB pixels, uint8 (H, W, 3)."""

    latent: Tensor
    tiling: bool = False

    @property
    def kind(self) -> tuple[tuple[int, ...], bool]:
        """Latents of one kind can be decoded together."""
        return tuple(self.latent.shape), self.tiling


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture of the job, uint8 (H, W, 3), that others are still made from. Answered by None."""

    pixels: np.ndarray


Work = EncodeText | EncodePicture | DecodeLatent | Finished | Inspect | Expect | Enlarge | list[Row]
"""Those of `upscaling` are told there. Rows are answered by their denoised latents, in order."""

Drawing = Generator[Work, Any, np.ndarray]
"""Returns the last picture, RGB pixels, uint8 (H, W, 3)."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a picture is drawn: latent shape (C, h, w), device, what the network predicts and what it sees besides.

    `sees_masks`: an inpainting network. `sees_pictures`: an edit network. `tiling`: opposite edges are neighbours.
    """

    shape: tuple[int, int, int]
    device: torch.device
    prediction: str
    sees_masks: bool = False
    sees_pictures: bool = False
    tiling: bool = False
