"""From the front door's blocking `watch` to asyncio: one waiting thread per owner, however many pages are open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from anyio import CapacityLimiter, to_thread

from backend import Backend, Job
from backend.errors import WorkerLost

PATIENCE = 5.0      # seconds one `watch` call may take; a thread outlives its last page by at most this
MAX_OWNERS = 256    # threads of its own, apart from the pool that serves requests
ENDED = ("done", "failed", "cancelled")


class Changes:
    """Rings asyncio bells when something of an owner changed. All its state is touched by the event loop only."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._listeners: dict[str, asyncio.Task[None]] = {}
        self._threads = CapacityLimiter(MAX_OWNERS)
        self._closed = False

    async def ticks(self, owner: str, every: float) -> AsyncIterator[None]:
        """Yields at once, then after each change of the owner's things, and at least `every` seconds."""
        bell = self._subscribe(owner)
        try:
            while not self._closed:
                bell.clear()
                yield
                await _rung(bell, every)
        finally:
            self._unsubscribe(owner, bell)

    async def ended(self, job: str, owner: str) -> Job:
        """The job once it is done, failed or cancelled."""
        async with contextlib.aclosing(self.ticks(owner, every=2.0)) as ticks:
            async for _ in ticks:
                now = await to_thread.run_sync(self._backend.job, job, owner)
                if now.state in ENDED:
                    return now
        raise WorkerLost("Easel is stopping; the job stays in the queue")

    def close(self) -> None:
        """Ends every stream, so that the server can stop without waiting for open pages."""
        self._closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.set()

    def _subscribe(self, owner: str) -> asyncio.Event:
        bell = asyncio.Event()
        self._bells.setdefault(owner, set()).add(bell)
        if owner not in self._listeners:
            self._listeners[owner] = asyncio.create_task(self._listen(owner))
        return bell

    def _unsubscribe(self, owner: str, bell: asyncio.Event) -> None:
        self._bells[owner].discard(bell)
        if not self._bells[owner]:
            del self._bells[owner]

    async def _listen(self, owner: str) -> None:
        cursor, before = 0, -1
        try:
            while owner in self._bells and not self._closed:
                cursor, _ = await to_thread.run_sync(
                    self._backend.watch, owner, cursor, PATIENCE, limiter=self._threads, abandon_on_cancel=True)
                for bell in self._bells.get(owner, ()) if cursor != before else ():
                    bell.set()
                before = cursor
        finally:
            del self._listeners[owner]


async def _rung(bell: asyncio.Event, at_most: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(bell.wait(), at_most)
