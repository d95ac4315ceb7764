"""/v1/images: pictures from words, from pictures and masks, and variations, as OpenAI's API has them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from backend import Door, InvalidRequest, Job
from backend.errors import NotAllowed
from backend.http.async_watch import Changes
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor, Watch
from backend.http.easel.jobs import json_object
from backend.http.errors import JobFailed
from backend.http.json_answers import JSONAnswer
from backend.http.openai.answers import ImagesAnswer, images_answer
from backend.http.openai.edits import read_form, start_from
from backend.http.openai.requests import Asked, in_their_words, understood
from backend.http.openai.stream import DrawingStream
from backend.http.wait_for_jobs import CLIENT_GONE, ended

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
router = APIRouter(prefix="/v1/images", tags=["OpenAI"])


@router.post("/generations", response_model=ImagesAnswer)
async def generate(door: FrontDoor, changes: Watch, request: Request) -> Response:
    """Draws a prompt and answers with the pictures; hanging up cancels.

    Names of the field table (`GET /api/fields`) are taken beside OpenAI's.
    """
    body = json_object(await request.body())
    asked = await run_in_threadpool(understood, body, door.backend)
    return await _drawn(door, changes, request, asked, "image_generation")


@router.post("/edits", response_model=ImagesAnswer)
async def edit(door: FrontDoor, changes: Watch, request: Request) -> Response:
    """Draws over a picture: everywhere, or where `mask` is transparent, or the picture itself."""
    texts, files = await read_form(request)
    asked = await run_in_threadpool(understood, texts, door.backend)
    return await _edited(door, changes, request, asked, files)


@router.post("/variations", response_model=ImagesAnswer)
async def vary(door: FrontDoor, changes: Watch, request: Request) -> Response:
    """Pictures like this one, without words."""
    texts, files = await read_form(request)
    if unknown := [name for name in (*texts, *files) if name in ("prompt", "mask", "stream")]:
        raise InvalidRequest("is for edits", field=unknown[0])
    asked = await run_in_threadpool(lambda: understood(texts, door.backend, needs_prompt=False))
    return await _edited(door, changes, request, asked, files)


async def _edited(door: Door, changes: Changes, request: Request, asked: Asked, files: dict[str, bytes]) -> Response:
    asked.values.update(await run_decoding(start_from, door, files, asked.values))
    return await _drawn(door, changes, request, asked, "image_edit")


async def _drawn(door: Door, changes: Changes, request: Request, asked: Asked, kind: str) -> Response:
    job = await run_in_threadpool(_submitted, door, asked.values)
    if asked.stream:
        stream = DrawingStream(door, changes, job, asked, kind)
        return StreamingResponse(stream.events(), media_type="text/event-stream", headers=HEADERS)
    over = await ended(request, door, changes, [job])
    if over is None:
        return Response(status_code=CLIENT_GONE)
    made = _whole(over[0])
    told = await run_in_threadpool(images_answer, door, made, asked, str(request.base_url))
    return JSONAnswer(told.model_dump(exclude_none=True))


def _submitted(door: Door, values: dict[str, Any]) -> Job:
    try:
        return door.submit(values)
    except InvalidRequest as error:
        raise in_their_words(error) from None


def _whole(job: Job) -> Job:
    """JobFailed, NotAllowed."""
    if job.state == "failed":
        raise JobFailed(problems=job.problems)
    if job.state == "cancelled":
        raise NotAllowed("The job was cancelled")
    return job
