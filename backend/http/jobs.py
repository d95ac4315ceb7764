"""The page's job routes, and the health check."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from backend import Job
from backend.http.door import FrontDoor, Owner

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
    return {"jobs": [summary(job) for job in backend.jobs(owner, limit=limit)]}


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


def summary(job: Job) -> dict[str, Any]:
    """What a list shows of a job."""
    return {
        "id": job.id,
        "state": job.state,
        "position": job.position,
        "prompt": job.request.prompt,
        "count": job.request.count,
        "done": len(job.images),
        "created": job.created.isoformat() if job.created else None,
        "problems": [{"field": problem.field, "message": problem.message} for problem in job.problems],
        "notes": list(job.notes),
    }


def _state(job: Job) -> dict[str, str]:
    return {"id": job.id, "state": job.state}
