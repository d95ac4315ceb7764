"""Color correction: what is drawn gets the colours of the picture it began from (AUTOMATIC1111 1.10)."""

from __future__ import annotations

import numpy as np

from backend.worker.pixels import Pixels


def recoloured(drawn: Pixels, model: Pixels) -> Pixels:
    """`drawn` with the distribution of colours of `model` and its own light (in CIE Lab)."""
    from skimage.color import lab2rgb, rgb2lab
    from skimage.exposure import match_histograms

    own = rgb2lab(drawn)
    matched = match_histograms(own, rgb2lab(model), channel_axis=2)
    matched[..., 0] = own[..., 0]
    return (lab2rgb(matched) * 255).round().clip(0, 255).astype(np.uint8)
