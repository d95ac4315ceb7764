"""Boxes around the same thing: the best of them stays (non-maximum suppression)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAME = 0.4                      # share of two boxes in common from which they are around one thing

Numbers = NDArray[np.float64]


def apart(boxes: Numbers, order: NDArray[np.int64], same: float = SAME, most: int | None = None) -> list[int]:
    """Those of the boxes (left, top, right, bottom), the best first in `order`, that are not a better one's double.

    No more than `most` of them: the time grows with the number that stays.
    """
    areas = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    kept: list[int] = []
    for i in order:
        low, high = np.maximum(boxes[i, :2], boxes[kept, :2]), np.minimum(boxes[i, 2:], boxes[kept, 2:])
        common = (high - low).clip(0).prod(-1)
        if not (common > same * (areas[i] + areas[kept] - common)).any():
            kept.append(int(i))
            if len(kept) == most:
                break
    return kept
