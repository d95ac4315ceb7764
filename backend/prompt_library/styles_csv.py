"""Saved styles: AUTOMATIC1111's `styles.csv`, read and written.

`data/styles.csv` is everybody's. Where people log in each has a file more, `data/styles/<name>.csv`, which takes what
they save, and of two styles of one name their own counts. Both may be edited by hand while Easel runs.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from backend.errors import InvalidRequest, NotAllowed, NotFound
from backend.files.atomic_write import write_atomically
from backend.files.regular_files import read_regular
from backend.files.write_errors import Purpose
from backend.prompt_library.text_files import MAX_BYTES, Watched, decoded
from backend.request.field import clean
from backend.request.request import FIELDS
from backend.store.view_types import LOCAL, User

COLUMNS = ("name", "prompt", "negative_prompt")
OLD_PROMPT = "text"             # what the column of prompts was called before there were negative ones
MAX_NAME = 200
COMMENT = "#"
SAVING = Purpose("The styles could not be saved", "save them again")
MAX_LINES = 50_000          # of one file
MAX_CELLS = 100_000         # in one line
_SEPARATOR = re.compile(r"sep=([,;\t|])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Style:
    """A piece of prompt with a name; `shared` ones the user cannot change."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    shared: bool = False

    def as_theirs(self) -> dict[str, str]:
        """AUTOMATIC1111's three keys."""
        return {column: getattr(self, column) for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV file as it is: all columns and all rows, also those that are no styles."""

    header: tuple[str, ...] = COLUMNS
    rows: tuple[tuple[str, ...], ...] = ()
    delimiter: str = ","

    @property
    def is_readable(self) -> bool:
        return self._place("name") is not None

    def styles(self) -> Iterator[Style]:
        """Rows that are styles, in their order: those with a name that does not begin with #."""
        for row in self.rows:
            name, prompt, negative = (self._cell(row, column) for column in COLUMNS)
            if name and not name.startswith(COMMENT):
                yield Style(name, prompt, negative)

    def changed(self, style: Style, was: str) -> Sheet:
        """With the style in the row of the one called `was`, or in a new one; no other row of its name is left."""
        wide = self._with_all_columns()
        gone = {style.name, was} - {""}
        names = [wide._cell(row, "name") for row in wide.rows]
        place = names.index(was) if was in gone and was in names else len(names)
        before, former, after = wide.rows[:place], wide.rows[place:place + 1], wide.rows[place + 1:]
        others = [tuple(row for row in rows if wide._cell(row, "name") not in gone) for rows in (before, after)]
        return replace(wide, rows=(*others[0], wide._filled(former[0] if former else (), style), *others[1]))

    def _filled(self, row: tuple[str, ...], style: Style) -> tuple[str, ...]:
        cells = [*row, *[""] * (len(self.header) - len(row))]
        for column in COLUMNS:
            cells[self._place(column) or 0] = getattr(style, column)
        return tuple(cells)

    def without(self, name: str) -> Sheet:
        return replace(self, rows=tuple(row for row in self.rows if self._cell(row, "name") != name))

    def _with_all_columns(self) -> Sheet:
        place = self._place("prompt")
        header = [*self.header]
        if place is not None:
            header[place] = "prompt"
        known = [column.strip().casefold() for column in header]
        return replace(self, header=(*header, *(column for column in COLUMNS if column not in known)))

    def _place(self, column: str) -> int | None:
        known = [title.strip().casefold() for title in self.header]
        found = [title for title in (column, *([OLD_PROMPT] if column == "prompt" else [])) if title in known]
        return known.index(found[0]) if found else None

    def _cell(self, row: tuple[str, ...], column: str) -> str:
        place = self._place(column)
        return row[place].replace("\r\n", "\n") if place is not None and place < len(row) else ""


def read(data: bytes) -> Sheet:
    """The file, also an empty one. One that is no CSV, is too long, or has no names, is not `is_readable`."""
    text, delimiter = _delimited(decoded(data))
    if text.count("\n") > MAX_LINES or any(line.count(delimiter) > MAX_CELLS for line in text.splitlines()):
        return UNREADABLE
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=delimiter)
    try:
        rows = [tuple(row) for row in reader if row]
    except csv.Error:
        return UNREADABLE
    return Sheet(rows[0], tuple(rows[1:]), delimiter) if rows else Sheet()


def _delimited(text: str) -> tuple[str, str]:
    """The table without Excel's line `sep=;`, and what parts its cells: told by that line, else by the titles.

    Where a comma is part of numbers Excel writes semicolons; tabs come from copied tables.
    """
    first, _, rest = text.partition("\n")
    told = _SEPARATOR.fullmatch(first.strip("\r\""))
    if told:
        return rest, told[1]
    counts = {delimiter: first.count(delimiter) for delimiter in (",", ";", "\t")}
    return text, max(counts, key=lambda delimiter: counts[delimiter])


def written(sheet: Sheet) -> bytes:
    """As AUTOMATIC1111 writes it, except that all texts are quoted: it would drop spaces at their beginning."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, delimiter=sheet.delimiter)
    quoted = csv.writer(text, quoting=csv.QUOTE_ALL, delimiter=sheet.delimiter)
    plain.writerow(sheet.header)
    quoted.writerows(sheet.rows)
    return text.getvalue().encode("utf-8-sig")


class Unreadable(str):
    """Why the styles of a file cannot be read."""


def _styles(data: bytes, path: Path) -> tuple[Style, ...] | Unreadable:
    sheet = read(data)
    if not sheet.is_readable:
        log.warning("%s is left out: %s", path, NO_TABLE)
    return tuple(sheet.styles()) if sheet.is_readable else Unreadable(NO_TABLE)


UNREADABLE = Sheet(())
NO_TABLE = f"it needs a first line that says name,prompt,negative_prompt, and at most {MAX_LINES:,} lines"
log = logging.getLogger(__name__)


class Styles:
    """The style files of a data folder. Thread-safe."""

    def __init__(self, data: Path) -> None:
        self._shared, self._folder = data / "styles.csv", data / "styles"
        self._kept: Watched[tuple[Style, ...] | Unreadable] = Watched(_styles, ())
        self._lock = threading.Lock()

    def of(self, user: User) -> list[Style]:
        """Everybody's and the user's own, by name in the order of the files."""
        own = self._file(user)
        mine = {style.name: style for style in self._in(own)}
        if own == self._shared:
            return list(mine.values())
        everybodys = (replace(style, shared=True) for style in self._in(self._shared))
        return list(({style.name: style for style in everybodys} | mine).values())

    def problems(self, user: User) -> list[str]:
        """A sentence for each of these files that is there and cannot be read."""
        files = dict.fromkeys((self._shared, self._file(user)))
        found = ((file.relative_to(self._shared.parent), self._trouble(file)) for file in files)
        return [f"The styles in data/{file.as_posix()} are left out: {why}." for file, why in found if why]

    def _in(self, file: Path) -> tuple[Style, ...]:
        kept = self._kept.of(file)
        return () if isinstance(kept, Unreadable) else kept

    def _trouble(self, file: Path) -> str:
        """Why a file cannot be read; "" for one that can, and for none."""
        try:
            kept = self._kept.read(file)
        except FileNotFoundError:
            return ""
        except OSError as error:
            return str(error.strerror)
        return kept if isinstance(kept, Unreadable) else ""

    def keep(self, style: Style, user: User, was: str = "") -> None:
        """Save a style as the user's; `was` is the name it had. InvalidRequest, NotFound, NotAllowed, StorageError."""
        style = _checked(style)
        with self._lock:
            if was and was not in {known.name for known in self.of(user)}:
                raise NotFound(f"There is no style '{shown(was)}' any more.")
            if style.name != was and style.name in {known.name for known in self._writable(user).styles()}:
                raise InvalidRequest(f"'{style.name}' is the name of another style already", field="name")
            self._write(user, self._writable(user).changed(style, was))

    def drop(self, name: str, user: User) -> None:
        """Delete one of the user's own. NotFound, NotAllowed for everybody's, StorageError."""
        with self._lock:
            known = {style.name: style for style in self.of(user)}
            if name not in known:
                raise NotFound(f"There is no style '{shown(name)}'.")
            if known[name].shared:
                raise NotAllowed("This style is everybody's; it can only be changed in data/styles.csv.")
            self._write(user, self._writable(user).without(name))

    def _writable(self, user: User) -> Sheet:
        try:
            sheet = read(read_regular(self._file(user), MAX_BYTES))
        except FileNotFoundError:
            return Sheet()
        except OSError as error:
            raise NotAllowed(f"The file of styles cannot be read: {error.strerror}.") from error
        if not sheet.is_readable:
            raise NotAllowed(f"The file of styles cannot be read: {NO_TABLE}. Repair or remove it first, so that "
                             "nothing is lost.")
        return sheet

    def _write(self, user: User, sheet: Sheet) -> None:
        """InvalidRequest where the file could not be read again."""
        data = written(sheet)
        if len(data) > MAX_BYTES or not read(data).is_readable:
            raise InvalidRequest("The file of styles would be too long to be read again: make this style shorter, or "
                                 "delete others first.")
        write_atomically(self._file(user), data, SAVING)

    def _file(self, user: User) -> Path:
        if user == LOCAL:
            return self._shared
        return self._folder / f"{user.folder}.csv"


def shown(name: str) -> str:
    """A name as an error may say it."""
    return name[:80].encode("utf-8", "replace").decode("utf-8")


def _checked(style: Style) -> Style:
    texts = {}
    for column in COLUMNS:
        try:
            texts[column] = clean(FIELDS["prompt"], getattr(style, column))
        except ValueError as error:
            raise InvalidRequest(str(error), field=column) from error
    name = texts["name"].strip()
    if not name or len(name) > MAX_NAME or name.startswith(COMMENT) or "\n" in name:
        raise InvalidRequest(f"must be one line of 1 to {MAX_NAME} characters that does not begin with #", field="name")
    return Style(**texts | {"name": name})
