"""Objects in a picture: what looks for them is asked for as a work item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.worker.pixels import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class FindObjects:
    """Work item: look for what detailer `number` of the request means in pixels, uint8 (H, W, 3).

    Answered by `Objects`, with outlines by SAM where `sam` asks for them.
    """

    pixels: Pixels
    model: str
    classes: str
    confidence: float
    number: int
    sam: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """`boxes`, float (n, 4): left, top, right, bottom in pixels, the surest first; `outlines`, bool (n, H, W)."""

    boxes: NDArray[np.float64]
    outlines: NDArray[np.bool_] | None = None
