"""Yes, no and numbers as other programs write them: as text, as numbers, as words."""

from __future__ import annotations

import math
from typing import Any

YES, NO = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0", "none", "")


def truth(value: Any) -> bool | None:
    """Yes or no in any of the words for it; None for what is neither."""
    if isinstance(value, str):
        word = value.strip().casefold()
        return True if word in YES else False if word in NO else None
    return bool(value) if isinstance(value, bool | int | float) or value is None else None


def is_same(value: Any, other: Any) -> bool:
    """Whether two values mean the same: 1, 1.0 and "1"; false and "False"."""
    if isinstance(other, bool):
        return truth(value) is other
    if isinstance(other, int | float):
        found = number(value)
        return found is not None and math.isclose(found, other)
    if isinstance(value, str) and isinstance(other, str):
        return value.strip().casefold() == other.casefold()
    return bool(value == other)


def number(value: Any) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
