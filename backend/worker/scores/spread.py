"""How different the pictures of a row of seeds are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def spread(features: Sequence[Tensor]) -> float:
    """Mean of 1 - cosine over all pairs of unit vectors (D,), 0..2; at least two vectors."""
    stacked = torch.stack(list(features))
    count = len(stacked)
    cosines = stacked @ stacked.T
    return float(1 - (cosines.sum() - cosines.trace()) / (count * (count - 1)))
