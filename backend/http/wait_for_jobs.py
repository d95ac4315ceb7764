"""A client that waits for jobs: answered when they have ended; when it hangs up, nothing more is made for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence

from anyio import to_thread
from starlette.requests import Request

from backend import Door, Job
from backend.errors import EaselError
from backend.http.async_watch import Changes

CLIENT_GONE = 499   # nobody reads it; the log shows why there was no answer


async def ended(
    request: Request, door: Door, changes: Changes, jobs: Sequence[Job], *, goes_on: bool = False,
) -> list[Job] | None:
    """The jobs once all are over; None if the client hangs up first, and unless it `goes_on` the jobs are cancelled."""
    over = await _unless_gone(request, asyncio.gather(*(changes.ended(door, job.id) for job in jobs)))
    if over is None and not goes_on:
        await to_thread.run_sync(_give_up, door, jobs)
    return over


async def _unless_gone(request: Request, waiting: Awaitable[list[Job]]) -> list[Job] | None:
    answer, gone = asyncio.ensure_future(waiting), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None
    finally:
        answer.cancel()
        gone.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _give_up(door: Door, jobs: Sequence[Job]) -> None:
    for job in jobs:
        with contextlib.suppress(EaselError):  # it may have ended in the meantime
            door.cancel(job.id)
