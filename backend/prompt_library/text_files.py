"""Text files that people write by hand: read in whatever encoding, and noticed when they change while Easel runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
Mark = tuple[int, int, int]         # time of the last change in ns, size, inode: another file under the name is another


def decoded(data: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with one, else Windows' western code page; line ends as they are."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


class Watched(Generic[T]):
    """What `read` makes of files, kept until a file changes. Thread-safe."""

    def __init__(self, read: Callable[[bytes], T], absent: T) -> None:
        self._read, self._absent = read, absent
        self._kept: dict[Path, tuple[Mark, T]] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> T:
        """What the file says now; `absent` when there is none or it cannot be read."""
        with self._lock:
            try:
                stat = path.stat()
                mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                kept = self._kept.get(path)
                if kept is None or kept[0] != mark:
                    kept = self._kept[path] = (mark, self._read(path.read_bytes()))
            except OSError:
                self._kept.pop(path, None)
                return self._absent
            return kept[1]
