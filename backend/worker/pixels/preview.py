"""The picture that is sent while another is still being drawn."""

from __future__ import annotations

import io
import logging

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.worker.models.autoencoder import Autoencoder
from backend.worker.models.model_base import Model

QUALITY = 80
MAX_SIDE = 1024             # pixels of a preview that is sent; the page shows it no larger
FULL = "Full"

log = logging.getLogger(__name__)


def preview(model: Model, by: Autoencoder, denoised: Tensor, method: str) -> tuple[NDArray[np.uint8], bool]:
    """RGB pixels (h, w, 3) of a latent (C, h, w), and whether memory was too short for what was asked.

    "Full" decodes the latent `by` what will decode the picture, at the cost of a decoding each time; else, or where
    that fails, it is a linear map with one pixel per cell. Nothing that goes wrong with a preview may cost the picture.
    """
    if method == FULL:
        try:
            return by.decode(denoised[None])[0], False
        except (RuntimeError, MemoryError) as error:
            log.warning("a preview could not be decoded: %s", error)
            return model.preview(denoised[None])[0], True
    return model.preview(denoised[None])[0], False


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG bytes of RGB pixels (h, w, 3), at most MAX_SIDE wide and high; the page scales small ones up."""
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
