"""How sharp a picture is: the variance of its Laplacian (Pech-Pacheco et al. 2000)."""

from __future__ import annotations

import numpy as np

from backend.worker.pixels import Pixels

LUMA = np.array([0.299, 0.587, 0.114])      # ITU-R BT.601


def sharpness(pixels: Pixels) -> float:
    """Variance of the 4-neighbour Laplacian of the grey picture, in squared grey levels of 0..255.

    0 for an even picture, tens for a soft one, thousands for noise or fine lines. The outermost pixels have no
    Laplacian. Pixels (H, W, 3), at least 3 wide and high. Pictures of different sizes cannot be compared by it.
    """
    grey = pixels @ LUMA
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(laplacian.var())
