"""Records in a picture's text, one key each, as AUTOMATIC1111's ControlNet writes its units.

    ControlNet 0: "Model: canny, Weight: 0.8", ControlNet 1: "Model: depth"
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from backend.request.field import Field
from backend.request.record import Record
from backend.request.request import FIELDS, Request

KEPT: Mapping[str, Field] = FIELDS.where(lambda field: field.kind == "records" and bool(field.infotext))


def write_records(request: Request, as_text: Callable[[str, Any], str]) -> dict[str, str]:
    """Key -> text of every record of a request; `as_text(key, value)` writes one pair."""
    return {f"{field.infotext} {index}": ", ".join(_pairs(field, record, as_text))
            for field in KEPT.values() for index, record in enumerate(getattr(request, field.name))}


def read_records(params: Mapping[str, Any], pairs: Callable[[str], Iterable[tuple[str, str]]]) -> dict[str, list[Any]]:
    """Field name -> objects by the names of its record, from the keys of a text; `pairs` splits what one key holds."""
    found = {field.name: _records(field, params, pairs) for field in KEPT.values()}
    return {name: records for name, records in found.items() if records}


def is_record_key(key: str) -> bool:
    """Whether a key tells of a record."""
    return any(re.fullmatch(rf"{re.escape(field.infotext)} \d+", key) for field in KEPT.values())


def _pairs(field: Field, record: Record, as_text: Callable[[str, Any], str]) -> Iterator[str]:
    for number, (name, inner) in enumerate((field.record or {}).items()):
        if number == 0 or inner.infotext_always or record[name] != inner.default:
            yield as_text(_key(inner), record[name])


def _records(
    field: Field, params: Mapping[str, Any], pairs: Callable[[str], Iterable[tuple[str, str]]]
) -> list[dict[str, str]]:
    names = {_key(inner): name for name, inner in (field.record or {}).items()}
    found = []
    while isinstance(text := params.get(f"{field.infotext} {len(found)}"), str):
        found.append({names[key]: value for key, value in pairs(text) if key in names})
    return found


def _key(field: Field) -> str:
    return field.infotext or field.label
