"""Tags to choose from while typing: CSV files in the format of the extension a1111-sd-webui-tagcomplete.

    name,category,count,"alias,alias"

`data/tags.csv` and `data/tags/*.csv`. Files of some 100,000 lines are searched within milliseconds: all names and
aliases stand in one string, the most used tag first, in which every hit of `str.find` is already in its place.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path

from rapidfuzz import fuzz, process

from backend.prompt_library.text_files import Watched, decoded

MAX_LINES = 500_000         # of one file that are read
MAX_LETTERS = 20_000        # of one line
ALIKE = 80                  # per cent of letters in common, so that a tag may be meant by a misspelt word
SHORTEST = 5                # letters of such a word

_LINE, _ALIAS, _WORD = "\n", "\t", "_"      # before a name, before an alias, before a later word of either


@dataclass(frozen=True, slots=True)
class Tag:
    """`name` as the file has it, with underscores; `alias` is the one that was typed, if one was."""

    name: str
    category: int
    count: int
    aliases: tuple[str, ...] = ()
    alias: str = ""


class Tags:
    """The tag files of a data folder; read when first asked for, and again when they change."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._files: Watched[_Index] = Watched(lambda data, path: _Index(data), _Index(b""))

    def search(self, text: str, limit: int) -> list[Tag]:
        """Tags of which the name or an alias begins so, then those with a later word that does, most used first."""
        wanted = _key(text)
        found = [tag for file in self._paths() for tag in self._files.of(file).search(wanted, limit)]
        distinct: dict[str, Tag] = {}
        for tag in sorted(found, key=lambda tag: _rank(tag, wanted)):
            distinct.setdefault(tag.name, tag)
        return list(distinct.values())[:limit]

    def alike(self, text: str, limit: int) -> list[Tag]:
        """Tags that are spelt nearly like the text, the nearest first; for one that `search` finds nothing for."""
        wanted = _key(text)
        if len(wanted) < SHORTEST:
            return []
        found = [match for file in self._paths() for match in self._files.of(file).alike(wanted, limit)]
        distinct = {tag.name: tag for _, tag in sorted(found, key=lambda match: (-match[0], -match[1].count))}
        return list(distinct.values())[:limit]

    def _paths(self) -> list[Path]:
        return [self._data / "tags.csv", *sorted((self._data / "tags").glob("*.csv"))]


class _Index:
    """One file's rows, the most used tag first, and the string that is searched. Tags are made of what is found."""

    def __init__(self, data: bytes) -> None:
        self._rows = sorted(_rows(decoded(data)), key=lambda row: -_number(row[2]))
        lines = _LINE.join(f"{name}{_ALIAS}{aliases.replace(', ', ',').replace(',', _ALIAS)}"
                           for name, _, _, aliases in self._rows)
        self._text = f"{_LINE}{lines}{_LINE}".casefold().replace(" ", _WORD)
        lengths = (1 + len(line) for line in self._text.split(_LINE)[1:-1])
        self._starts = list(accumulate(lengths, initial=0))

    def search(self, wanted: str, limit: int) -> list[Tag]:
        numbers: dict[int, None] = {}
        if wanted not in self._text:
            return []           # one look instead of three: most of what people type is no tag
        for before in ((_LINE, _ALIAS), (_WORD,)):
            hits = sorted({number for mark in before for number in self._hits(mark + wanted, limit)})
            numbers |= dict.fromkeys(hits[: limit - len(numbers)])
            if len(numbers) >= limit:
                break
        return [_tag(self._rows[number], wanted) for number in numbers]

    def alike(self, wanted: str, limit: int) -> Iterator[tuple[float, Tag]]:
        """How alike, in per cent, and the tag."""
        found = process.extract(wanted, self._names, scorer=fuzz.ratio, processor=None, score_cutoff=ALIKE, limit=limit)
        return ((score, _tag(self._rows[number], wanted)) for _, score, number in found)

    @cached_property
    def _names(self) -> list[str]:
        return [_key(name) for name, *_ in self._rows]

    def _hits(self, piece: str, limit: int) -> Iterator[int]:
        """Numbers of the first `limit` tags that hold the piece."""
        at = self._text.find(piece)
        while at >= 0 and limit:
            number = bisect_right(self._starts, at) - 1
            yield number
            limit -= 1
            at = self._text.find(piece, self._starts[number + 1])


def _rows(text: str) -> Iterator[tuple[str, str, str, str]]:
    """The tags of the first MAX_LINES lines; a line that is too long for a tag is passed over."""
    lines = (line for line in islice(io.StringIO(text, newline=""), MAX_LINES) if len(line) <= MAX_LETTERS)
    rows = csv.reader(lines, skipinitialspace=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            continue            # one line that is no CSV: the others are read
        if row is None:
            return
        name, category, count, aliases, *_ = *row, "", "", "", ""
        name = name.strip()
        if name and name[0] != "#" and not (name == "name" and not count.isdecimal()):
            yield name, category, count, aliases.replace("\n", " ")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _tag(row: tuple[str, str, str, str], wanted: str) -> Tag:
    name, category, count, listed = row
    aliases = tuple(filter(None, map(str.strip, listed.split(","))))
    alias = "" if _fits(name, wanted) else next((alias for alias in aliases if _fits(alias, wanted)), "")
    return Tag(name, _number(category), _number(count), aliases, alias)


def _key(text: str) -> str:
    """As it is compared: small letters, words joined by underscores."""
    return "_".join(text.casefold().replace("_", " ").split())


def _fits(name: str, wanted: str) -> bool:
    return (_WORD + _key(name)).find(_WORD + wanted) >= 0


def _rank(tag: Tag, wanted: str) -> tuple[bool, int]:
    """Sorts what begins so before what has it later, and the most used first."""
    begins = any(_key(name).startswith(wanted) for name in (tag.name, *tag.aliases))
    return not begins, -tag.count
