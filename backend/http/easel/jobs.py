"""The page's job routes, and the health check."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from starlette.concurrency import run_in_threadpool

from backend import FIELDS, Job, JobLine
from backend.errors import InvalidRequest, Problem
from backend.http.dependencies import EntireBackend, FrontDoor, Place

SET_OUTSIDE = ("output_name", "output_folder", "process", "source_text")    # of Easel's own fields
Everybody = Annotated[bool, Body(embed=True)]
router = APIRouter(prefix="/easel")


@router.get("/health")
def health(request: Request, backend: EntireBackend) -> dict[str, Any]:
    """Answers whenever the front lives. A stranger (the container's check) learns nothing more."""
    if request.state.user is None:
        return {"status": "ok"}
    return {"status": "ok", **dataclasses.asdict(backend.status())}


@router.get("/jobs")
def jobs(door: FrontDoor, limit: Annotated[int, Query(ge=1, le=500)] = 30) -> dict[str, Any]:
    """The caller's jobs in all states, newest first."""
    return {"jobs": [_line(job) for job in door.job_lines(limit=limit)]}


@router.get("/queue")
def queue(door: FrontDoor, start: Place = 0,
          limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """The caller's running and waiting jobs in running order, as a queue event names the first of them."""
    return {**dataclasses.asdict(door.overview(start, limit)), "may_pause_all": door.may_pause_all()}


@router.post("/queue/pause")
def pause(door: FrontDoor, everybody: Everybody = False) -> dict[str, bool]:
    """None of the caller's waiting jobs starts until they are resumed, or nobody's; what is drawn is finished."""
    door.pause(everybody=everybody)
    return {"ok": True}


@router.post("/queue/resume")
def resume(door: FrontDoor, everybody: Everybody = False) -> dict[str, bool]:
    """Waiting jobs start again."""
    door.pause(on=False, everybody=everybody)
    return {"ok": True}


@router.post("/workers/restart")
def restart_workers(backend: EntireBackend) -> dict[str, bool]:
    """Gives workers that have failed to start another try."""
    backend.restart_workers()
    return {"ok": True}


@router.post("/jobs")
async def submit(door: FrontDoor, request: Request) -> dict[str, Any]:
    """Queues a request: a JSON object of field values by name. What Easel sets itself is not taken from outside.

    `notes` of the answer say which sizes were rounded to what the model takes.
    """
    values = json_object(await request.body())
    refuse_own(values)
    job = await run_in_threadpool(door.submit, values)
    return {**_state(job), "notes": list(job.notes)}


@router.post("/jobs/cancel")
def cancel_all(door: FrontDoor) -> dict[str, bool]:
    """Clears the caller's queue."""
    door.cancel_all()
    return {"ok": True}


@router.post("/jobs/{job}/cancel")
def cancel(door: FrontDoor, job: str) -> dict[str, str]:
    """A waiting job is cancelled at once, a running one within a network call."""
    door.cancel(job)
    return _state(door.job(job))


@router.post("/jobs/dismiss")
def dismiss_all(door: FrontDoor) -> dict[str, bool]:
    """No page of the caller's tells again how a job failed or was cancelled."""
    door.dismiss()
    return {"ok": True}


@router.post("/jobs/{job}/dismiss")
def dismiss(door: FrontDoor, job: str) -> dict[str, bool]:
    """The same of one job."""
    door.dismiss(job)
    return {"ok": True}


@router.post("/jobs/{job}/move")
def move(door: FrontDoor, job: str, to: Annotated[str, Body(embed=True, max_length=100)]) -> dict[str, bool]:
    """A waiting job stands elsewhere among the caller's: "front", "up", "down", "end", or before a job or plot."""
    door.move(job, to)
    return {"ok": True}


@router.post("/jobs/{job}/retry")
def retry(door: FrontDoor, job: str) -> dict[str, str]:
    """Queues a failed or cancelled job again; it makes the same pictures."""
    return _state(door.retry(job))


@router.post("/interrupt")
def interrupt(door: FrontDoor) -> dict[str, bool]:
    """Stops the caller's running job."""
    door.interrupt()
    return {"ok": True}


@router.post("/skip")
def skip(door: FrontDoor) -> dict[str, bool]:
    """Leaves out the picture being drawn and goes on with the next."""
    door.skip()
    return {"ok": True}


def _line(job: JobLine) -> dict[str, Any]:
    return {**dataclasses.asdict(job), "created": job.created.isoformat()}


def refuse_own(values: Mapping[str, Any]) -> None:
    """InvalidRequest for fields that nobody sets from outside."""
    ours = values.keys() - from_outside(values).keys()
    if ours:
        raise InvalidRequest(problems=[Problem("is set by Easel itself", name) for name in values if name in ours])


def from_outside(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without fields that Easel sets itself."""
    return {name: value for name, value in values.items()
            if name not in FIELDS or not FIELDS[name].internal or name in SET_OUTSIDE}


def json_object(body: bytes) -> dict[str, Any]:
    """A body of settings by name. InvalidRequest for another one."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InvalidRequest("The body must be a JSON object of settings by name.")
    return values


def _state(job: Job) -> dict[str, str]:
    return {"id": job.id, "state": job.state}
