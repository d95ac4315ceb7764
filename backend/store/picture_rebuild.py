"""Rows of the history made again from the settings inside picture files."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from backend.errors import EaselError, InvalidRequest
from backend.image import infotext, save
from backend.image.read import Metadata, read_metadata
from backend.request.request import FIELDS, Request
from backend.store.history import History, PictureFile
from backend.store.picture_files import account_of
from backend.store.views import LOCAL, User

MAX_INFOTEXT = 200_000          # characters of a foreign text that a row keeps; the file keeps all

log = logging.getLogger(__name__)


def rebuild_history(outputs: Path, history: History, user_named: Callable[[str], User],
                    wanted: Callable[[Path], bool] = Path.is_file) -> int:
    """Make rows for all pictures below `outputs` that have none, from the settings inside them; how many there were.

    Each becomes a finished job of its own. `user_named` gives the user behind an account's name, which a folder
    bears, `wanted` chooses among the files. Pictures that cannot be read are logged and stay where they are.
    """
    made = 0
    for name in history.unknown(name for name in _names(outputs) if wanted(outputs / name)):
        try:
            account, created, request, file = _read(outputs, name)
            history.adopt(user_named(account).id if account else LOCAL.id, created, request, file)
            made += 1
        except (EaselError, OSError) as error:
            log.warning("%s could not be taken into the history: %s", name, error)
    return made


def described(data: bytes, path: str) -> tuple[Request, PictureFile]:
    """What the file's own settings say, and its row; `path` is where it lies. UserError when it is no picture."""
    metadata = read_metadata(data)
    request = _request(metadata)
    if request.seed < 0:
        request = request.replace(seed=0)       # a picture of another program that does not tell its seed
    text = metadata.infotext[:MAX_INFOTEXT].replace("\0", " ")
    return request, PictureFile(index=0, path=path, width=metadata.width, height=metadata.height, seed=request.seed,
                                infotext=text, format=metadata.format, digest=save.digest(data))


def _names(outputs: Path) -> Iterator[str]:
    for path in sorted(outputs.rglob("*")):
        if path.suffix.lower() in save.FORMATS and not path.name.startswith("."):
            yield path.relative_to(outputs).as_posix()


def _read(outputs: Path, name: str) -> tuple[str, datetime, Request, PictureFile]:
    path = outputs / name
    request, file = described(path.read_bytes(), name)
    return account_of(name), _created(path, request), request, file


def _created(path: Path, request: Request) -> datetime:
    """The job's time from the names that Easel gives by itself; else the file's own."""
    match = re.match(r"(\d{4}-\d\d-\d\d)/(\d{6})-", f"{path.parent.name}/{path.name}")
    own_names = all(getattr(request, name) == FIELDS[name].default for name in ("folder_pattern", "name_pattern"))
    with suppress(ValueError):
        if match and own_names:
            return datetime.strptime(f"{match[1]} {match[2]}", "%Y-%m-%d %H%M%S").replace(tzinfo=UTC)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _request(metadata: Metadata) -> Request:
    """The exact request inside the file; else what its text says; else the size alone."""
    size = {"width": metadata.width, "height": metadata.height}
    with suppress(ValueError, TypeError, AttributeError, RecursionError, InvalidRequest):
        values = json.loads(metadata.request_json or "")
        return Request.parse({name: value for name, value in values.items() if name in FIELDS})
    for values in (size | infotext.read(metadata.infotext).values, infotext.read(metadata.infotext).values):
        with suppress(InvalidRequest):
            return Request.parse(values).replace(batch_count=1, batch_size=1)
    return Request()
