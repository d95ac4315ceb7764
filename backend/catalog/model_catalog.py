"""The one catalogue: which model files of every kind lie in the folders, found by a scan and asked for by name."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from backend.catalog.checkpoints import default_of
from backend.catalog.description import Description
from backend.catalog.families import UNKNOWN
from backend.catalog.file_index import Shelf, State, hashed, settled, state
from backend.catalog.folder_scan import Found, Walk, changed, clean_name
from backend.catalog.hashes import SHA256, Hashes, HashesInMemory
from backend.catalog.kinds import KINDS, Kind
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.errors import CheckpointError, NotFound

FRESH = 2.0             # seconds for which a look holds for a name that it did not find, if no folder has changed
MAX_SECONDS = 60.0      # that one scan reads headers; what is left is read by the next one
NOT_READ = "was not read yet, because there are so many files; refresh the list"
TOLD = 10               # names that an error lists

log = logging.getLogger(__name__)


class ModelCatalog:
    """All model files of the `models` folders, earlier folders first. Safe to use from many threads.

    A kind's folders are scanned when it is first asked for, on `scan`, and when a name is not known although the
    folders, or the time of the last look, say that it might be by now.
    """

    def __init__(self, models: Iterable[Path], hashes: Hashes | None = None, kinds: Mapping[str, Kind] = KINDS) -> None:
        self.models = tuple(Path(folder) for folder in models)
        self.kinds = kinds
        self.before_reading: Callable[[], None] = lambda: None      # called before a file's header is read
        self._hashes = hashes or HashesInMemory()
        self._shelves: dict[str, Shelf] = {}
        self._described: dict[tuple[str, str], tuple[State, Description | None]] = {}    # by kind and path
        self._read: dict[str, list[ModelFile]] = {}     # by kind, what the present look has found so far
        self._locks = {name: threading.RLock() for name in kinds}
        self._writing = threading.Lock()

    def scan(self, kind: str = CHECKPOINT) -> tuple[ModelFile, ...]:
        """Look through a kind's folders: all its files by key, broken ones with their `problem`. Never raises."""
        with self._locks[kind]:
            return self._scan(self.kinds[kind]).files

    def refresh(self) -> None:
        """Look through the folders of every kind that somebody has asked for."""
        for kind in list(self._shelves):
            self.scan(kind)

    def listed(self, kind: str = CHECKPOINT) -> tuple[ModelFile, ...]:
        """What lies in a kind's folders, by key; looked at again when their names have changed."""
        shelf = self._shelf(kind)
        return (self._after(kind, shelf) if shelf.has_changed() else shelf).files

    def so_far(self, kind: str) -> tuple[ModelFile, ...]:
        """What the look that goes on has found by now, what has a place of its own first; never waits."""
        return tuple({file.path: file for file in tuple(self._read.get(kind, ()))}.values())

    def usable(self, kind: str) -> tuple[ModelFile, ...]:
        """Those that Easel can use: none of a kind that it does not know how to use."""
        return tuple(file for file in self.listed(kind) if not file.problem) if self.kinds[kind].usable else ()

    def find(self, kind: str, name: str = "") -> ModelFile:
        """By key, title, hash (at least 6 digits), file name or alias; "" is the default checkpoint.

        Raises NotFound saying what there is; it names the field `checkpoint` where one was looked for.
        """
        name, shelf = name.strip(), self._shelf(kind)
        found = default_or_named(shelf, name)
        known = found and name and shelf.is_current(found)
        if not known and (found and name or _may_be_there(shelf)):
            shelf = self._after(kind, shelf)
            found = default_or_named(shelf, name)
        if found is None:
            raise NotFound(self._nothing(kind, name, shelf), field=CHECKPOINT if kind == CHECKPOINT else "")
        return found

    def hash_of(self, file: ModelFile) -> str:
        """The hash by which pictures name a file, read now where it is not known. Raises CheckpointError."""
        known = file.facts.get("model_hash") or file.sha256
        if known:
            return known
        digest = self.kinds[file.kind].digest(Path(file.path))
        self.remember_hash(file.kind, file.key, digest)
        return digest

    def remember_hash(self, kind: str, key: str, sha256: str) -> None:
        """Keep a hash that the worker has computed; unknown keys and what is no hash are ignored."""
        known = next((file for file in self._shelf(kind).files if file.key == key), None)
        if known is None or known.fingerprint is None or not SHA256.fullmatch(sha256):
            return
        if state(Path(known.path))[0] != known.fingerprint:
            return              # it has been replaced since it was listed
        self._hashes.remember(known.path, known.fingerprint, sha256)
        with self._writing:
            self._shelves[kind] = self._shelves[kind].with_hash(known.path, sha256)

    # ---- inside ----

    def _shelf(self, kind: str) -> Shelf:
        return self._shelves.get(kind) or self._after(kind, None)

    def _after(self, kind: str, seen: Shelf | None) -> Shelf:
        """A look made after `seen` was: by this thread, or by another one while this one waited."""
        with self._locks[kind]:
            present = self._shelves.get(kind)
            if present is None or seen is not None and present.taken <= seen.taken:
                present = self._scan(self.kinds[kind])
            return present

    def _scan(self, kind: Kind) -> Shelf:
        until, folders = time.monotonic() + MAX_SECONDS, {}
        files: dict[str, ModelFile] = {}
        states: dict[str, State] = {}
        self._read[kind.name] = read = list(self._in_own_places(kind, until))
        for found, own in self._search(kind, folders):
            path = str(found.path)
            present = state(found.path)
            key = next((key for key in found.candidate_keys() if key not in files), None)
            if key is None or path in states or present[0] is None:
                continue
            told = self._description(kind, found, present, until)
            if told and (own or not told.problem):
                states[path], files[key] = present, self._entry(kind, found, key, told, present)
                if told.problem != NOT_READ:
                    read.append(files[key])
        ordered = tuple(sorted(files.values(), key=lambda file: file.key.casefold()))
        shelf = Shelf(ordered, settled(folders), states, kind.aliases)
        with self._writing:
            self._shelves[kind.name] = shelf
        return shelf

    def _in_own_places(self, kind: Kind, until: float) -> Iterator[ModelFile]:
        """What needs no search, as the shipped model: it can be used before the folders were looked through."""
        for models in self.models:
            for found in _single(kind, models, {}):
                present = state(found.path)
                told = self._description(kind, found, present, until)
                if told and not told.problem and present[0]:
                    yield self._entry(kind, found, next(found.candidate_keys()), told, present)

    def _search(self, kind: Kind, folders: dict[str, int | None]) -> Iterator[tuple[Found, bool]]:
        """Models with whether they lie in a folder of the kind's own; `folders` takes what was looked through."""
        seen: set[tuple[int, int]] = set()
        for models in self.models:
            yield from ((found, True) for found in _single(kind, models, folders))
            for name in (*kind.folders, *kind.guest_folders):
                root = Path(os.path.normpath(models / name))
                walk = Walk(root, kind.endings, kind.marker, folders, seen)
                yield from ((found, name in kind.folders) for found in walk.found())

    def _description(self, kind: Kind, found: Found, present: State, until: float) -> Description | None:
        """What a file tells, read again only when it has changed."""
        place = kind.name, str(found.path)
        known = self._described.get(place)
        if known and known[0] == present:
            return known[1]
        if time.monotonic() > until:
            return Description(UNKNOWN, NOT_READ)
        self.before_reading()
        try:
            told = kind.describe(found)
        except CheckpointError as error:
            told = Description(UNKNOWN, str(error))
        except Exception as error:      # a border: what one file does to its reader costs that file
            log.exception("%s could not be read", found.path)
            told = Description(UNKNOWN, f"cannot be read ({type(error).__name__}); the log says more")
        self._described[place] = (present, told)
        return told

    def _entry(self, kind: Kind, found: Found, key: str, told: Description, present: State) -> ModelFile:
        file = ModelFile(
            kind=kind.name, key=key, path=str(found.path), title=clean_name(found.name),
            single_file=not found.is_folder, fingerprint=present[0], family=told.family, defaults=told.defaults,
            facts=told.facts, problem=told.problem,
        )
        return hashed(file, self._hashes.of(file.path, present[0]) if present[0] else "")

    def _nothing(self, kind: str, name: str, shelf: Shelf) -> str:
        row, keys = self.kinds[kind], [file.key for file in shelf.files]
        if not keys:
            what = f"a {row.endings[0]} file" if row.endings else f"a folder with a {row.marker}"
            return f"there is no {row.label} yet; put {what} into models/{row.folders[0]}"
        some = ", ".join(keys[:TOLD]) + (f" and {len(keys) - TOLD} more" if len(keys) > TOLD else "")
        return f"'{clean_name(name)[:80]}' is not in the list; there is: {some}" if name else (
            f"none of these can be used: {some}")


def _may_be_there(shelf: Shelf) -> bool:
    """Whether a file that the look did not find may have come since."""
    return time.monotonic() - shelf.taken > FRESH or shelf.has_changed()


def default_or_named(shelf: Shelf, name: str) -> ModelFile | None:
    """The file of that name; for "" the default checkpoint."""
    return shelf.named(name) if name else default_of(shelf.files)


def _single(kind: Kind, models: Path, folders: dict[str, int | None]) -> Iterator[Found]:
    for name in kind.single:
        path = models / name
        folders[str(path)] = changed(path)
        if os.path.isfile(path / kind.marker):  # unlike Path.is_file, False where looking is forbidden
            yield Found(path, name, models.name, is_folder=True)
