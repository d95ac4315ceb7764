"""The words of face swaps: whose faces are replaced, and which."""

from __future__ import annotations

import re
from collections.abc import Iterator

from backend.errors import Problem

EVERYBODY, FEMALE, MALE = GENDERS = ("Everybody", "Female", "Male")
ALL = "all"
_NUMBERS = re.compile(r"\s*\d{1,2}\s*(,\s*\d{1,2}\s*)*")


def wrong_numbers(sources: str, targets: str) -> Iterator[Problem]:
    """What is wrong with the numbers of the faces that are put in, and of those that they replace."""
    try:
        replaced = numbers(targets)
    except ValueError as error:
        yield Problem(str(error), "face_swap_targets")
        return
    if not sources.strip():
        return
    if not _NUMBERS.fullmatch(sources):
        yield Problem("must be numbers of faces such as 1, 0, or empty", "face_swap_sources")
    elif replaced is None:
        yield Problem("needs the numbers of the faces that it replaces", "face_swap_sources")
    elif len(sources.split(",")) != len(replaced):
        yield Problem(f"has {len(sources.split(','))} numbers for {len(replaced)} faces that it replaces",
                      "face_swap_sources")


def numbers(text: str) -> list[int] | None:
    """The faces that a text such as "0, 2" names, counted from 0; None for all of them. Raises ValueError."""
    if text.strip().casefold() in ("", ALL):
        return None
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f"must be numbers of faces such as 0, 2, or {ALL}")
    return [int(part) for part in text.split(",")]
