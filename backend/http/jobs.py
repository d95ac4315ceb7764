"""The page's job routes, and the health check."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from backend import FIELDS, Job, JobLine
from backend.errors import InvalidRequest, Problem
from backend.http.dependencies import FrontDoor, Owner

SET_OUTSIDE = ("output_name", "output_folder", "process", "source_text")    # of Easel's own fields
router = APIRouter(prefix="/easel")


@router.get("/health")
def health(request: Request, backend: FrontDoor) -> dict[str, Any]:
    """Answers whenever the front lives. A stranger (the container's check) learns nothing more."""
    if request.state.user is None:
        return {"status": "ok"}
    return {"status": "ok", **dataclasses.asdict(backend.status())}


@router.get("/jobs")
def jobs(backend: FrontDoor, owner: Owner, limit: Annotated[int, Query(ge=1, le=500)] = 30) -> dict[str, Any]:
    """The caller's jobs in all states, newest first."""
    return {"jobs": [_line(job) for job in backend.job_lines(owner, limit=limit)]}


@router.get("/queue")
def queue(backend: FrontDoor, owner: Owner, start: Annotated[int, Query(ge=0)] = 0,
          limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """The caller's running and waiting jobs in running order, as a queue event names the first of them."""
    return dataclasses.asdict(backend.overview(owner, start, limit))


@router.post("/workers/restart")
def restart_workers(backend: FrontDoor, _: Owner) -> dict[str, bool]:
    """Gives workers that have failed to start another try."""
    backend.restart_workers()
    return {"ok": True}


@router.post("/jobs")
async def submit(backend: FrontDoor, owner: Owner, request: Request) -> dict[str, str]:
    """Queues a request: a JSON object of field values by name. What Easel sets itself is not taken from outside."""
    values = await _values(request)
    ours = [name for name in values if name in FIELDS and FIELDS[name].internal and name not in SET_OUTSIDE]
    problems = [Problem("is set by Easel itself", name) for name in ours]
    if problems:
        raise InvalidRequest(problems=problems)
    return _state(await run_in_threadpool(backend.submit, values, owner))


@router.post("/jobs/cancel")
def cancel_all(backend: FrontDoor, owner: Owner) -> dict[str, bool]:
    """Clears the caller's queue."""
    backend.cancel_all(owner)
    return {"ok": True}


@router.post("/jobs/{job}/cancel")
def cancel(backend: FrontDoor, owner: Owner, job: str) -> dict[str, str]:
    """A waiting job is cancelled at once, a running one within a network call."""
    backend.cancel(job, owner)
    return _state(backend.job(job, owner))


@router.post("/jobs/{job}/retry")
def retry(backend: FrontDoor, owner: Owner, job: str) -> dict[str, str]:
    """Queues a failed or cancelled job again; it makes the same pictures."""
    return _state(backend.retry(job, owner))


@router.post("/interrupt")
def interrupt(backend: FrontDoor, owner: Owner) -> dict[str, bool]:
    """Stops the caller's running job."""
    backend.interrupt(owner)
    return {"ok": True}


@router.post("/skip")
def skip(backend: FrontDoor, owner: Owner) -> dict[str, bool]:
    """Leaves out the picture being drawn and goes on with the next."""
    backend.skip(owner)
    return {"ok": True}


def _line(job: JobLine) -> dict[str, Any]:
    return {**dataclasses.asdict(job), "created": job.created.isoformat()}


async def _values(request: Request) -> dict[str, Any]:
    try:
        values = json.loads(await request.body())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InvalidRequest("The body must be a JSON object of settings by name.")
    return values


def _state(job: Job) -> dict[str, str]:
    return {"id": job.id, "state": job.state}
