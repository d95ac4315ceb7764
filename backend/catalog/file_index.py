"""The files of one kind as one look through its folders found them, by all their names."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from backend.catalog.checkpoints import side_car_file
from backend.catalog.fingerprints import Fingerprint, fingerprint
from backend.catalog.folder_scan import changed, clean_name
from backend.catalog.model_file import ModelFile

MIN_HASH = 6                # hexadecimal digits that a name must give
TICK = 50_000_000           # ns within which a file system may give two changes one time
_TITLE_HASH = re.compile(r"\s*\[([0-9a-fA-F]+)\]$")
_HASH = re.compile(r"[0-9a-f]+")

State = tuple[Fingerprint | None, Fingerprint | None]


@dataclass(frozen=True, eq=False)
class Shelf:
    """Frozen; a new look, or a hash that becomes known, makes a new one.

    `folders` are all that were looked through with the time of their last change, `states` what each path was like.
    """

    files: tuple[ModelFile, ...] = ()
    folders: Mapping[str, int | None] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    taken: float = field(default_factory=time.monotonic)
    _names: dict[str, ModelFile] = field(init=False, repr=False)
    _exact: dict[str, ModelFile] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names: dict[str, ModelFile] = {}
        for file in self.files:
            for name in _names(file):
                names.setdefault(name.casefold(), file)
        given = Counter(_alias(file) for file in self.files)
        for file in self.files:
            if given[_alias(file)] == 1:        # what several files call themselves means none of them
                names.setdefault(_alias(file), file)
        exact = {file.title: file for file in reversed(self.files)} | {file.key: file for file in reversed(self.files)}
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_exact", exact)

    def named(self, name: str) -> ModelFile | None:
        """By key, title, hash, file name or alias, in this order; only key and title mind upper and lower case.

        A title from Windows has backslashes between its folders, and a key lacks the signs that its file may have.
        """
        wanted = self.aliases.get(name.casefold(), name)
        bare = _TITLE_HASH.sub("", wanted).casefold()
        found = self._exact.get(wanted) or self._hashed(wanted) or self._names.get(bare)
        return found or self._names.get(bare.replace("\\", "/")) or self._names.get(clean_name(bare))

    def has_changed(self) -> bool:
        """Whether names may have come or gone since this look."""
        return any(changed(folder) != then for folder, then in self.folders.items())

    def is_current(self, file: ModelFile) -> bool:
        """Whether a file, and what lies beside it, is as it was looked at."""
        return state(Path(file.path)) == self.states.get(file.path)

    def with_hash(self, path: str, sha256: str) -> Shelf:
        files = tuple(hashed(file, sha256) if file.path == path else file for file in self.files)
        return Shelf(files, self.folders, self.states, self.aliases, self.taken)

    def _hashed(self, name: str) -> ModelFile | None:
        told = _TITLE_HASH.search(name)
        digits = (told[1] if told else name).lower()
        if len(digits) < MIN_HASH or not _HASH.fullmatch(digits):
            return None
        return next((file for file in self.files if file.sha256.startswith(digits)
                     or file.facts.get("model_hash", "").startswith(digits)), None)


def state(path: Path) -> State:
    """What tells whether a model has to be looked at again: its weights, and the JSON file beside or in it."""
    return fingerprint(path), fingerprint(side_car_file(path))


def settled(folders: Mapping[str, int | None]) -> dict[str, int | None]:
    """The same times; none, so that it never fits again, for a folder that has changed in this very moment."""
    recent = time.time_ns() - TICK
    return {folder: -1 if when is not None and when > recent else when for folder, when in folders.items()}


def hashed(file: ModelFile, sha256: str) -> ModelFile:
    """The entry with its hash, which is a part of its title."""
    plain = _TITLE_HASH.sub("", file.title) if file.sha256 else file.title
    return replace(file, sha256=sha256, title=f"{plain} [{sha256[:10]}]" if sha256 else plain)


def _names(file: ModelFile) -> Iterable[str]:
    """Other spellings of a file's key."""
    name = _TITLE_HASH.sub("", file.title)
    base = name.rpartition("/")[2]
    whole = name.rpartition(".")[0] if file.single_file else name
    stem = whole.rpartition("/")[2]
    joined = whole.replace("/", "_")        # AUTOMATIC1111's `model_name`
    return filter(None, (file.key, name, base, stem, whole, joined))


def _alias(file: ModelFile) -> str:
    """What its maker called it, in lower case; "" for nothing."""
    return file.facts.get("alias", "").casefold()
