"""The words of face swaps: whose faces are replaced, and which."""

from __future__ import annotations

import re

EVERYBODY, FEMALE, MALE = GENDERS = ("Everybody", "Female", "Male")
ALL = "all"
_NUMBERS = re.compile(r"\s*\d{1,2}\s*(,\s*\d{1,2}\s*)*")


def numbers(text: str) -> list[int] | None:
    """The faces that a text such as "0, 2" names, counted from 0; None for all of them. Raises ValueError."""
    if text.strip().casefold() in ("", ALL):
        return None
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f"must be numbers of faces such as 0, 2, or {ALL}")
    return [int(part) for part in text.split(",")]
