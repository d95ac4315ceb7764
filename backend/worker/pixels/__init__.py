"""Work on finished pixels: upscalers, faces, tiles, previews."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""RGB, rows first: (H, W, 3), or with a batch before it."""
