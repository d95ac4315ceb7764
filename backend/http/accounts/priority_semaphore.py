"""A few at a time; of those who wait the one with the lowest rank comes next, among equals the newest.

So a crowd that comes at once delays mostly itself: who comes after it is served after one turn, not after all of it.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

WAITING = 256           # beyond these the last in line are sent away


class Turns:
    """Lives on one event loop at a time."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []     # the next one first
        self._arrived = 0

    @asynccontextmanager
    async def turn(self, rank: int) -> AsyncIterator[bool]:
        """Waits for the caller's turn; False where it was sent away instead."""
        granted = await self._granted(rank)
        try:
            yield granted
        finally:
            if granted:
                self._next()

    async def _granted(self, rank: int) -> bool:
        if self._free:
            self._free -= 1
            return True
        self._arrived += 1
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        bisect.insort(self._waiting, (rank, -self._arrived, mine))
        if len(self._waiting) > WAITING:
            self._waiting.pop()[2].set_result(False)
        return await mine

    def _next(self) -> None:
        while self._waiting:
            first = self._waiting.pop(0)[2]
            if not first.done():
                first.set_result(True)
                return
        self._free += 1
