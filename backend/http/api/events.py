"""Server-sent events: of one job to its end, and of everything of the caller's."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Header, Query
from starlette.responses import Response, StreamingResponse

from backend import Door, EaselError, NotFound
from backend.http.api.job_events import OVER, Event, JobStory
from backend.http.api.schemas import PROBLEMS
from backend.http.api.user_events import UserStory
from backend.http.async_watch import RETRY_SECONDS, Changes
from backend.http.dependencies import FrontDoor, Watch
from backend.http.easel.events import HEARTBEAT

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
EXAMPLE = ('event: progress\ndata: {"job": "5f1c...", "step": 7, "steps": 20, "fraction": 0.35, "eta": 4.2}\n\n'
           'id: 2\nevent: picture\ndata: {"id": "9a0b...", "job": "5f1c...", "url": "/api/images/9a0b..."}\n\n'
           'id: over\nevent: done\ndata: {"job": "5f1c...", "problems": [], "notes": []}\n\n')
STREAM: dict[int | str, dict[str, Any]] = {200: {"description": "A stream that stays open.", "content": {
    "text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}}}}
Previews = Annotated[bool, Query(description="Rough pictures too, in base64.")]
LastId = Annotated[str, Header(max_length=500, description="Of the last event that was read: goes on behind it.")]
router = APIRouter(prefix="/api", tags=["Events"], responses=PROBLEMS)

log = logging.getLogger(__name__)


@router.get("/jobs/{job}/events", response_class=StreamingResponse, responses={
    **STREAM, 204: {"description": "The job's last event was read already."}})
async def job_events(
    door: FrontDoor, changes: Watch, job: str, previews: Previews = True, last_event_id: LastId = "",
) -> Response:
    """What happens to one job: `queued`, `progress`, `preview`, `picture`, and then `done`, `failed` or `cancelled`,
    with which the stream ends. It begins with what there is already."""
    await to_thread.run_sync(door.job, job)         # NotFound is a status, as long as nothing was sent
    if last_event_id == OVER:
        return Response(status_code=204)            # a browser's EventSource asks again until it hears this
    return _streamed(door, changes, JobStory(door, job, last_event_id, previews))


@router.get("/events", response_class=StreamingResponse, responses=STREAM)
async def events(
    door: FrontDoor, changes: Watch, previews: Previews = True, last_event_id: LastId = "",
) -> Response:
    """What happens to all the caller's jobs: the same events, `plot` with how far a plot is, `plot_deleted`, and
    `cleared` when all that waited was cancelled at once. It begins with the state of now, or behind the last event
    that was read."""
    cursor = int(last_event_id) if last_event_id.isdecimal() and len(last_event_id) < 20 else 0
    return _streamed(door, changes, UserStory(door, cursor, previews))


def _streamed(door: Door, changes: Changes, story: JobStory | UserStory) -> StreamingResponse:
    return StreamingResponse(_stream(door, changes, story), media_type="text/event-stream", headers=HEADERS)


async def _stream(door: Door, changes: Changes, story: JobStory | UserStory) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    async for _ in changes.ticks(door, HEARTBEAT):
        try:
            news = await _news(story)
        except NotFound:        # the job was deleted
            return
        yield "".join(map(_frame, news)) or ": here\n\n"
        if isinstance(story, JobStory) and story.over:
            return


async def _news(story: JobStory | UserStory) -> list[Event]:
    """Asked again for as long as the database cannot be read."""
    while True:
        try:
            return await to_thread.run_sync(story.news)
        except NotFound:
            raise
        except EaselError as error:
            log.warning("a client waits for its events: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


def _frame(event: Event) -> str:
    mark = f"id: {event.id}\n" if event.id else ""
    return f"{mark}event: {event.name}\ndata: {json.dumps(event.data)}\n\n"
