"""Pictures that people have sent, by content: the same picture is stored once per owner, and its id tells nothing."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from backend.errors import NotFound, Problem, StorageError, UserError
from backend.files.atomic_write import sweep_unfinished, write_atomically
from backend.files.path_containment import leads_inside
from backend.files.write_errors import Purpose
from backend.image import upload_decoding
from backend.image.decode_budget import DECODING
from backend.request.field import PICTURE_ID, Field
from backend.request.record import place
from backend.request.request import FIELDS, Request
from backend.store.view_types import UserOf

QUOTA = 4 * 2**30       # bytes that one user's uploads may take
UNUSED_DAYS = 30        # an upload that nothing names is kept so long: a browser's form may still hold it
OF_PICTURES = ("picture", "pictures")      # kinds of fields
FIELDS_OF_PICTURES: Mapping[str, Field] = FIELDS.where(lambda field: field.kind in OF_PICTURES or bool(_inner(field)))
KEEPING = Purpose("The upload could not be saved", "send it again")
GONE = "is no longer there; choose the picture again"


@dataclass(frozen=True, slots=True)
class Upload:
    """A stored picture; `id` is what a request names it by."""

    id: str
    width: int
    height: int


class Uploads:
    """A folder with one sub-folder per user. Nothing that was sent is kept as it came: see `upload_decoding`."""

    def __init__(self, folder: Path, user_of: UserOf, in_use: Callable[[], Collection[str]] | None = None,
                 quota: Callable[[str], int] = lambda owner: QUOTA) -> None:
        """`in_use` tells the ids that jobs and people name, which stay; without it nothing is deleted to make room.

        `quota`: how many bytes a user's uploads may take.
        """
        self.folder, self._user_of, self._in_use, self._quota = folder, user_of, in_use, quota
        self._taken: dict[str, int] = {}        # bytes by owner, as far as they have been counted
        self._counting = threading.Lock()

    def add(self, data: bytes, owner: str, *, mask: bool = False, alpha: bool = False) -> Upload:
        """Store a picture, with `alpha` what is transparent in it too, or with `mask` what it marks.

        UserError when it cannot be read, StorageError when full.
        """
        read = upload_decoding.with_alpha if alpha else upload_decoding.picture
        with DECODING.share(upload_decoding.size(data)):
            return self.keep(upload_decoding.mask(data) if mask else read(data), owner)

    def keep(self, image: Image.Image, owner: str) -> Upload:
        """Store an image that is RGB, grey or RGBA already."""
        data = upload_decoding.png(image)
        name = hashlib.sha256(data).hexdigest()
        path = self._path(name, owner)
        if path.is_file():
            path.touch()        # its time tells when it was sent last
        else:
            with self._counting:
                self._make_room(owner, path.parent, len(data))
                write_atomically(path, data, KEEPING)
                self._taken[owner] += len(data)
        return Upload(name, image.width, image.height)

    def file(self, name: str, owner: str) -> Path:
        """Where the PNG lies; NotFound for one that was never sent, was deleted, or is someone else's."""
        path = self._path(name, owner)
        if not path.is_file():
            raise NotFound(GONE)
        return path

    def of(self, request: Request, owner: str) -> dict[str, bytes]:
        """The files that a request names, by id. NotFound and StorageError name the field of an unreadable one."""
        return {name: self._read(name, owner, field) for field, name in _named(request)}

    def sweep(self, named: Collection[str]) -> int:
        """Delete what was sent more than `UNUSED_DAYS` ago and is not among `named`; how many files that were."""
        before = time.time() - UNUSED_DAYS * 86400
        with self._counting:
            files = [path for path in self.folder.glob("*/*.png") if path.stem not in named]
            old = [path for path in files if path.stat().st_mtime < before]
            for path in old:
                path.unlink(missing_ok=True)
            self._taken.clear()
        return len(old)

    def sweep_unfinished(self, before: float) -> None:
        """Delete files that were in the making at `before` (seconds since the epoch): their process has ended."""
        sweep_unfinished(self.folder, before)

    def _make_room(self, owner: str, folder: Path, wanted: int) -> None:
        """Delete what was sent longest ago and nothing names, until `wanted` bytes fit. UserError when they cannot."""
        if owner not in self._taken:
            self._taken[owner] = sum(path.stat().st_size for path in folder.glob("*.png"))
        quota = self._quota(owner)
        if self._taken[owner] + wanted <= quota:
            return
        used = self._in_use() if self._in_use else None
        unused = [] if used is None else [path for path in folder.glob("*.png") if path.stem not in used]
        for path in sorted(unused, key=lambda path: path.stat().st_mtime):
            if self._taken[owner] + wanted <= quota:
                return
            self._taken[owner] -= path.stat().st_size
            path.unlink(missing_ok=True)
        if self._taken[owner] + wanted > quota:
            raise UserError(f"Your limit leaves {quota // 2**20:,} MiB for pictures to start from, and those that your "
                            "jobs and sets of guides need take them; this one does not fit.")

    def check(self, request: Request, owner: str) -> list[Problem]:
        """A problem for each field that names a missing picture."""
        missing = [field for field, name in _named(request) if not self._path(name, owner).is_file()]
        return [Problem(GONE, field) for field in missing]

    def size(self, name: str, owner: str) -> tuple[int, int]:
        """Width and height of an upload in pixels. NotFound, StorageError."""
        try:
            with Image.open(self.file(name, owner)) as image:
                return image.size
        except OSError as error:
            raise StorageError(f"cannot be read: {error}") from error

    def _read(self, name: str, owner: str, field: str) -> bytes:
        try:
            return self._path(name, owner).read_bytes()
        except FileNotFoundError:
            raise NotFound(GONE, field=field) from None
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}", field=field) from error

    def _path(self, name: str, owner: str) -> Path:
        if not PICTURE_ID.fullmatch(name):
            raise NotFound(GONE)
        file = self.folder / self._user_of(owner).folder / f"{name}.png"
        if not leads_inside(self.folder, file):
            raise NotFound(GONE)
        return file


def stored_pictures(values: Sequence[str | None]) -> Iterator[str]:
    """Ids in the values of FIELDS_OF_PICTURES as the database has them: text, and JSON for records."""
    for field, value in zip(FIELDS_OF_PICTURES.values(), values, strict=True):
        found = json.loads(value) if value and field.kind in ("records", "pictures") else value
        yield from (name for _, name in pictures_in(field, found or ()))


def pictures_in(field: Field, value: Any) -> Iterator[tuple[str, str]]:
    """(place, id) for every picture that a field of FIELDS_OF_PICTURES names; those of records by their own place."""
    if field.kind == "picture":
        yield from [(field.name, value)] if value else ()
        return
    if field.kind == "pictures":
        yield from ((field.name, name) for name in value)
        return
    for index, record in enumerate(value):
        for inner in _inner(field):
            held = record.get(inner) or ()
            yield from ((place(field.name, index, inner), name) for name in ([held] if isinstance(held, str) else held))


def _inner(field: Field) -> list[str]:
    return [name for name, inner in (field.record or {}).items() if inner.kind in OF_PICTURES]


def _named(request: Request) -> list[tuple[str, str]]:
    """(field, id) for every picture of a request."""
    values = ((field, getattr(request, name)) for name, field in FIELDS_OF_PICTURES.items())
    return [found for field, value in values for found in pictures_in(field, value)]
