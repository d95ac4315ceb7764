"""Regular files only: a named pipe, a socket or a device under a file's name is refused before it is waited for.

The kind is asked of the opened descriptor, so that a file cannot be exchanged between the question and the reading.
"""

from __future__ import annotations

import io
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from backend.errors import CheckpointError

MAX_CONFIG = 1 << 20        # bytes of a JSON file beside or inside a model
_DIGITS = 20                # of a whole number that 64 bits hold, its sign counted
_NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class NotRegular(OSError):
    """Something lies under the name that is no file with a content of its own."""

    def __init__(self) -> None:
        super().__init__(None, "it is no regular file")


def open_regular(path: Path | str) -> BinaryIO:
    """The file, open for reading bytes. Raises OSError, NotRegular for what is no regular file; never waits."""
    if not stat.S_ISREG(os.stat(path).st_mode):     # a device may act when it is opened
        raise NotRegular
    return io.BufferedReader(_Ready(path, opener=_without_waiting))


def read_regular(path: Path | str, limit: int) -> bytes:
    """All bytes of a file. Raises OSError, also for one that is no regular file or holds more than `limit` bytes."""
    with open_regular(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(None, f"it holds more than {limit:,} bytes")
    return content


def read_config(path: Path, limit: int = MAX_CONFIG) -> dict[str, Any]:
    """A JSON object from a file of at most `limit` bytes. Raises CheckpointError naming the file."""
    try:
        value = read_json(read_regular(path, limit))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} is not valid JSON") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path.name} holds no JSON object")
    return value


def read_json(text: str | bytes) -> Any:
    """What a foreign JSON text holds. Raises ValueError, RecursionError.

    A whole number beyond 64 bits is a float, as in most languages, and so an infinite one where no float holds it: what
    is done with Python's own would raise errors that nobody expects of a number.
    """
    return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


class _Ready(io.FileIO):
    """Raises NotRegular where there is nothing to read yet: some of /proc only looks regular."""

    def readinto(self, buffer: Any) -> int:
        read = super().readinto(buffer)
        if read is None:
            raise NotRegular
        return read

    def readall(self) -> bytes:
        return super().readall() or b""


def _without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | _NO_WAITING)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular
    return descriptor
