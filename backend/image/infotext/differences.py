"""What the settings texts of two pictures say differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backend.image.infotext.composing import EXACT
from backend.image.infotext.entries import entries
from backend.request.request import FIELDS


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that two pictures do not share; "" where one's text does not tell it."""

    key: str
    a: str
    b: str


def differences(a: str, b: str) -> tuple[list[Difference], int]:
    """What two settings texts say differently, in the field table's order, and how many keys they share.

    A key that one text leaves out because it is at its default counts as that default.
    """
    ours, theirs = entries(a), entries(b)
    pairs = [(key, *(_value(key, found) for found in (ours, theirs))) for key in _keys(ours | theirs)]
    differing = [Difference(*pair) for pair in pairs if pair[1] != pair[2]]
    return differing, len(pairs) - len(differing)


def _keys(found: dict[str, str]) -> Iterator[str]:
    table = dict.fromkeys(field.infotext for field in FIELDS.values() if field.infotext)
    return (key for key in table | found if key in found and key != EXACT)


def _value(key: str, found: dict[str, str]) -> str:
    if key in found or len(found) < 2:      # nothing but a prompt: a file that does not tell how it was made
        return found.get(key, "")
    fields = [field for field in FIELDS.values() if field.infotext == key and not field.needs]
    return "x".join(_written(field.default) for field in fields if not field.infotext_always)


def _written(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
