"""Numbers in the arguments of networks."""

from __future__ import annotations

import math

MOST = 1000.0           # of a weight, either way


def number(text: str) -> float:
    """Raises ValueError, saying why, for what is no finite number of at most `MOST`."""
    if not text.strip():
        raise ValueError("has no number where one is expected")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"has '{text.strip()[:40]}' where a number is expected") from None
    if not math.isfinite(value) or abs(value) > MOST:
        raise ValueError(f"has the weight {text.strip()[:40]}; it can be at most {MOST:g} either way")
    return value
