"""From the front door's blocking `watch` to asyncio: one waiting thread per owner, however many pages are open."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from anyio import CapacityLimiter, to_thread

from backend import Backend, Job
from backend.errors import WorkerLost

PATIENCE = 5.0          # seconds one `watch` call may take; a thread outlives its last page by at most this
RETRY_SECONDS = 1.0     # after a look at the changes that failed, because the database could not be read
MAX_OWNERS = 256        # threads of its own, apart from the pool that serves requests
ENDED = ("done", "failed", "cancelled")

log = logging.getLogger(__name__)


class Changes:
    """Wakes coroutines when something of an owner changed. All its state is touched by the event loop only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._listeners: dict[str, asyncio.Task[None]] = {}
        self._threads = CapacityLimiter(MAX_OWNERS)
        self._closed = False

    async def ticks(self, owner: str, every: float) -> AsyncIterator[None]:
        """Yields at once, then after each change of the owner's things, and at least `every` seconds."""
        changed = self._subscribe(owner)
        try:
            while not self._closed:
                changed.clear()
                yield
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), every)
        finally:
            self._unsubscribe(owner, changed)

    async def ended(self, job: str, owner: str) -> Job:
        """The job once it is done, failed or cancelled."""
        async with contextlib.aclosing(self.ticks(owner, every=2.0)) as ticks:
            async for _ in ticks:
                if self._backend.is_pending(job):
                    continue
                now = await to_thread.run_sync(self._backend.job, job, owner)
                if now.state in ENDED:
                    return now
        raise WorkerLost("Easel is stopping; the job stays in the queue")

    def close(self) -> None:
        """Ends every stream, so that the server can stop without waiting for open pages."""
        self._closed = True
        for owner in self._waiting:
            self._wake(owner)

    def _subscribe(self, owner: str) -> asyncio.Event:
        changed = asyncio.Event()
        self._waiting.setdefault(owner, set()).add(changed)
        if owner not in self._listeners:
            self._listeners[owner] = asyncio.create_task(self._listen(owner))
        return changed

    def _unsubscribe(self, owner: str, changed: asyncio.Event) -> None:
        self._waiting[owner].discard(changed)
        if not self._waiting[owner]:
            del self._waiting[owner]

    def _wake(self, owner: str) -> None:
        for changed in self._waiting.get(owner, ()):
            changed.set()

    async def _listen(self, owner: str) -> None:
        cursor, before = 0, -1
        try:
            while owner in self._waiting and not self._closed:
                cursor = await self._next(owner, cursor)
                if cursor != before:
                    self._wake(owner)
                before = cursor
        finally:
            del self._listeners[owner]

    async def _next(self, owner: str, cursor: int) -> int:
        """The cursor after the next change, or the same one after a while."""
        try:
            cursor, _ = await to_thread.run_sync(
                self._backend.watch, owner, cursor, PATIENCE, limiter=self._threads, abandon_on_cancel=True)
        except Exception:       # a border: whatever one look meets, the open pages are told of what comes later
            log.exception("the changes of an owner could not be read")
            await asyncio.sleep(RETRY_SECONDS)
        return cursor
