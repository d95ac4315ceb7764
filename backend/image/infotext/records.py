"""Records in a picture's text: one key each, as AUTOMATIC1111's ControlNet writes its units, or one for each value.

    ControlNet 0: "Model: canny, Weight: 0.8", ControlNet 1: "Model: depth"
    ADetailer model: face, ADetailer confidence: 0.3, ADetailer model 2nd: hand, ADetailer confidence 2nd: 0.3
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from backend.image.infotext.older_units import with_units_renewed
from backend.request.field import Field
from backend.request.record import Record
from backend.request.request import FIELDS, Request

KEPT: Mapping[str, Field] = FIELDS.where(lambda field: field.kind == "records" and bool(field.infotext))

ENDINGS = ("", " 2nd", " 3rd", *(f" {number}th" for number in range(4, 21)))     # of the keys of flat records
MOST = 100              # records that are read where a field has no limit


def write_records(request: Request, as_text: Callable[[str, Any], str]) -> dict[str, str]:
    """Key -> text of every record of a request that is on; `as_text(key, value)` writes one pair."""
    return {f"{field.infotext} {index}": ", ".join(_pairs(field, record, as_text))
            for field in KEPT.values() if not field.flat for index, record in enumerate(getattr(request, field.name))
            if not field.switch or record[field.switch]}


def write_flat_records(request: Request) -> dict[str, Any]:
    """Key -> value for each value of the records that have no key of their own, where a text tells it."""
    return {key: value
            for field in KEPT.values() if field.flat for index, record in enumerate(getattr(request, field.name))
            if not field.switch or record[field.switch]
            for name, inner in _told_of(field, record)
            for key, value in _flat_pairs(field, inner, index, record[name])}


def read_records(params: Mapping[str, Any], pairs: Callable[[str], Iterable[tuple[str, str]]]) -> dict[str, list[Any]]:
    """Field name -> objects by the names of its record, from the keys of a text; `pairs` splits what one key holds."""
    params = with_units_renewed(params)
    found = {field.name: _flat_records(field, params) if field.flat else _records(field, params, pairs)
             for field in KEPT.values()}
    return {name: records for name, records in found.items() if records}


def told(field: Field, records: Sequence[Record]) -> list[Mapping[str, Any]]:
    """What a text can tell of records: nothing of those that are off, and no pictures."""
    kept = _told(field)
    return [{name: record[name] for name in kept} if not field.switch or record[field.switch] else {}
            for record in records]


def is_record_key(key: str) -> bool:
    """Whether a key tells of a record."""
    return any(key.startswith(f"{field.infotext} ") if field.flat else
               re.fullmatch(rf"{re.escape(field.infotext)} \d+", key) for field in KEPT.values())


def key_of(field: Field, index: int) -> str:
    """How a text calls one record: `ControlNet 1`, and `ADetailer 2nd` where it has no key of its own."""
    return f"{field.infotext}{ENDINGS[index]}" if field.flat else f"{field.infotext} {index}"


def _told(field: Field) -> dict[str, Field]:
    """The fields of a record that its text tells: not the switch, because only those that are on are told at all."""
    return {name: inner for name, inner in (field.record or {}).items()
            if inner.kind not in ("picture", "pictures") and name != field.switch}


def _pairs(field: Field, record: Record, as_text: Callable[[str, Any], str]) -> Iterator[str]:
    yield from (as_text(inner.infotext or inner.label, record[name]) for name, inner in _told_of(field, record))


def _told_of(field: Field, record: Record) -> Iterator[tuple[str, Field]]:
    """The fields of which a text tells the record's value."""
    for number, (name, inner) in enumerate(_told(field).items()):
        if number == 0 or inner.infotext_always or record[name] != inner.default:
            yield name, inner


def _flat_pairs(field: Field, inner: Field, index: int, value: Any) -> Iterator[tuple[str, Any]]:
    if inner.infotext_flag:
        yield _flat_key(field, inner.infotext_flag, index), True
    yield _flat_key(field, inner.infotext or inner.label, index), value


def _flat_key(field: Field, name: str, index: int) -> str:
    return f"{field.infotext} {name}{ENDINGS[index]}"


def _counts(field: Field, inner: Field, index: int, params: Mapping[str, Any]) -> bool:
    """Texts of older pictures have no flags."""
    flag = params.get(_flat_key(field, inner.infotext_flag, index)) if inner.infotext_flag else None
    return flag is None or str(flag).casefold() != "false"


def _flat_records(field: Field, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As `_records`; one is there when its first value is told."""
    found: list[dict[str, Any]] = []
    for index in range(int(field.maximum or len(ENDINGS))):
        keys = {name: _flat_key(field, inner.infotext or inner.label, index) for name, inner in _told(field).items()
                if _counts(field, inner, index, params)}
        told = {name: params[key] for name, key in keys.items() if key in params}
        if next(iter(keys)) in told:
            found += [{}] * (index - len(found)) + [told | ({field.switch: True} if field.switch else {})]
    return found


def _records(
    field: Field, params: Mapping[str, Any], pairs: Callable[[str], Iterable[tuple[str, str]]]
) -> list[dict[str, Any]]:
    """Up to the last that there is; those between that are not told take their defaults, and are off."""
    names = {key.casefold(): name for name, inner in _told(field).items() for key in (inner.label, inner.infotext)}
    texts = [params.get(f"{field.infotext} {index}") for index in range(field.places or MOST)]
    found: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        if isinstance(text, str):
            told = {names[key.casefold()]: value for key, value in pairs(text) if key.casefold() in names}
            found += [{}] * (index - len(found)) + [told | ({field.switch: True} if field.switch else {})]
    return found
