"""GET /easel/events: everything that changes for the caller, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header
from starlette.responses import StreamingResponse

from backend import Door
from backend.errors import EaselError
from backend.http.async_watch import RETRY_SECONDS, Changes
from backend.http.dependencies import FrontDoor, Place, Watch

HEARTBEAT = 15.0    # seconds; proxies drop streams that stay silent longer
router = APIRouter()

log = logging.getLogger(__name__)


@router.get("/easel/events")
async def events(
    door: FrontDoor, changes: Watch, cursor: Place = 0, last_event_id: Annotated[str, Header()] = ""
) -> StreamingResponse:
    """A stream that starts after `cursor` (0: with the state of now), or where a broken connection ended."""
    start = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 20 else cursor
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(door, changes, start), media_type="text/event-stream", headers=headers)


async def _stream(door: Door, changes: Changes, cursor: int) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async for _ in changes.ticks(door, HEARTBEAT):
        cursor, news = await _after(door, cursor)
        yield _frames(news, cursor) if news else ": here\n\n"


async def _after(door: Door, cursor: int) -> tuple[int, list[dict[str, Any]]]:
    """What there is after `cursor`; asked again for as long as the database cannot be read."""
    while True:
        try:
            return await to_thread.run_sync(door.watch, cursor, 0.0)
        except EaselError as error:
            log.warning("a page waits for its events: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


def _frames(news: list[dict[str, Any]], cursor: int) -> str:
    """Only the last event of a batch carries the id: a connection that breaks before it gets the batch again."""
    frames = "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in news[:-1])
    return f"{frames}id: {cursor}\ndata: {json.dumps(news[-1], ensure_ascii=False)}\n\n"
