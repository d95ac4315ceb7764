"""From the front door's blocking `watch` to asyncio: one waiting thread per user, however many pages are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from anyio import CapacityLimiter, to_thread

from backend import Door, Job
from backend.errors import WorkerLost

PATIENCE = 5.0      # seconds one `watch` call may take; a thread outlives its last page by at most this
MAX_OWNERS = 256    # threads of its own, apart from the pool that serves requests
ENDED = ("done", "failed", "cancelled")


class Changes:
    """Rings asyncio bells when something of a user changed. All its state is touched by the event loop only."""

    def __init__(self) -> None:
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._listeners: dict[str, asyncio.Task[None]] = {}
        self._threads = CapacityLimiter(MAX_OWNERS)
        self._closed = False

    async def ticks(self, door: Door, every: float) -> AsyncIterator[None]:
        """Yields at once, then after each change of the user's things, and at least `every` seconds."""
        bell = self._subscribe(door)
        try:
            while not self._closed:
                bell.clear()
                yield
                await _rung(bell, every)
        finally:
            self._unsubscribe(door.user.id, bell)

    async def ended(self, door: Door, job: str) -> Job:
        """The job once it is done, failed or cancelled."""
        async with contextlib.aclosing(self.ticks(door, every=2.0)) as ticks:
            async for _ in ticks:
                now = await to_thread.run_sync(door.job, job)
                if now.state in ENDED:
                    return now
        raise WorkerLost("Easel is stopping; the job stays in the queue")

    def close(self) -> None:
        """Ends every stream, so that the server can stop without waiting for open pages."""
        self._closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    def _subscribe(self, door: Door) -> asyncio.Event:
        bell, user = asyncio.Event(), door.user.id
        self._bells.setdefault(user, set()).add(bell)
        if user not in self._listeners:
            self._listeners[user] = asyncio.create_task(self._listen(door))
        return bell

    def _unsubscribe(self, user: str, bell: asyncio.Event) -> None:
        self._bells[user].discard(bell)
        if not self._bells[user]:
            del self._bells[user]

    async def _listen(self, door: Door) -> None:
        cursor, before, user = 0, -1, door.user.id
        try:
            while user in self._bells and not self._closed:
                cursor, _ = await to_thread.run_sync(
                    door.watch, cursor, PATIENCE, limiter=self._threads, abandon_on_cancel=True)
                for bell in self._bells.get(user, ()) if cursor != before else ():
                    bell.set()
                before = cursor
        finally:
            del self._listeners[user]


async def _rung(bell: asyncio.Event, at_most: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(bell.wait(), at_most)
