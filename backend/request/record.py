"""Records: the entries of a field that is a list of small tables of its own, such as one unit of several ControlNets.

    {"units": [{"model": "canny", "weight": 0.8}]}          in a request and in JSON
    {"units[0].model": "canny", "units[0].weight": 0.8}     on a page, where each value has a component of its own
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.request.field import Field

_PLACE = re.compile(r"(\w+)\[(\d{1,3})\]\.(\w+)")


class Record(Mapping[str, Any]):
    """Frozen values by the names of a field's own table; also as attributes: `unit.weight`."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", tuple(values.items()))

    def __getitem__(self, name: str) -> Any:
        return dict(self._values)[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in dict(self._values):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name}: a record does not change")

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        return f"Record({dict(self._values)!r})"

    def __reduce__(self) -> tuple[type[Record], tuple[dict[str, Any]]]:
        return Record, (dict(self._values),)


def place(field: str, index: int, name: str) -> str:
    """The name of one value of one record: "units[0].weight"."""
    return f"{field}[{index}].{name}"


def gathered(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of single records, by `place`, put together to lists of objects; all others as they are.

    Records between those that are named are empty objects: their values take the defaults.
    """
    found = {name: value for name, value in values.items() if not _PLACE.fullmatch(name)}
    parts: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in values.items():
        if (at := _PLACE.fullmatch(name)) and at[1] not in found:
            parts.setdefault(at[1], {}).setdefault(int(at[2]), {})[at[3]] = value
    lists = {field: [records.get(index, {}) for index in range(max(records) + 1)] for field, records in parts.items()}
    return found | lists


def spread(values: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """The other way round, for a form: each value of a list of records by its `place`.

    As many records as the field has at most; those that are not there have their defaults. A field whose records are
    listed stays a list, of objects. Seeds are text: a page's numbers have 53 bits.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        field = fields.get(name)
        if field is None or field.kind != "records" or field.listed:
            found[name] = str(value) if field and field.kind == "seed" else plain(value)
            continue
        for index in range(int(field.maximum or len(value))):
            record = value[index] if index < len(value) else {}
            found |= {place(name, index, key): record.get(key, inner.default)
                      for key, inner in (field.record or {}).items()}
    return found


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def frozen(value: Any) -> Any:
    """The inverse of `plain`: tuples and records, as a request holds them."""
    if isinstance(value, Mapping):
        return Record({name: frozen(inner) for name, inner in value.items()})
    return tuple(frozen(item) for item in value) if isinstance(value, list) else value
