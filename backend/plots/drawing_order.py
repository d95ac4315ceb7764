"""In which order cells are drawn: each checkpoint once, and within that from coarse to fine, corners first."""

from __future__ import annotations

from collections.abc import Sequence

from backend.plots.cells import Coordinates
from backend.request.request import Request

HEAVY = ("checkpoint", "refiner_checkpoint", "hr_checkpoint_name", "vae", "width", "height", "tiling")
"""Fields whose change costs a load, or parts rows that could share a call; the costliest first."""


def drawing_order(cells: Sequence[tuple[Coordinates, Request]], lengths: Sequence[int]) -> list[int]:
    """The numbers of the cells as they are drawn. Heavy values keep the order in which they come first."""
    first: dict[tuple[str, object], int] = {}
    heavy = [name for name in HEAVY if hasattr(cells[0][1], name)] if cells else []
    levels = [_levels(length) for length in lengths]

    def rank(number: int) -> tuple[int, ...]:
        coordinates, request = cells[number]
        groups = (first.setdefault((name, getattr(request, name)), len(first)) for name in heavy)
        return (*groups, max((levels[axis][index] for axis, index in enumerate(coordinates)), default=0), number)

    return sorted(range(len(cells)), key=rank)


def _levels(length: int) -> list[int]:
    """How fine each index of an axis is: 0 at both ends, 1 in the middle of them, 2 in the middles of those, ..."""
    levels = [0] * length
    spans = [(0, length - 1, 1)]
    while spans:
        low, high, level = spans.pop()
        if high - low > 1:
            middle = (low + high) // 2
            levels[middle] = level
            spans += [(low, middle, level + 1), (middle, high, level + 1)]
    return levels
