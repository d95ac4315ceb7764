"""Questions about the queue that need no look into the database."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from backend.store.fair_queue import FairQueue


@dataclass(frozen=True, slots=True)
class QueueLook:
    """Thread-safe: `lock` is held by whoever reads or changes the queue."""

    _queue: FairQueue
    _lock: threading.Lock

    def plots(self, owner: str) -> list[str]:
        """The owner's plots with cells that wait or are drawn."""
        with self._lock:
            return list(self._queue.plots(owner))

    def running(self, owner: str, limit: int) -> list[str]:
        """Ids of up to `limit` jobs of the owner's that a worker has begun."""
        with self._lock:
            return [job for job, position in self._queue.of(owner, limit) if position == 0]

    def is_paused(self, owner: str) -> bool:
        """Whether none of the owner's jobs starts, by a pause of his own queue."""
        with self._lock:
            return self._queue.is_paused(owner)

    def pending(self, owner: str) -> int:
        """How many of the owner's jobs wait or are drawn, cells of plots among them."""
        with self._lock:
            return sum(self._queue.counts(owner))

    def cells_ahead(self) -> list[str]:
        """Cells of anybody's plots that a worker holds and has not begun."""
        with self._lock:
            return self._queue.cells_ahead()

    def singles_wait(self) -> bool:
        """Whether anybody's job of no plot may start now."""
        with self._lock:
            return self._queue.singles_wait()

    def load(self) -> tuple[int, int]:
        """How many jobs of anybody wait, and how many a worker has begun."""
        with self._lock:
            return self._queue.load()

    def plot_of(self, job: str) -> str:
        """Whose cell a pending job is; `SINGLE` for others."""
        with self._lock:
            return self._queue.plot(job)
