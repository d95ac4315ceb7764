"""A picture's settings text, key by key, as it stands there: for lists, filters and comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backend.image.infotext.line import EXACT
from backend.image.infotext.sampling import named
from backend.image.infotext.syntax import stated
from backend.request.request import FIELDS

_LABEL = 200        # characters of a checkpoint's or a sampler's name


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that two pictures do not share; "" where one's text does not tell it."""

    key: str
    a: str
    b: str


def entries(text: str) -> dict[str, str]:
    """Infotext key -> value, the prompts first among them; only what the text says. Never raises.

    A schedule that stands behind the sampler's name, as in AUTOMATIC1111 before 1.9, has its own key here.
    """
    found = {key: str(value) for key, value in stated(text).items() if value or key == "Prompt"}
    return found | (_sampling(found["Sampler"], found.get("Schedule type")) if "Sampler" in found else {})


def labels(text: str) -> tuple[str, str]:
    """The checkpoint's name (or its hash) and the sampler's label in a settings text; "" for what it does not tell."""
    found = entries(text)
    names = found.get("Model") or found.get("Model hash", ""), found.get("Sampler", "")
    model, sampler = (name.encode("utf-8", "replace").decode()[:_LABEL] for name in names)
    return model, sampler


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


def _sampling(sampler: str, schedule: str | None) -> dict[str, str]:
    told = named(sampler)
    return {"Sampler": told.sampler} | ({"Schedule type": schedule or told.schedule} if told.schedule else {})
