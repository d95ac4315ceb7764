"""Text files that people write by hand: read in whatever encoding, and noticed when they change while Easel runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from backend.catalog.fingerprints import Fingerprint
from backend.files.regular_files import read_regular

MAX_BYTES = 16 << 20        # of one file; the largest lists of tags that people pass on have 10 million

T = TypeVar("T")
log = logging.getLogger(__name__)


def decoded(data: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with one, else Windows' western code page; line ends as they are."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


class Watched(Generic[T]):
    """What `parse` makes of files, kept until a file changes. Thread-safe."""

    def __init__(self, parse: Callable[[bytes, Path], T], absent: T) -> None:
        self._parse, self._absent = parse, absent
        self._kept: dict[Path, tuple[Fingerprint, T | OSError]] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> T:
        """What the file says at present; `absent` when there is none or it cannot be read."""
        try:
            return self.read(path)
        except OSError:
            return self._absent

    def read(self, path: Path) -> T:
        """The same, but raises OSError: nothing there, no regular file, or more than MAX_BYTES in it."""
        with self._lock:
            try:
                mark = Fingerprint.of(path.stat())
            except OSError:
                self._kept.pop(path, None)
                raise
            kept = self._kept.get(path)
            if kept is None or kept[0] != mark:
                kept = self._kept[path] = (mark, self._fresh(path))
        if isinstance(kept[1], OSError):
            raise OSError(kept[1].errno, kept[1].strerror)
        return kept[1]

    def _fresh(self, path: Path) -> T | OSError:
        try:
            return self._parse(read_regular(path, MAX_BYTES), path)
        except OSError as error:
            log.warning("%s is left out: %s", path, error.strerror or error)
            return error
