"""What one user may ask for: the kinds of limits, and how an operator or an admin writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backend.errors import InvalidRequest, Problem

UNITS = ("", "K", "M", "G", "T")
HIGHEST = 2**53 - 1     # what a page's numbers can hold


@dataclass(frozen=True, slots=True)
class Limit:
    """A kind of limit; `about` says what is counted."""

    name: str
    label: str
    about: str
    in_bytes: bool = False


LIMITS: Mapping[str, Limit] = {limit.name: limit for limit in (
    Limit("queued", "Waiting jobs", "jobs that wait or are drawn at one time, cells of plots among them"),
    Limit("pixels", "Pixels of a request", "width x height x pictures of one request, as large as they get"),
    Limit("steps", "Steps", "sampling steps of a pass"),
    Limit("disk", "Disk", "bytes of all pictures and uploads, those in the bin too", in_bytes=True),
)}


def read_limit(name: str, written: str | int) -> int:
    """A limit as somebody has written it: 200, 16M, 10GB. ValueError for what is none."""
    if name not in LIMITS:
        raise ValueError(f"must be one of {', '.join(LIMITS)}")
    found = re.fullmatch(r"(\d{1,16})\s*([KMGT]?)(I?B)?", str(written).strip().upper(), re.ASCII)
    if not found or found[3] and not LIMITS[name].in_bytes:
        raise ValueError("must be a whole number, such as 200, 16M or, of bytes, 10GB")
    if (number := int(found[1]) * _base(name) ** UNITS.index(found[2])) > HIGHEST:
        raise ValueError("is too large a number")
    return number


def read_flags(written: Iterable[str]) -> dict[str, int]:
    """Limits from texts like "queued=200". ValueError says which of them is none."""
    limits: dict[str, int] = {}
    for text in written:
        name, _, number = text.partition("=")
        try:
            limits[name.strip()] = read_limit(name.strip(), number)
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from None
    return limits


def changed(own: Mapping[str, int | None], values: Mapping[str, Any]) -> dict[str, int | None]:
    """A user's own limits with these beside or in place of them.

    A number, or a text as in `read_limit`; None: no limit for this user; "": the operator's again. InvalidRequest names
    every wrong one.
    """
    limits, problems = dict(own), []
    for name, value in values.items():
        if value == "" and name in LIMITS:
            limits.pop(name, None)
            continue
        try:
            limits[name] = None if value is None and name in LIMITS else read_limit(name, _written(value))
        except ValueError as error:
            problems.append(Problem(str(error), f"limits.{name}"))
    if problems:
        raise InvalidRequest(problems=problems)
    return limits


def _written(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a number, a text like 10GB, or null for no limit")
    return value


def shown(name: str, number: int) -> str:
    """A number of this limit's kind for people: "1,200" or "1.5 GB"."""
    if not LIMITS[name].in_bytes:
        return f"{number:,}"
    power = next((power for power in (4, 3, 2) if number >= 1024**power), 2)
    return f"{number / 1024**power:,.4g} {UNITS[power]}B"


def _base(name: str) -> int:
    return 1024 if LIMITS[name].in_bytes else 1000
