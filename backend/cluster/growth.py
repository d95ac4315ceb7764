"""Keeping as many workers as the cluster has room for, and letting it know how many the queue could keep busy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from backend.dispatch.worker_handle import Handle

LOOK_SECONDS = 5.0
NewWorker = Callable[[], Handle]

log = logging.getLogger(__name__)


class Growth:
    """From `start` to `close`: `add(name, new_worker)` for each of `workers()` that was not there before.

    A worker whose machine has left stays, and waits for the cluster to have room again. `ask_for(jobs)` is told how
    many jobs wait, which `waiting()` counts.
    """

    def __init__(self, workers: Callable[[], dict[str, NewWorker]], add: Callable[[str, NewWorker], None],
                 ask_for: Callable[[int], None], waiting: Callable[[], int]) -> None:
        self._workers, self._add, self._ask_for, self._waiting = workers, add, ask_for, waiting
        self._known: set[str] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cluster", daemon=True)

    def start(self) -> None:
        """The first look is the caller's: it may raise what the cluster raises."""
        self.look()
        self._thread.start()

    def look(self) -> None:
        """Add what is new, and say what is wanted."""
        for name, new_worker in self._workers().items():
            if name not in self._known:
                self._known.add(name)
                self._add(name, new_worker)
        self._ask_for(self._waiting())

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
