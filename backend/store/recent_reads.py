"""What a store has read a moment ago, so that a page's many requests ask the database once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

FRESH = 2.0             # seconds for which what was read holds
MOST_KNOWN = 4096

Found = TypeVar("Found")


class RecentReads(Generic[Found]):
    """Thread-safe. `read(key)` asks the database; None, that there is nothing, is remembered too."""

    def __init__(self, read: Callable[[str], Found | None]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Found | None]] = {}     # with when it was read

    def of(self, key: str) -> Found | None:
        """What `read` gives, or gave a moment ago; raises what it raises."""
        with self._lock:
            read_at, known = self._known.get(key, (float("-inf"), None))
            if time.monotonic() - read_at > FRESH:
                known = self._read(key)
                if len(self._known) >= MOST_KNOWN:
                    self._known.clear()
                self._known[key] = time.monotonic(), known
            return known

    def forget(self) -> None:
        """Something was changed."""
        with self._lock:
            self._known.clear()
