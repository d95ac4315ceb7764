"""Wildcards in one YAML or JSON file: lists of lines below names, which make `__clothes/formal__` of nested ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

ENDINGS = (".yaml", ".yml", ".json")
MOST_BYTES = 2 << 20        # of one file: YAML is slow to read
MOST_ENTRIES = 200_000      # of one file, repetitions by reference counted each time
DEEPEST = 20                # names within names


class StructureError(ValueError):
    """The file cannot be read; the message says why."""


def structured(text: str) -> dict[str, list[str]]:
    """Name -> its lines. Entries that are neither text nor number are left out. Raises StructureError."""
    if len(text) > MOST_BYTES:
        raise StructureError(f"it is larger than {MOST_BYTES >> 20} MiB")
    try:
        tree = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))    # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise StructureError(f"it is no valid YAML: {str(error).splitlines()[0][:100]}") from None
    found: dict[str, list[str]] = {}
    for number, (name, line) in enumerate(_entries(tree, ())):
        if number >= MOST_ENTRIES:
            raise StructureError(f"it has more than {MOST_ENTRIES:,} entries")
        found.setdefault("/".join(name), []).append(line)
    return found


def _entries(tree: Any, name: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if len(name) > DEEPEST:
        raise StructureError(f"it has names more than {DEEPEST} deep")
    if isinstance(tree, Mapping):
        for key, below in tree.items():
            yield from _entries(below, (*name, str(key).strip()))
    elif isinstance(tree, list):
        for below in tree:
            yield from _entries(below, name) if isinstance(below, Mapping) else _line(below, name)
    else:
        yield from _line(tree, name)


def _line(value: Any, name: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if name and isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
        yield name, str(value)
