"""A model file by a name that a person types: exactly, or by a part that only it has."""

from __future__ import annotations

from collections.abc import Sequence

from backend.errors import EaselError
from backend.plots.axis import Sources

TOLD = 8                # names that an error lists


def named_file(kind: str, name: str, others: Sequence[str], sources: Sources) -> str:
    """The key of the file that is meant, or one of `others`, which are no files.

    Raises ValueError, the rest of a sentence that begins with the name: for none, for several, for a broken file.
    """
    word = name.strip()
    for other in others:
        if other.casefold() == word.casefold():
            return other
    try:
        found = sources.catalog.find(kind, word) if word else None
    except EaselError:
        found = None
    if found is None:
        files = [file for file in sources.catalog.listed(kind) if word and word.casefold() in file.key.casefold()]
        if len(files) > 1:
            raise ValueError(f"means several: {', '.join(file.key for file in files[:TOLD])}")
        if not files:
            there = ", ".join([*others, *(file.key for file in sources.catalog.listed(kind))][:TOLD])
            raise ValueError(f"is not there; there is: {there}" if there else "is not there")
        found = files[0]
    if found.problem:
        raise ValueError(found.problem)
    return found.key
