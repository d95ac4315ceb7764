"""Pictures of other programs, taken into the history: checked, copied below the owner's folder, with a row each.

A file is kept byte for byte, because its metadata is what it is taken in for and a JPEG would lose by being written
again. That is safe: it is decoded whole first, named by its own format, and served as a picture that runs nothing.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, count
from pathlib import Path, PurePosixPath

from backend.errors import UserError
from backend.files.atomic_write import write_atomically
from backend.files.write_errors import Purpose
from backend.image import save, upload_decoding
from backend.image.batch_names import component
from backend.store.history import History, PictureFile
from backend.store.picture_files import Pictures, lies_below
from backend.store.picture_rebuild import described
from backend.store.tables import now

FOLDER = "imported"
MAX_DEPTH = 6           # folders that are kept of a file's path, counted from the file
IMPORTING = Purpose("The picture could not be imported", "import it again")
EARLIEST = 2000         # a year before this in a folder's name is no date of a picture
_DAY = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)")
_CLOCK = re.compile(r"(\d\d)(\d\d)(\d\d)-[0-9a-f]{8}-\d{3,}-")     # how Easel's own names begin

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Imported:
    """A picture of the history; `known` when it was there before."""

    id: str
    known: bool


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far the import of a folder has come."""

    total: int
    taken: int = 0
    known: int = 0
    unreadable: int = 0

    @property
    def processed(self) -> int:
        return self.taken + self.known + self.unreadable

    def __str__(self) -> str:
        return (f"{self.processed:,} of {self.total:,} files; {self.taken:,} pictures taken, "
                f"{self.known:,} were known, {self.unreadable:,} unreadable")


class Imports:
    """Takes pictures in, each content once per owner. Thread-safe."""

    def __init__(self, history: History, pictures: Pictures) -> None:
        self._history, self._pictures = history, pictures
        self._one_at_a_time = threading.Lock()      # two equal files at once would both be new

    def take(self, data: bytes, name: str, owner: str, modified: datetime | None = None) -> Imported:
        """Keep a PNG, JPEG or WebP. `name` is its path where it came from, `modified` the time of its last change.

        Deleted pictures come back; a known one whose file is missing gets it back. Raises UserError when it cannot be
        read, StorageError when it cannot be written.
        """
        upload_decoding.check(data)
        request, file = described(data, "")
        with self._one_at_a_time:
            if known := self._known(file, data, owner):
                return Imported(known, True)
            file = replace(file, path=str(self._place(file, name, owner)))
            created = created_by(name, modified)
            self._write(file, data, created)
            return Imported(self._history.adopt(owner, created, request.of_image(0), file), False)

    def folder(self, folder: Path, owner: str) -> Iterator[ImportProgress]:
        """Take in every picture below `folder`, telling after each how far it is. Unreadable ones are logged.

        Raises StorageError when one cannot be written.
        """
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in save.FORMATS and path.is_file())
        tally = ImportProgress(len(files))
        yield tally
        for path in files:
            try:
                taken = self._take_file(path, folder, owner)
                tally = replace(tally, taken=tally.taken + (not taken.known), known=tally.known + taken.known)
            except (UserError, OSError) as error:
                log.warning("%s cannot be imported: %s", path, error)
                tally = replace(tally, unreadable=tally.unreadable + 1)
            yield tally

    def _take_file(self, path: Path, folder: Path, owner: str) -> Imported:
        status = path.stat()
        if status.st_size > upload_decoding.MAX_BYTES:
            raise UserError(f"The file is larger than {upload_decoding.MAX_BYTES // 2**20} MiB.")
        name = path.relative_to(folder.parent).as_posix()
        return self.take(path.read_bytes(), name, owner, datetime.fromtimestamp(status.st_mtime, UTC))

    def _known(self, file: PictureFile, data: bytes, owner: str) -> str:
        """The id of a picture with this content, or "". Its file is put back where it is missing."""
        for image, path, sure in self._history.same(owner, file):
            if not lies_below(path):
                continue
            place = self._pictures.outputs / path
            if sure and self._pictures.is_missing(path):
                write_atomically(place, data, IMPORTING)
            if sure or _has(place, file.digest):
                return image
        return ""

    def _place(self, file: PictureFile, name: str, owner: str) -> PurePosixPath:
        """A free path; one with this very content and no row is left from a crash and is free, too."""
        *folders, last = safe_parts(name)
        folder, stem = PurePosixPath(self._pictures.folder_of(owner), FOLDER, *folders), PurePosixPath(last).stem
        numbered = (f"{stem}-{file.digest[:8]}-{number}" for number in count(2))
        wanted = (folder / f"{name}.{file.format}" for name in chain((stem, f"{stem}-{file.digest[:8]}"), numbered))
        return next(path for path in wanted if self._history.is_free("", 0, str(path)) and self._is_free(path, file))

    def _is_free(self, path: PurePosixPath, file: PictureFile) -> bool:
        place = self._pictures.outputs / path
        return not place.exists() or _has(place, file.digest)

    def _write(self, file: PictureFile, data: bytes, created: datetime) -> None:
        place = self._pictures.outputs / file.path
        write_atomically(place, data, IMPORTING)
        with suppress(OSError):     # a history that is made again from the files knows the day by this
            os.utime(place, (created.timestamp(), created.timestamp()))


def safe_parts(name: str) -> list[str]:
    """A foreign path as folders and a file name that are safe on every system; never a way up or out.

    Folders have no dots, so that none can bear a picture's name.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part.strip(". ")] or [""]
    *folders, last = parts[-MAX_DEPTH - 1:]
    return [*(component(folder).replace(".", "_") for folder in folders), component(last)]


def created_by(name: str, modified: datetime | None = None) -> datetime:
    """When a picture was made: by a day in its folders' names, as AUTOMATIC1111 gives them; else `modified`, else now.

    Within a day the time comes from Easel's own name, from `modified` if it is about that day, or from the number that
    the name begins with, so that the order is kept.
    """
    *folders, last = safe_parts(name)
    day = next((day for folder in reversed(folders) if (day := _day(folder))), None)
    told = _within(day, last, modified) if day else modified
    return min(told or now(), now())


def _day(folder: str) -> date | None:
    found = _DAY.search(folder)
    with suppress(ValueError):
        if found and int(found[1]) >= EARLIEST:
            return date(*map(int, found.groups()))
    return None


def _within(day: date, name: str, modified: datetime | None) -> datetime:
    """Easel names by UTC, other programs by the clock on the wall; noon is the same day in most zones."""
    with suppress(ValueError):
        if clock := _CLOCK.match(name):
            return datetime.combine(day, time(*map(int, clock.groups())), UTC)
    if modified and abs(modified.astimezone().date() - day) <= timedelta(days=1):
        return modified
    number = re.match(r"\d{1,6}", name)
    seconds = min(int(number[0]) if number else 0, 43_000)
    return (datetime.combine(day, time(12)) + timedelta(seconds=seconds)).astimezone(UTC)


def _has(place: Path, digest: str) -> bool:
    try:
        return save.digest(place.read_bytes()) == digest
    except OSError:
        return False
