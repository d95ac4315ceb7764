"""Group commit: what several threads want to write at the same moment goes into one transaction."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class _Turn(Generic[Item]):
    item: Item
    written: bool = False


class GroupCommit(Generic[Item]):
    """Thread-safe. `write` is called with the items of all who wait, in the order of their coming, holding `lock`.

    Twenty people who press Generate at once would otherwise hand the lock on twenty times, each with a transaction.
    """

    def __init__(self, lock: AbstractContextManager[object], write: Callable[[Sequence[Item]], None]) -> None:
        self._lock, self._write = lock, write
        self._waiting: deque[_Turn[Item]] = deque()
        self._arriving = threading.Lock()

    def put(self, item: Item) -> None:
        """Returns when `item` has been written, by this thread or by another.

        Raises what `write` raises in this thread, for this item or for one of those that waited with it.
        """
        turn = _Turn(item)
        with self._arriving:
            self._waiting.append(turn)
        with self._lock:
            if not turn.written:
                self._commit(turn)

    def _commit(self, own: _Turn[Item]) -> None:
        """Where that fails, this thread is told; the others of the group find theirs unwritten and try again."""
        with self._arriving:
            turns = [*dict.fromkeys((*self._waiting, own))]
            self._waiting.clear()
        self._write([turn.item for turn in turns])
        for turn in turns:
            turn.written = True
