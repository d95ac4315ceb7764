"""Requests that have arrived and are no jobs yet, so that an interrupt finds them too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Arrival:
    """A request on its way into the queue; `interrupted` is final once `Arrivals.arriving` is left."""

    owner: str
    interrupted: bool = False


class Arrivals:
    """Thread-safe."""

    def __init__(self) -> None:
        self._open: list[Arrival] = []
        self._lock = threading.Lock()

    @contextmanager
    def arriving(self, owner: str) -> Iterator[Arrival]:
        """Around the making of a request and its entry into the queue."""
        arrival = Arrival(owner)
        with self._lock:
            self._open.append(arrival)
        try:
            yield arrival
        finally:
            with self._lock:
                self._open.remove(arrival)

    def interrupt(self, owner: str) -> bool:
        """What is on its way for this owner is cancelled when it has arrived; whether there is anything."""
        with self._lock:
            mine = [arrival for arrival in self._open if arrival.owner == owner]
            for arrival in mine:
                arrival.interrupted = True
            return bool(mine)
