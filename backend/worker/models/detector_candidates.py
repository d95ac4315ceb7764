"""What a detector's network says of the square that it was shown, before anybody chooses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.worker.models.overlapping_boxes import Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """`boxes` (n, 4): left, top, right, bottom in pixels of the square; `scores` (n, classes) in 0..1.

    An outline is the sum of `parts` (k, h, w), each times its share in `shares` (n, k): where it is above 0, the object
    is. `single`: nothing is in it twice.
    """

    boxes: Numbers
    scores: Numbers
    shares: Numbers
    parts: Numbers | None = None
    single: bool = False


def of_rows(rows: Numbers, classes: int, parts: Numbers | None = None, *, single: bool = False) -> Candidates:
    """From (4 + classes + k, n): middle, width and height, a score for each class, shares. What is between is left out.
    """
    middle, half = rows[:2].T, rows[2:4].T / 2
    boxes = np.concatenate([middle - half, middle + half], 1)
    shares = rows[len(rows) - (0 if parts is None else len(parts)):].T
    return Candidates(boxes, rows[4:4 + classes].T, shares, parts, single)
