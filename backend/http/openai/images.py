"""/v1/images: pictures from words, from pictures and masks, and variations, as OpenAI's API has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from backend import Door, InvalidRequest, Job
from backend.errors import NotAllowed
from backend.facade.api_jobs import Terms
from backend.http.api.idempotency import Key, digest
from backend.http.async_watch import Changes
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor, Watch
from backend.http.easel.jobs import json_object
from backend.http.errors import JobFailed
from backend.http.json_answers import JSONAnswer
from backend.http.openai.answers import ImagesAnswer, images_answer
from backend.http.openai.edits import FURTHER, Form, of_pictures, read_form, start_from
from backend.http.openai.requests import Asked, in_their_words, understood
from backend.http.openai.stream import DrawingStream
from backend.http.wait_for_jobs import CLIENT_GONE, ended
from backend.store.idempotency_keys import IdempotencyKey

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
router = APIRouter(prefix="/v1/images", tags=["OpenAI"])


@router.post("/generations", response_model=ImagesAnswer)
async def generate(door: FrontDoor, changes: Watch, request: Request, idempotency_key: Key = None) -> Response:
    """Draws a prompt and answers with the pictures; hanging up cancels, unless there is a key to ask again.

    Names of the field table (`GET /api/fields`) are taken beside OpenAI's.
    """
    body = json_object(await request.body())
    asked = await run_in_threadpool(understood, body, door.backend)
    return await _drawn(door, changes, request, asked, "image_generation", _used(idempotency_key, request, body))


@router.post("/edits", response_model=ImagesAnswer)
async def edit(door: FrontDoor, changes: Watch, request: Request, idempotency_key: Key = None) -> Response:
    """Draws over a picture: everywhere, or where `mask` is transparent, or the picture itself.

    Further pictures guide what is drawn, by an IP-Adapter.
    """
    form = await read_form(request)
    asked = await run_in_threadpool(understood, form.texts, door.backend)
    return await _edited(door, changes, request, asked, form, idempotency_key)


@router.post("/variations", response_model=ImagesAnswer)
async def vary(door: FrontDoor, changes: Watch, request: Request, idempotency_key: Key = None) -> Response:
    """Pictures like this one, without words."""
    form = await read_form(request)
    given = {"prompt": "prompt" in form.texts, "stream": "stream" in form.texts, "mask": form.mask is not None,
             FURTHER: bool(form.further)}
    if unknown := [name for name, is_there in given.items() if is_there]:
        raise InvalidRequest("is for edits", field=unknown[0])
    asked = await run_in_threadpool(lambda: understood(form.texts, door.backend, needs_prompt=False))
    return await _edited(door, changes, request, asked, form, idempotency_key)


async def _edited(
    door: Door, changes: Changes, request: Request, asked: Asked, form: Form, key: str | None,
) -> Response:
    asked.values.update(await run_decoding(start_from, door, form, asked.values))
    try:
        return await _drawn(door, changes, request, asked, "image_edit", _used(key, request, asked.values))
    except InvalidRequest as error:
        raise of_pictures(error) if form.further else error from None


async def _drawn(
    door: Door, changes: Changes, request: Request, asked: Asked, kind: str, key: IdempotencyKey | None,
) -> Response:
    job = await run_in_threadpool(_submitted, door, asked.values, key)
    if asked.stream:
        stream = DrawingStream(door, changes, job, asked, kind, goes_on=key is not None)
        return StreamingResponse(stream.events(), media_type="text/event-stream", headers=HEADERS)
    over = await ended(request, door, changes, [job], goes_on=key is not None)
    if over is None:
        return Response(status_code=CLIENT_GONE)
    made = _whole(over[0])
    told = await run_in_threadpool(images_answer, door, made, asked, str(request.base_url))
    return JSONAnswer(told.model_dump(exclude_none=True))


def _used(key: str | None, request: Request, values: Mapping[str, Any]) -> IdempotencyKey | None:
    """The key of a call, which is known again by its address and what it says; pictures by their content."""
    return IdempotencyKey(key, digest({"path": request.url.path, **values})) if key else None


def _submitted(door: Door, values: dict[str, Any], key: IdempotencyKey | None) -> Job:
    try:
        return door.programs.submit(values, Terms(key=key))[0]
    except InvalidRequest as error:
        raise in_their_words(error) from None


def _whole(job: Job) -> Job:
    """JobFailed, NotAllowed."""
    if job.state == "failed":
        raise JobFailed(problems=job.problems)
    if job.state == "cancelled":
        raise NotAllowed("The job was cancelled")
    return job
