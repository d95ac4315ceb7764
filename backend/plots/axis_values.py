"""The values that somebody types for an axis, in AUTOMATIC1111's syntax.

    1, 2, 3          single values; "quoted, with a comma" is one
    1-5              1 2 3 4 5
    1-10 (+3)        1 4 7 10; with a minus downwards
    1-10 [5]         five values from the first to the last
    0.2-1 (+0.2)     the same with fractions
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from backend.plots.axis import MAX_VALUES, Axis, Sources

LONGEST = 100_000           # characters of what is typed for one axis
_WHOLE = r"([+-]?\s*\d{1,20})"
_REAL = r"([+-]?\s*\d{1,20}(?:\.\d{0,20})?)"
_STEPPED = {kind: re.compile(rf"\s*{number}\s*-\s*{number}(?:\s*\(\s*([+-]{inner})\s*\))?\s*")
            for kind, number, inner in (("int", _WHOLE, r"\d{1,20}"), ("float", _REAL, r"\d{1,20}(?:\.\d{0,20})?"))}
_COUNTED = {kind: re.compile(rf"\s*{number}\s*-\s*{number}\s*\[\s*(\d{{1,9}})\s*\]\s*")
            for kind, number in (("int", _WHOLE), ("float", _REAL))}


class WrongValues(ValueError):
    """What was typed for an axis cannot be used; a sentence for the person."""


def read_values(axis: Axis, typed: str | Sequence[Any], sources: Sources) -> list[Any]:
    """All values of an axis from what was typed, or from a list of single ones. Raises WrongValues."""
    words = _words(typed) if isinstance(typed, str) else list(typed)
    if axis.expand:
        words = _expanded(axis.expand, [word for word in words if word != ""], sources)
    elif isinstance(typed, str) and axis.kind in ("int", "float"):
        words = [value for word in words if word for value in _numbers(axis.kind, word)]
    elif axis.kind in ("int", "float", "bool"):
        words = [word for word in words if word != ""]
    if not words or words == [""] and axis.kind in ("choice", "file"):
        raise WrongValues("needs at least one value")
    if len(words) > MAX_VALUES:
        raise WrongValues(f"has {len(words):,} values; an axis has at most {MAX_VALUES:,}")
    return [_checked(axis, word, sources) for word in words]


def _words(typed: str) -> list[str]:
    if len(typed) > LONGEST:
        raise WrongValues(f"is longer than {LONGEST:,} characters")
    try:
        rows = list(csv.reader(io.StringIO(typed), skipinitialspace=True, strict=False))
    except csv.Error as error:
        raise WrongValues(f"cannot be read: {error}") from None
    return [word.strip() for row in rows for word in row]


def _expanded(expand: Callable[[Sequence[Any], Sources], Sequence[Any]], words: Sequence[Any],
              sources: Sources) -> list[Any]:
    try:
        return list(expand(words, sources))
    except ValueError as error:
        raise WrongValues(str(error)) from None


def _numbers(kind: str, word: str) -> Iterator[Any]:
    """The values of a range, or the word itself."""
    as_number = _int if kind == "int" else _float
    if found := _STEPPED[kind].fullmatch(word):
        yield from _stepped(as_number(found[1]), as_number(found[2]), as_number(found[3] or "1"), whole=kind == "int")
    elif found := _COUNTED[kind].fullmatch(word):
        yield from _counted(as_number(found[1]), as_number(found[2]), int(found[3]), whole=kind == "int")
    else:
        yield word


def _int(text: str) -> int:
    return int(re.sub(r"\s", "", text))


def _float(text: str) -> float:
    return float(re.sub(r"\s", "", text))


def _stepped(start: float, end: float, step: float, *, whole: bool) -> Sequence[float]:
    """As `range(start, end + 1, step)` for whole numbers, as numpy's `arange(start, end + step, step)` for others."""
    if not step:
        raise WrongValues("has a range with a step of 0, which has no end")
    count = math.ceil(((end + 1 if whole else end + step) - start) / step)
    if count < 1:
        raise WrongValues("has a range without values; (-1) behind one goes downwards")
    _limited(count)
    return [start + step * number if whole else round(start + step * number, 8) for number in range(count)]


def _counted(start: float, end: float, count: int, *, whole: bool) -> Sequence[float]:
    """As numpy's `linspace`; whole numbers are cut towards 0."""
    if count < 1:
        raise WrongValues("has a range of no values")
    _limited(count)
    each = [start + (end - start) * number / (count - 1) if count > 1 else start for number in range(count)]
    return [int(value) if whole else round(value, 8) for value in each]


def _limited(count: int) -> None:
    if count > MAX_VALUES:
        raise WrongValues(f"has a range of {count:,} values; an axis has at most {MAX_VALUES:,}")


def _checked(axis: Axis, word: Any, sources: Sources) -> Any:
    try:
        return axis.check(word, sources)
    except ValueError as error:
        named = str(error).startswith("'")      # a choice that is unknown is told with its name
        raise WrongValues(str(error) if named else f"'{axis.show(word)[:60]}' {error}") from None
