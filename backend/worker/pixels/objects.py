"""Objects in a picture: what looks for them is asked for as a work item."""

from __future__ import annotations

from dataclasses import dataclass

from backend.worker.pixels import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class FindObjects:
    """Work item: look for what detailer `number` of the request means in pixels, uint8 (H, W, 3).

    Answered by boxes, float (n, 4): left, top, right, bottom in pixels, the surest first.
    """

    pixels: Pixels
    model: str
    classes: str
    confidence: float
    number: int
