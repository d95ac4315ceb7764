"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from backend.files.write_errors import Purpose

TEMPORARY = ".easel-tmp"  # ending of files in the making; after a crash they can be deleted


def write_atomically(path: Path, data: bytes, purpose: Purpose) -> None:
    """All of `data` under `path`, or what was there before. Raises StorageError, in the words of `purpose`."""
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
        raise purpose.refused(error) from error
    _sync_folder(path.parent)


def temporary_file(write: Callable[[IO[bytes]], object], purpose: Purpose) -> IO[bytes]:
    """What `write` writes, open at its start, gone when it is closed. StorageError, in the words of `purpose`."""
    try:
        with ExitStack() as closing:
            file = closing.enter_context(tempfile.TemporaryFile(prefix="easel-"))
            write(file)
            file.seek(0)
            closing.pop_all()       # from here on the caller closes it
            return file
    except OSError as error:        # closing writes, too
        raise purpose.refused(error) from error


def sweep_unfinished(folder: Path, before: float, *, deep: bool = True) -> None:
    """Delete files that were in the making at `before` (seconds since the epoch) and never finished.

    They lie in `folder`, and in all folders in it where `deep`.
    """
    for path in (folder.rglob if deep else folder.glob)(f".*{TEMPORARY}"):
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
