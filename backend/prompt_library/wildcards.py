"""Wildcard files: `__colour__` is a line of `wildcards/colour.txt` in the data folder, or in a models folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from backend.prompt.variants import Option, Options, VariantError, parse_line
from backend.prompt_library.text_files import Watched, decoded

FOLDER = "wildcards"
ENDING = ".txt"
TOLD = 8                    # names that an error lists


class Wildcards:
    """The `wildcards` folders below `places`, looked through at each question; the first file of a name counts."""

    def __init__(self, places: Iterable[Path]) -> None:
        self._folders = tuple(place / FOLDER for place in places)
        self._files: Watched[Options] = Watched(_options, Options(()))

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
            return self._files.of(found[0])
        return Options(tuple(option for path in found for option in self._files.of(path).items))

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


def _options(data: bytes) -> Options:
    """One option per line; blank lines and those that begin with # are none. Raises VariantError."""
    lines = (line.strip() for line in decoded(data).splitlines())
    return Options(tuple(_option(line) for line in lines if line and not line.startswith("#")))


def _option(line: str) -> Option:
    return parse_line("".join(c if c >= " " else " " for c in line))
