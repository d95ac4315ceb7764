"""The demo model's latent space, fixed by a formula before any network is trained.

A latent cell says what its 8 x 8 block of pixels looks like: its mean colour, and how much darker its lower right is
than its upper left. Over the training pictures the four numbers are whitened: mean 0, variance 1, uncorrelated. So
colours stay colours and equal distances stay equal, the UNet need not wait for the autoencoder, and the autoencoder's
two halves learn apart: the encoder to compute these numbers, the decoder to draw from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

CELL = 8  # pixels
RAMP = (np.arange(CELL) - 3.5) / 3.5
SLOPE_WEIGHT = 0.35  # the slope matters least to the eye and costs a UNet as much as a colour


def features(pictures: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] to float32 [N, 4, H/8, W/8]: mean red, green and blue in -1..1, and the light's slope."""
    count, height, width, _ = pictures.shape
    blocks = pictures.reshape(count, height // CELL, CELL, width // CELL, CELL, 3).astype(np.float32) / 127.5 - 1
    colour = blocks.mean((2, 4))  # [N, h, w, 3]
    light = blocks.mean(5)
    slope = np.einsum("nyaxb,ab->nyx", light, RAMP[:, None] + RAMP[None, :]) / CELL**2
    return np.concatenate([colour, slope[..., None]], 3).transpose(0, 3, 1, 2).astype(np.float32)


@dataclass(frozen=True)
class LatentSpace:
    """Whitening of the features: z = matrix @ (features - mean), the last of the four times SLOPE_WEIGHT."""

    mean: np.ndarray  # [4]
    matrix: np.ndarray  # [4, 4]

    @classmethod
    def of(cls, pictures: np.ndarray) -> LatentSpace:
        """Measured on pictures. ZCA, the whitening that changes the axes least, so that colours stay colours."""
        values = features(pictures).transpose(1, 0, 2, 3).reshape(4, -1)
        scales, axes = np.linalg.eigh(np.cov(values))
        return cls(values.mean(1), (axes / np.sqrt(scales)) @ axes.T)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """uint8 [N, H, W, 3] to float16 [N, 4, H/8, W/8]."""
        centred = features(pictures) - self.mean[:, None, None]
        z = np.einsum("cd,ndyx->ncyx", self.matrix, centred)
        z[:, 3] *= SLOPE_WEIGHT
        return z.astype(np.float16)


def encode_all(pictures: Iterable[np.ndarray], space: LatentSpace, part: int = 250) -> np.ndarray:
    """Pictures uint8 [H, W, 3] to float16 [N, 4, H/8, W/8], `part` of them in memory at a time."""
    rest = iter(pictures)
    parts = iter(lambda: list(islice(rest, part)), [])
    return np.concatenate([space.encode(np.stack(some)) for some in parts])
