"""A worker of a Ray cluster as the front sees it."""

from __future__ import annotations

from collections import deque
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from backend.errors import WorkerLost
from backend.messages import Command, Event, Waiting

END_SECONDS = 5.0       # that an actor has to end its process before it is ended with it


class RayHandle:
    """A `Handle` over an actor that runs `RemoteWorker`.

    Until a machine of the cluster has room for it, that is all it tells. A lost machine is a lost worker.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._coming: Any = self._actor.receive.remote()
        self._events: deque[Event] = deque()
        self._lost: str | None = None
        self._waits = False         # has told that no machine has room
        self._placed = False

    def send(self, command: Command) -> None:
        """See `Handle.send`. The actor takes commands in their order; `receive` tells when there is none any more."""
        self._actor.send.remote(command)

    def receive(self, timeout: float) -> Event | None:
        """See `Handle.receive`."""
        if not self._events and self._lost is None and ray.wait([self._coming], timeout=timeout)[0]:
            self._take()
        if self._events:
            return self._events.popleft()
        if self._lost is not None:
            ray.kill(self._actor)
            raise WorkerLost(self._lost)
        if not self._placed:
            self._waits = True
            return Waiting()
        return None

    def kill(self) -> None:
        """See `Handle.kill`."""
        try:
            ray.get(self._actor.kill.remote(), timeout=END_SECONDS)
        except (RayError, GetTimeoutError):
            self._lost = self._lost or "it was ended"
            ray.kill(self._actor)

    def _take(self) -> None:
        try:
            events, self._lost = ray.get(self._coming)
        except RayActorError as error:
            self._lost = f"its machine or process was lost ({error.error_msg.splitlines()[0]})"
            return
        except RayError as error:
            self._lost = f"the cluster lost it ({type(error).__name__})"
            return
        if self._waits and not self._placed:
            self._events.append(Waiting(done=True))
        self._placed = True
        self._events += events
        if self._lost is None:
            self._coming = self._actor.receive.remote()
