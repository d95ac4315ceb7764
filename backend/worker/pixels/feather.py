"""Overlapping tiles of one picture, put together without seams."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Mixed:
    """A picture of `shape` (..., rows, columns) from tiles that rise over `overlap` cells. Sums are kept on the CPU."""

    def __init__(self, shape: Sequence[int], overlap: int) -> None:
        self._total, self._weight = torch.zeros(*shape), torch.zeros(*shape[-2:])
        self._overlap = max(overlap, 1)

    def add(self, tile: Tensor, top: int, left: int) -> None:
        """Lay a tile (..., h, w) with its corner at (top, left)."""
        height, width = tile.shape[-2:]
        ramp = torch.outer(self._ramp(height), self._ramp(width))
        self._total[..., top : top + height, left : left + width] += tile * ramp
        self._weight[top : top + height, left : left + width] += ramp

    def whole(self) -> Tensor:
        """The weighted mean of all tiles, float32."""
        return self._total / self._weight

    def _ramp(self, length: int) -> Tensor:
        """Weights along one side of a tile: rising over the overlap, falling again at the other end."""
        distance = torch.arange(length) + 0.5
        return torch.minimum(distance, length - distance).clamp(max=self._overlap) / self._overlap


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles of one row begin: evenly spread, at least `overlap` shared, the last one flush with the end."""
    if length <= tile:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]
