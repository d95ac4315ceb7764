"""How alike two pictures of one size are, pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.worker.pixels import Pixels

GREYS = 255.0
MOST_DECIBELS = 120.0       # stands for equal pictures, whose ratio has no bound
WINDOW = 11                 # pixels of the side of SSIM's Gaussian window


def ssim(picture: Pixels, reference: Pixels) -> float:
    """Structural similarity (Wang et al. 2004), -1..1: a Gaussian window of 11 pixels, the mean over red, green, blue.

    Both (H, W, 3) of one size, at least 11 pixels wide and high; at the edges the pictures are mirrored.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    return float(structural_similarity_index_measure(_batch(picture), _batch(reference), data_range=GREYS))


def psnr(picture: Pixels, reference: Pixels) -> float:
    """Peak signal to noise ratio in decibels over all three colours, at most `MOST_DECIBELS`. Both (H, W, 3)."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return min(float(peak_signal_noise_ratio(_batch(picture), _batch(reference), data_range=GREYS)), MOST_DECIBELS)


def _batch(pixels: Pixels) -> Tensor:
    """(1, 3, H, W), 0..255, in double precision: of nearly equal pictures single precision shows the rounding."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
