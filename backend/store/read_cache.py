"""What a store has read a moment ago, so that a page's many requests ask the database or the disk once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

FRESH = 2.0             # seconds for which what was read holds
MOST_KNOWN = 4096

Found = TypeVar("Found")


class RecentReads(Generic[Found]):
    """Thread-safe. `read(key)` finds it; None, that there is nothing, is remembered too. `fresh`: seconds it holds."""

    def __init__(self, read: Callable[[str], Found | None], fresh: float = FRESH) -> None:
        self._read, self._fresh = read, fresh
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Found | None]] = {}     # with when it was read

    def of(self, key: str) -> Found | None:
        """What `read` gives, or gave a moment ago; raises what it raises."""
        with self._lock:
            read_at, known = self._known.get(key, (float("-inf"), None))
            if time.monotonic() - read_at > self._fresh:
                known = self._read(key)
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[key] = time.monotonic(), known
            return known

    def forget(self, key: str | None = None) -> None:
        """Something was changed: what belongs to `key`, or anything."""
        with self._lock:
            self._known.clear() if key is None else self._known.pop(key, None)
