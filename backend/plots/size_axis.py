"""The axis of sizes: width and height together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backend.plots.axis import Axis, Point, Sources
from backend.request.field import clean
from backend.request.request import FIELDS

_SIZE = re.compile(r"\s*(\d{1,6})\s*[x×*]\s*(\d{1,6})\s*", re.IGNORECASE)


def _checked(value: Any, sources: Sources) -> tuple[int, int]:
    """Raises ValueError."""
    found = _SIZE.fullmatch(str(value))
    if not found:
        raise ValueError("must be a width and a height such as 512x768")
    return clean(FIELDS["width"], found[1]), clean(FIELDS["height"], found[2])


def _sized(values: Mapping[str, Any], point: Point) -> dict[str, Any]:
    width, height = point.value
    return {"width": width, "height": height}


SIZE_AXIS = Axis("Size", "text", _sized, ("width", "height"), check=_checked, cost="image", group="Size",
                 show=lambda value: f"{value[0]}x{value[1]}" if isinstance(value, tuple) else str(value),
                 help="Width and height together: 512x768.")
