"""The picture that is sent while another is still being drawn."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 80


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """JPEG bytes of RGB pixels (h, w, 3). A preview has one pixel per latent cell; the page scales it up."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
