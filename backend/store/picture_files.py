"""Picture files below the outputs folder: where they lie, how they are written, how rows are made from them again."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from PIL.Image import Image as Pixels

from backend.errors import EaselError, InvalidRequest, NotFound, UserError
from backend.image import batch_names as batch
from backend.image import file_names as naming
from backend.image import infotext, save
from backend.image.file_names import GRID, MAX_PATH, USERS, WEBP_SIDE, Subject
from backend.image.grid import grid
from backend.messages import Picture
from backend.request.request import FIELDS, Request
from backend.store.history import History, PictureFile
from backend.store.jobs import Lease
from backend.store.views import LOCAL, Image, User, UserOf

SHORTEST_PATH = 160             # characters that a path may have below the folder of an owner with a long name
MAX_INFOTEXT = 200_000          # characters of a foreign text that a row keeps; the file keeps all
IsFree = Callable[[str], bool]

log = logging.getLogger(__name__)


def _nobodys(path: str) -> bool:
    return True


class Pictures:
    """The outputs folder. What an account made lies in `users/<its name>/` below it."""

    def __init__(self, outputs: Path, user_of: UserOf) -> None:
        self.outputs, self._user_of = outputs, user_of

    def write(self, lease: Lease, picture: Picture, is_free: IsFree = _nobodys) -> PictureFile:
        """Save one picture with its settings; the same job and index always give the same file. Raises StorageError.

        `is_free` tells of a path whether no other picture has it.
        """
        request = lease.request.of_image(picture.index)
        size = picture.width, picture.height
        subject = self._subject(lease, picture.index, size, str(picture.facts.get("Model hash", "")))
        text = infotext.write(request, picture.facts)
        return self._saved(subject, save.to_image(picture), text, request, is_free, picture.notes)

    def write_grid(self, lease: Lease, images: Sequence[Image], paths: Sequence[str],
                   is_free: IsFree = _nobodys) -> PictureFile:
        """Save the grid of a job's `images`, whose files are `paths`, with the settings of the first.

        Raises NotFound, UserError or StorageError when a file cannot be read or the grid not be written.
        """
        first = images[0]
        size = max(image.width for image in images), max(image.height for image in images)
        pixels = (save.pixels(self.file(path)) for path in paths)
        whole = grid(pixels, len(images), size)
        subject = self._subject(lease, GRID, whole.size, str(infotext.parse(first.infotext).get("Model hash", "")))
        return self._saved(subject, whole, first.infotext, lease.request.of_image(first.index), is_free)

    def _saved(self, subject: Subject, image: Pixels, text: str, request: Request, is_free: IsFree,
               notes: tuple[str, ...] = ()) -> PictureFile:
        exact = json.dumps(request.to_json(), ensure_ascii=False)
        path = self._place(subject, exact, is_free)
        options = save.compression(request.replace(image_format=subject.ending))
        digest = save.save(image, self.outputs / path, text, exact, options)
        if subject.ending != request.image_format:
            notes = (*notes, f"Saved as {subject.ending.upper()}: WebP holds at most {WEBP_SIDE:,} pixels a side.")
        return PictureFile(index=subject.index, path=str(path), width=image.width, height=image.height,
                           seed=request.seed, infotext=text, format=subject.ending, digest=digest,
                           notes=notes)

    def is_missing(self, path: str) -> bool:
        """Whether somebody has moved or deleted the file at `path` below the folder, or its disk is not there."""
        return not (lies_below(path) and os.path.isfile(self.outputs / path))   # Path.is_file may raise

    def file(self, path: str) -> Path:
        """The file at `path` below the folder; NotFound when somebody has moved or deleted it."""
        if self.is_missing(path):
            raise NotFound("The picture's file is no longer there.")
        return self.outputs / path

    def sweep(self, before: float) -> None:
        """Delete files that were in the making at `before` (seconds since the epoch): their process has ended."""
        save.sweep_unfinished(self.outputs, before)

    def rebuild_history(self, history: History, user_named: Callable[[str], User],
                        wanted: Callable[[Path], bool] = Path.is_file) -> int:
        """Make rows for all pictures that have none, from the settings inside them; how many there were.

        Each becomes a finished job of its own. `user_named` gives the user behind an account's name, which a folder
        bears, `wanted` chooses among the files. Pictures that cannot be read are logged and stay where they are.
        """
        made = 0
        for name in history.unknown(name for name in self._names() if wanted(self.outputs / name)):
            try:
                account, created, request, file = self._read(name)
                history.adopt(user_named(account).id if account else LOCAL.id, created, request, file)
                made += 1
            except (EaselError, OSError) as error:
                log.warning("%s could not be taken into the history: %s", name, error)
        return made

    def _subject(self, lease: Lease, index: int, size: tuple[int, int], model_hash: str) -> Subject:
        return Subject(request=lease.request, job=lease.job, created=lease.created, index=index,
                       user=self._user_of(lease.owner).name, folder=self.folder_of(lease.owner), model_hash=model_hash,
                       size=size)

    def folder_of(self, owner: str) -> str:
        """The folder of a user, given by the id, below the outputs folder; "" is that folder itself."""
        return "" if owner == LOCAL.id else f"{USERS}/{self._user_of(owner).folder}"

    def _place(self, subject: Subject, exact: str, is_free: IsFree) -> PurePosixPath:
        """Below the outputs folder. Results of a batch keep their sources' names; others go by their patterns."""
        folder, request = subject.folder, subject.request.replace(image_format=subject.ending)
        if not request.output_name:
            room = max(MAX_PATH - len(folder), SHORTEST_PATH)
            wanted = (PurePosixPath(folder, naming.path(subject, room, whole_job=whole)) for whole in (False, True))
            return next(path for path in wanted if is_free(str(path)))
        if subject.index == GRID:
            request = request.of_image(0).replace(output_name=f"{request.output_name}-grid")
        wanted = (PurePosixPath(folder, place) for place in batch.places(request, max(subject.index, 0)))
        return next(path for path in wanted if is_free(str(path)) and self._may_be_written(path, exact))

    def _may_be_written(self, path: PurePosixPath, exact: str) -> bool:
        """Nothing is there, or this very picture, from before a crash."""
        try:
            return save.read(self.outputs / path).request_json == exact
        except NotFound:
            return True
        except UserError:
            return False

    def _names(self) -> Iterator[str]:
        for path in sorted(self.outputs.rglob("*")):
            if path.suffix.lower() in save.FORMATS and not path.name.startswith("."):
                yield path.relative_to(self.outputs).as_posix()

    def _read(self, name: str) -> tuple[str, datetime, Request, PictureFile]:
        path = self.outputs / name
        request, file = described(path.read_bytes(), name)
        return account_of(name), _created(path, request), request, file


def described(data: bytes, path: str) -> tuple[Request, PictureFile]:
    """What the file's own settings say, and its row; `path` is where it lies. UserError when it is no picture."""
    said = save.read(data)
    request = _request(said)
    if request.seed < 0:
        request = request.replace(seed=0)       # a picture of another program that does not tell its seed
    text = said.infotext[:MAX_INFOTEXT].replace("\0", " ")
    return request, PictureFile(index=0, path=path, width=said.width, height=said.height, seed=request.seed,
                                infotext=text, format=said.format, digest=save.digest(data))


def lies_below(path: str) -> bool:
    """Whether a row's path leads to a place below the outputs folder, and not out of it."""
    parts = PurePosixPath(path)
    return not (parts.is_absolute() or ".." in parts.parts or "\\" in path or "\0" in path)


def account_of(path: str) -> str:
    """The name of the account in whose folder a file lies; "" for the local user's."""
    parts = PurePosixPath(path).parts
    return unquote(parts[1]) if len(parts) > 2 and parts[0] == USERS else ""


def _created(path: Path, request: Request) -> datetime:
    """The job's time from the names that Easel gives by itself; else the file's own."""
    match = re.match(r"(\d{4}-\d\d-\d\d)/(\d{6})-", f"{path.parent.name}/{path.name}")
    own_names = all(getattr(request, name) == FIELDS[name].default for name in ("folder_pattern", "name_pattern"))
    with suppress(ValueError):
        if match and own_names:
            return datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H%M%S").replace(tzinfo=UTC)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _request(said: save.Saved) -> Request:
    """The exact request inside the file; else what its text says; else the size alone."""
    size = {"width": said.width, "height": said.height}
    with suppress(ValueError, TypeError, AttributeError, RecursionError, InvalidRequest):
        values = json.loads(said.request_json or "")
        return Request.parse({name: value for name, value in values.items() if name in FIELDS})
    for values in (size | infotext.read(said.infotext).values, infotext.read(said.infotext).values):
        with suppress(InvalidRequest):
            return Request.parse(values).replace(batch_count=1, batch_size=1)
    return Request()
