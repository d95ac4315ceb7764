"""A finished picture's request as its settings text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.image.extras_text import infotext_values
from backend.image.infotext.composing import ORDER, composed, number, pair
from backend.image.infotext.parsing import parse
from backend.image.infotext.reading import to_values
from backend.image.infotext.records import told
from backend.image.infotext.syntax import appended
from backend.request.choices import EXTRAS
from backend.request.request import FIELDS, Request
from backend.version import VERSION

__all__ = ["ORDER", "write"]


def write(request: Request, facts: Mapping[str, Any] | None = None) -> str:
    """The infotext of one picture's request; `facts` are keys that only the worker knows, such as "Model hash".

    Fields at their default are left out unless the table says otherwise. `read` gives back every field that has an
    infotext key, except that a checkpoint comes back as its "Model hash" where `facts` has one, and that what changes
    nothing (a variation seed without strength, ENSD where no noise is drawn) is left out.
    """
    facts = facts or {}
    if request.process == EXTRAS:
        return _with_afterwards(request, facts)
    lost = {name: value for name, value in _lost(request).items() if name != "checkpoint" or "Model hash" not in facts}
    return composed(request, facts, lost)


def _with_afterwards(request: Request, facts: Mapping[str, Any]) -> str:
    """The source's own text, with AUTOMATIC1111's keys of what Extras did behind it.

    AUTOMATIC1111 keeps them in a chunk of their own, where its reader does not look.
    """
    pairs = [pair(key, number(value)) for key, value in (infotext_values(request) | dict(facts)).items()]
    text = request.source_text.strip()
    if whole := appended(text, ", ".join(pairs)):
        return whole
    return "\n".join(filter(None, [text, ", ".join(["Process: Extras", *pairs, f"Version: Easel {VERSION}"])]))


def _lost(request: Request) -> dict[str, Any]:
    """Fields that the plain text would not give back as they are."""
    plain = to_values(parse(composed(request, {}))).values
    fields = [field for field in FIELDS.values() if field.infotext and not request.idle(field)]
    exact = {field.name: getattr(request, field.name) for field in fields}
    found = {name: plain.get(name, FIELDS[name].default) for name in exact}
    return {name: value for name, value in exact.items() if _told(name, found[name]) != _told(name, value)}


def _told(name: str, value: Any) -> Any:
    """What a text promises to tell of a value."""
    return told(FIELDS[name], value) if FIELDS[name].kind == "records" else value
