"""Wildcard files: `__colour__` is a line of `wildcards/colour.txt` in the data folder, or in a models folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from posixpath import normpath

from backend.prompt.comments import MARK
from backend.prompt.variants import Options, VariantError, parse_line
from backend.prompt_library.structured_wildcards import ENDINGS, StructureError, structured
from backend.prompt_library.text_files import Watched, decoded
from backend.request.field import MAX_PROMPT

FOLDER = "wildcards"
ENDING = ".txt"
TOLD = 8                    # names that an error lists
MAX_LINES = 200_000         # of one file

Lines = Mapping[str, Options | VariantError]        # by the name of each wildcard that a file holds


class Wildcards:
    """The `wildcards` folders below `places`, looked through at each question; the first file of a name counts."""

    def __init__(self, places: Iterable[Path]) -> None:
        self._folders = tuple(place / FOLDER for place in places)
        self._files: Watched[Lines] = Watched(self._parsed, {})

    def names(self) -> list[str]:
        """What may stand between the underscores, sorted."""
        return sorted(self._look())

    def lines(self, name: str, folder: str = "") -> Options:
        """The lines behind a name in any spelling, or behind all names that fit a pattern with `*` and `?`.

        `folder`: of the wildcard file that uses the name, in which it is looked for as well, and then in any folder;
        `./` and `../` are only looked for from there. VariantError when there is none.
        """
        known = self._look()
        for wanted in _wanted(name, folder):
            if found := [(key, path) for key, path in known.items() if fnmatchcase(key.casefold(), wanted)]:
                each = [self._options(key, path) for key, path in found]
                return each[0] if len(each) == 1 else Options(tuple(option for one in each for option in one.items))
        some = ", ".join([*list(known)[:TOLD], *(["..."] if len(known) > TOLD else [])])
        raise VariantError(f"uses the wildcard __{name}__, which is not there: "
                           + (f"there is {some}" if known else f"put {name}{ENDING} into the folder data/{FOLDER}"))

    def _options(self, name: str, path: Path) -> Options:
        try:
            options = self._files.read(path).get(name, Options(()))
        except OSError as error:
            reason = error.strerror or error
            raise VariantError(f"uses the wildcard file {path.name}, which cannot be read: {reason}") from error
        if isinstance(options, VariantError):
            raise VariantError(f"uses the wildcard file {path.name}: {options}")
        return options

    def _look(self) -> dict[str, Path]:
        """Names and the files that hold them, as they lie on the disk now."""
        found: dict[str, Path] = {}
        for folder in self._folders:
            followed = {os.path.realpath(folder)}
            for here, subfolders, files in os.walk(folder, followlinks=True):
                subfolders[:] = sorted(name for name in subfolders
                                       if not name.startswith(".") and _is_entered(here, name, followed))
                for file in sorted(name for name in files if not name.startswith(".")):
                    path = Path(here, file)
                    for name in self._names_in(path, folder):
                        found.setdefault(name, path)
        return found

    def _names_in(self, path: Path, folder: Path) -> Iterable[str]:
        ending = path.suffix.lower()
        if ending == ENDING:
            return [_name(path, folder)]
        return self._files.of(path) if ending in ENDINGS else []

    def _parsed(self, data: bytes, path: Path) -> Lines:
        folder = next(folder for folder in self._folders if path.is_relative_to(folder))
        text = decoded(data)
        if path.suffix.lower() == ENDING:
            name = _name(path, folder)
            return {name: _read(text.splitlines(), name)}
        try:
            return {name: _read(lines, name) for name, lines in structured(text).items()}
        except StructureError as error:
            return {_name(path, folder): VariantError(str(error))}


def _is_entered(folder: str, name: str, followed: set[str]) -> bool:
    """Whether a folder is looked into: one behind a link, which may lead back, only once; notes it down."""
    path = os.path.join(folder, name)
    if not os.path.islink(path):
        return True
    target = os.path.realpath(path)
    new = target not in followed
    followed.add(target)
    return new


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _wanted(name: str, folder: str) -> Iterator[str]:
    """The names that may be meant, in small letters: from the top, from the folder in which it is used, from any."""
    plain = name.strip().casefold()
    relative = plain.startswith(("./", "../"))
    if not relative:
        yield plain.strip("/")
    if folder or relative:
        yield normpath(f"{folder.casefold()}/{plain}").strip("/")
    if not relative:
        yield f"*/{plain.strip('/')}"


def _read(lines: Iterable[str], name: str) -> Options | VariantError:
    """One option per line; blank lines and comments are none. The error is kept like a result."""
    stripped = (line.partition(MARK)[0].strip() for line in lines)
    kept = [line for line in stripped if line]
    if len(kept) > MAX_LINES:
        return VariantError(f"it has {len(kept):,} lines; at most {MAX_LINES:,} are read")
    if any(len(line) > MAX_PROMPT for line in kept):
        return VariantError(f"it has a line of more than {MAX_PROMPT:,} characters")
    folder = name.rpartition("/")[0]
    try:
        return Options(tuple(parse_line("".join(c if c >= " " else " " for c in line), folder) for line in kept))
    except VariantError as error:
        return error
