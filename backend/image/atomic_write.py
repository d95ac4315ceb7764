"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from backend.errors import StorageError

TEMPORARY = ".easel-tmp"  # ending of files in the making; after a crash they can be deleted

_ADVICE = {
    errno.ENOSPC: "the disk is full. Free some space, then retry the job",
    errno.EDQUOT: "the disk quota is used up. Free some space, then retry the job",
    errno.EFBIG: "the file system allows no file of this size. Raise the limit or choose a smaller picture",
    errno.EACCES: "Easel may not write into the outputs folder. Give it the right to, then retry the job",
    errno.EPERM: "Easel may not write into the outputs folder. Give it the right to, then retry the job",
    errno.EROFS: "the outputs folder is on a read-only disk. Mount it writable or choose another data folder",
}


def write_atomically(path: Path, data: bytes) -> None:
    """All of `data` under `path`, or what was there before. Raises StorageError."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = _ADVICE.get(error.errno or 0, f"the system says: {error.strerror or error}. Check the outputs folder")
        raise StorageError(f"The picture could not be saved: {reason}.") from error
    _sync_folder(path.parent)


def sweep_unfinished(folder: Path, before: float) -> None:
    """Delete files below `folder` that were in the making at `before` (seconds since the epoch) and never finished."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
        except OSError:
            continue        # somebody else has taken it away, or may


def _sync_folder(folder: Path) -> None:
    """Makes the new name survive a power cut, where folders can be opened (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # the picture itself is safe
    finally:
        os.close(handle)
