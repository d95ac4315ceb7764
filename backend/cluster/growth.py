"""As many workers as the cluster has room for and the queue has work for; the cluster is told how many that is."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Protocol

from backend.dispatch.worker_handle import Handle

LOOK_SECONDS = 5.0
JOBS_PER_WORKER = 4         # that wait for each before another is asked for
NewWorker = Callable[[], Handle]

log = logging.getLogger(__name__)


class Workers(Protocol):
    """What holds the workers: see `Dispatcher`."""

    def add(self, name: str, new_worker: NewWorker) -> None: ...

    def rest(self, seconds: float) -> None: ...

    def resume(self, count: int) -> None: ...


class Growth:
    """From `start` to `close`: each worker of `room()` that was not there before is added to `workers`.

    A worker whose machine has left stays, and waits for the cluster to have room again. One without work for
    `idle_seconds` is let go, so that the cluster has its device back, and comes again when jobs wait; 0 keeps all.
    `ask_for(jobs)` is told how many jobs wait, which `waiting()` counts.
    """

    def __init__(self, room: Callable[[], dict[str, NewWorker]], workers: Workers, ask_for: Callable[[int], None],
                 waiting: Callable[[], int], idle_seconds: float) -> None:
        self._room, self._workers, self._ask_for, self._waiting = room, workers, ask_for, waiting
        self._idle_seconds = idle_seconds
        self._known: set[str] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cluster", daemon=True)

    def start(self) -> None:
        """The first look is the caller's: it may raise what the cluster raises."""
        self.look()
        self._thread.start()

    def look(self) -> None:
        """Add what is new, let go what has no work, bring back what has some, and say what is wanted."""
        for name, new_worker in self._room().items():
            if name not in self._known:
                self._known.add(name)
                self._workers.add(name, new_worker)
        waiting = self._waiting()
        self._workers.resume(kept_busy(waiting))
        if self._idle_seconds and not waiting:
            self._workers.rest(self._idle_seconds)
        self._ask_for(waiting)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            try:
                self.look()
            except (RuntimeError, OSError, ValueError) as error:    # the cluster is away; its workers tell so
                log.warning("the cluster does not answer: %s", error)
            except Exception:   # a border: a fault in one look must not end the growing for good
                log.exception("looking for workers on the cluster")


def kept_busy(waiting: int) -> int:
    """How many more workers so many waiting jobs keep busy."""
    return math.ceil(waiting / JOBS_PER_WORKER)
