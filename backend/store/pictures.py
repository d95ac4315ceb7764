"""Picture files below the outputs folder: where they lie, how they are written, how rows are made from them again."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from backend.errors import EaselError, InvalidRequest, NotFound, UserError
from backend.image import batch, infotext, save
from backend.messages import Picture
from backend.request import FIELDS, Request
from backend.store.history import History, PictureFile
from backend.store.jobs import Lease

LOCAL = "local"                 # the owner where nobody logs in
USERS = "users"                 # outputs/users/<name>/ holds what a logged-in user made

log = logging.getLogger(__name__)


class Pictures:
    """The outputs folder."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs

    def write(self, lease: Lease, picture: Picture, is_free: Callable[[str], bool] = lambda path: True) -> PictureFile:
        """Save one picture with its settings; the same job and index always give the same file. Raises StorageError.

        `is_free` tells of a path whether no other picture has it.
        """
        request = lease.request.of_image(picture.index)
        exact = json.dumps(request.to_json(), ensure_ascii=False)
        path = self._place(lease, picture.index, exact, is_free)
        text = infotext.write(request, picture.facts)
        save.save(picture, self.outputs / path, text, exact)
        return PictureFile(index=picture.index, path=str(path), width=picture.width, height=picture.height,
                           seed=request.seed, infotext=text, format=request.image_format, notes=picture.notes)

    def file(self, path: str) -> Path:
        """The file at `path` below the folder; NotFound when somebody has moved or deleted it."""
        file = self.outputs / path
        if not file.is_file():
            raise NotFound("The picture's file is no longer there.")
        return file

    def sweep(self) -> None:
        """Delete files that were in the making when a process ended."""
        for path in self.outputs.rglob(f".*{save.TEMPORARY}"):
            with suppress(OSError):
                path.unlink()

    def rebuild_history(self, history: History) -> int:
        """Make rows for all pictures that have none, from the settings inside them; how many there were.

        Each becomes a finished job of its own. Pictures that cannot be read are logged and stay where they are.
        """
        made = 0
        for name in history.unknown(self._names()):
            try:
                owner, created, request, file = self._read(name)
                history.adopt(owner, created, request, file)
                made += 1
            except (EaselError, OSError) as error:
                log.warning("%s could not be taken into the history: %s", name, error)
        return made

    def _place(self, lease: Lease, index: int, exact: str, is_free: Callable[[str], bool]) -> PurePosixPath:
        folder = _folder(lease.owner)
        if not lease.request.output_name:
            return PurePosixPath(folder, save.file_name(lease.request, lease.created, lease.job, index))
        wanted = (PurePosixPath(folder, place) for place in batch.places(lease.request, index))
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
        said = save.read(path)
        request = _request(said)
        if request.seed < 0:
            request = request.replace(seed=0)       # a picture of another program that does not tell its seed
        file = PictureFile(index=0, path=name, width=said.width, height=said.height, seed=request.seed,
                           infotext=said.infotext, format=said.format)
        return _owner(name), _created(path), request, file


def _folder(owner: str) -> str:
    return "" if owner == LOCAL else f"{USERS}/{quote(owner, safe='').replace('.', '%2E')}"


def _owner(name: str) -> str:
    parts = PurePosixPath(name).parts
    return unquote(parts[1]) if len(parts) > 2 and parts[0] == USERS else LOCAL


def _created(path: Path) -> datetime:
    """The job's time from the names that Easel gives; else the file's own."""
    match = re.match(r"(\d{4}-\d\d-\d\d)/(\d{6})-", f"{path.parent.name}/{path.name}")
    with suppress(ValueError):
        if match:
            return datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H%M%S").replace(tzinfo=UTC)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _request(said: save.Saved) -> Request:
    """The exact request inside the file; else what its text says; else the size alone."""
    size = {"width": said.width, "height": said.height}
    with suppress(ValueError, TypeError, AttributeError, InvalidRequest):
        values = json.loads(said.request_json or "")
        return Request.parse({name: value for name, value in values.items() if name in FIELDS})
    for values in (size | infotext.read(said.infotext).values, infotext.read(said.infotext).values):
        with suppress(InvalidRequest):
            return Request.parse(values).replace(batch_count=1, batch_size=1)
    return Request()
