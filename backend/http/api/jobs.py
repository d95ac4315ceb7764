"""/api/jobs: requests by field names, queued at once; looked at, waited for, cancelled, tried again, deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from backend import Door, InvalidRequest, NotFound, Problem, State
from backend.facade.api_jobs import Terms
from backend.http.api.idempotency import Key, digest
from backend.http.api.schemas import PROBLEMS, JobList, JobTold, PicturesToo, job_summary, job_told
from backend.http.async_watch import ENDED, Changes
from backend.http.dependencies import FrontDoor, Watch
from backend.http.easel.jobs import json_object, refuse_own
from backend.store.idempotency_keys import IdempotencyKey
from backend.store.webhooks import Webhook

WEBHOOK = "webhook"             # the one name in a body that is no field
MOST_WAIT = 60                  # seconds
Wait = Annotated[float, Query(ge=0, le=MOST_WAIT,
                              description="Answer when the job has ended, or after so many seconds.")]
Cursor = Annotated[str | None, Query(max_length=100, description="`next_cursor` of the page before.")]
router = APIRouter(prefix="/api", tags=["Jobs"], responses=PROBLEMS)


@router.post("/jobs", status_code=201, responses={200: {"description": "Known already by its key", "model": JobTold}})
async def submit(
    door: FrontDoor, changes: Watch, request: Request, response: Response, idempotency_key: Key = None, wait: Wait = 0,
) -> JobTold:
    """Queues a request: field values by name (`GET /api/fields`), and a `webhook` to be told of its end.

    What is left out takes the caller's preferences, then the checkpoint's defaults. Every wrong field is named.
    """
    values = json_object(await request.body())
    key = IdempotencyKey(idempotency_key, digest(values)) if idempotency_key else None
    terms = Terms(_webhook(values.pop(WEBHOOK, None)), key)
    refuse_own(values)
    job, is_new = await run_in_threadpool(door.programs.submit, values, terms)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return await _when_ended(door, changes, job.id, wait)


@router.get("/jobs")
def jobs(
    door: FrontDoor, limit: Annotated[int, Query(ge=1, le=500)] = 50, cursor: Cursor = None,
    state: Annotated[list[State] | None, Query(description="Only these; may be given several times.")] = None,
) -> JobList:
    """The caller's jobs, newest first."""
    try:
        lines = door.programs.page(limit + 1, cursor, state or ())
    except NotFound:
        raise InvalidRequest("is not the cursor of a page", field="cursor") from None
    shown = [job_summary(line) for line in lines[:limit]]
    return JobList(jobs=shown, next_cursor=shown[-1].id if len(lines) > limit else None)


@router.get("/jobs/{job}")
async def job(door: FrontDoor, changes: Watch, job: str, wait: Wait = 0) -> JobTold:
    """A job, at once or when it has ended."""
    return await _when_ended(door, changes, job, wait)


@router.post("/jobs/{job}/cancel")
def cancel(door: FrontDoor, job: str) -> JobTold:
    """Ends a waiting job at once, a running one within a network call; 409 when it has ended."""
    door.cancel(job)
    return told(door, job)


@router.post("/jobs/{job}/retry")
def retry(door: FrontDoor, job: str) -> JobTold:
    """Queues a failed or cancelled job again; it makes the same pictures, and keeps those that it has."""
    door.retry(job)
    return told(door, job)


@router.delete("/jobs/{job}", status_code=204)
def delete(door: FrontDoor, job: str, pictures: PicturesToo = False) -> None:
    """Forgets a job; one that waits or runs is cancelled first. Its pictures stay in the history."""
    door.programs.forget(job, pictures=pictures)


@router.get("/jobs/{job}/preview", response_class=Response, responses={
    200: {"content": {"image/jpeg": {}}}, 204: {"description": "There is none."}})
def preview(door: FrontDoor, job: str) -> Response:
    """The newest rough picture of a running job, a JPEG."""
    jpeg = door.preview(job)
    return Response(jpeg, 200 if jpeg else 204, {"Cache-Control": "no-store"}, "image/jpeg")


def told(door: Door, job: str) -> JobTold:
    return job_told(door.job(job), door.live(job), door.programs.webhook(job))


async def _when_ended(door: Door, changes: Changes, job: str, wait: float) -> JobTold:
    now = await run_in_threadpool(told, door, job)
    if not wait or now.state in ENDED:
        return now
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changes.ended(door, job), wait)
    return await run_in_threadpool(told, door, job)


def _webhook(asked: Any) -> Webhook | None:
    """InvalidRequest for what is none."""
    if asked is None:
        return None
    if not isinstance(asked, Mapping) or not isinstance(asked.get("url"), str):
        raise InvalidRequest('must be an object with an "url", and a "secret" to sign with', field=WEBHOOK)
    problems = [Problem("is not known here", f"{WEBHOOK}.{name}") for name in asked if name not in ("url", "secret")]
    secret = asked.get("secret") or ""
    if not isinstance(secret, str):
        problems.append(Problem("must be text", f"{WEBHOOK}.secret"))
    if problems:
        raise InvalidRequest(problems=problems)
    return Webhook(asked["url"], secret)
