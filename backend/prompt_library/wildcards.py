"""Wildcard files: `__colour__` is a line of `wildcards/colour.txt` in the data folder, or in a models folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from backend.prompt.variants import Option, Options, VariantError, parse_line
from backend.prompt_library.text_files import Watched, decoded
from backend.request.field import MAX_PROMPT

FOLDER = "wildcards"
ENDING = ".txt"
TOLD = 8                    # names that an error lists
MAX_LINES = 200_000         # of one file


class Wildcards:
    """The `wildcards` folders below `places`, looked through at each question; the first file of a name counts."""

    def __init__(self, places: Iterable[Path]) -> None:
        self._folders = tuple(place / FOLDER for place in places)
        self._files: Watched[Options | VariantError] = Watched(_parsed, Options(()))

    def names(self) -> list[str]:
        """What may stand between the underscores, sorted."""
        return sorted(self._look())

    def lines(self, name: str) -> Options:
        """The lines behind a name in any spelling, or behind all names that fit a pattern with `*` and `?`.

        VariantError when there is none.
        """
        known = self._look()
        wanted = name.strip().strip("/").casefold()
        found = [path for key, path in known.items() if fnmatchcase(key.casefold(), wanted)]
        if not found:
            some = ", ".join([*list(known)[:TOLD], *(["..."] if len(known) > TOLD else [])])
            raise VariantError(f"uses the wildcard __{name}__, which is not there: "
                               + (f"there is {some}" if known else f"put {name}{ENDING} into the folder data/{FOLDER}"))
        if len(found) == 1:
            return self._options(found[0])
        return Options(tuple(option for path in found for option in self._options(path).items))

    def _options(self, path: Path) -> Options:
        try:
            options = self._files.read(path)
        except OSError as error:
            reason = error.strerror or error
            raise VariantError(f"uses the wildcard file {path.name}, which cannot be read: {reason}") from error
        if isinstance(options, VariantError):
            raise VariantError(f"uses the wildcard file {path.name}: {options}")
        return options

    def _look(self) -> dict[str, Path]:
        """Names and files, as they lie on the disk now."""
        found: dict[str, Path] = {}
        for folder in self._folders:
            for here, subfolders, files in os.walk(folder):
                subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
                for file in sorted(files):
                    path = Path(here, file)
                    if path.suffix.lower() == ENDING and not file.startswith("."):
                        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        return found


def _parsed(data: bytes) -> Options | VariantError:
    """One option per line; blank lines and those that begin with # are none. The error is kept like a result."""
    stripped = (line.strip() for line in decoded(data).splitlines())
    lines = [line for line in stripped if line and not line.startswith("#")]
    if len(lines) > MAX_LINES:
        return VariantError(f"it has {len(lines):,} lines; at most {MAX_LINES:,} are read")
    if any(len(line) > MAX_PROMPT for line in lines):
        return VariantError(f"it has a line of more than {MAX_PROMPT:,} characters")
    try:
        return Options(tuple(_option(line) for line in lines))
    except VariantError as error:
        return error


def _option(line: str) -> Option:
    return parse_line("".join(c if c >= " " else " " for c in line))
