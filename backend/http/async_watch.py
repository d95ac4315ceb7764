"""From the front door's blocking `watch` to asyncio: one waiting thread per user, however many pages are open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from anyio import CapacityLimiter, to_thread

from backend import Door, Job
from backend.errors import WorkerLost

PATIENCE = 5.0          # seconds one `watch` call may take; a thread outlives its last page by at most this
RETRY_SECONDS = 1.0     # after a look at the changes that failed, because the database could not be read
MAX_OWNERS = 256        # threads of its own, apart from the pool that serves requests
ENDED = ("done", "failed", "cancelled")

log = logging.getLogger(__name__)


class Changes:
    """Wakes coroutines when something of a user changed. All its state is touched by the event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listeners: dict[str, asyncio.Task[None]] = {}
        self._threads = CapacityLimiter(MAX_OWNERS)
        self._closed = False

    async def ticks(self, door: Door, every: float) -> AsyncIterator[None]:
        """Yields at once, then after each change of the user's things, and at least `every` seconds."""
        changed = self._subscribe(door)
        try:
            while not self._closed:
                changed.clear()
                yield
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), every)
        finally:
            self._unsubscribe(door.user.id, changed)

    async def ended(self, door: Door, job: str) -> Job:
        """The job once it is done, failed or cancelled."""
        async with contextlib.aclosing(self.ticks(door, every=2.0)) as ticks:
            async for _ in ticks:
                if door.backend.is_pending(job):
                    continue
                now = await to_thread.run_sync(door.job, job)
                if now.state in ENDED:
                    return now
        raise WorkerLost("Easel is stopping; the job stays in the queue")

    def close(self) -> None:
        """Ends every stream, so that the server can stop without waiting for open pages."""
        self._closed = True
        for user in self._waiting:
            self._wake(user)

    def _subscribe(self, door: Door) -> asyncio.Event:
        changed, user = asyncio.Event(), door.user.id
        self._waiting.setdefault(user, set()).add(changed)
        if user not in self._listeners:
            self._listeners[user] = asyncio.create_task(self._listen(door))
        return changed

    def _unsubscribe(self, user: str, changed: asyncio.Event) -> None:
        self._waiting[user].discard(changed)
        if not self._waiting[user]:
            del self._waiting[user]

    def _wake(self, user: str) -> None:
        for changed in self._waiting.get(user, ()):
            changed.set()

    async def _listen(self, door: Door) -> None:
        cursor, before, user = 0, -1, door.user.id
        try:
            while user in self._waiting and not self._closed:
                cursor = await self._next(door, cursor)
                if cursor != before:
                    self._wake(user)
                before = cursor
        finally:
            del self._listeners[user]

    async def _next(self, door: Door, cursor: int) -> int:
        """The cursor after the next change, or the same one after a while."""
        try:
            cursor, _ = await to_thread.run_sync(
                door.watch, cursor, PATIENCE, limiter=self._threads, abandon_on_cancel=True)
        except Exception:       # a border: whatever one look meets, the open pages are told of what comes later
            log.exception("the changes of a user could not be read")
            await asyncio.sleep(RETRY_SECONDS)
        return cursor
