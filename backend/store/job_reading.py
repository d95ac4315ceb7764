"""From a job's row to what others see of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from backend.request.request import Request
from backend.store.history import stored_request
from backend.store.job_transitions import problems_of
from backend.store.tables import ImageRow, JobRow, tolerant_json
from backend.store.view_types import Image, Job, JobLine

GLANCE_PROMPT = 120             # characters
GLANCED = ("prompt", "prompts", "batch_count", "batch_size", "init_image", "process", "loopback_loops",
           "loopback_round")    # the fields of a request that a glance needs
UNREADABLE = (ValueError, TypeError, AttributeError, KeyError)      # what a damaged row raises


def view_of(row: JobRow, request: Request, position: int | None, images: Sequence[Image]) -> Job:
    return Job(id=row.id, owner=row.owner, state=row.state, request=request, position=position, created=row.created,
               started=row.started, ended=row.ended, attempts=row.attempts, problems=problems_of(row),
               notes=tuple(row.notes), images=tuple(images))


def glanced(values: Mapping[str, Any]) -> Request:
    """A stored request with nothing but what tells its prompt and its count: a whole one takes ten times as long."""
    return stored_request({name: values[name] for name in GLANCED if name in values})


def glance_of(request: Request) -> tuple[str, int]:
    return request.prompt[:GLANCE_PROMPT], request.count


def stored_glance(request: str) -> tuple[str, int]:
    """`glance_of` a request as its row holds it; of a damaged one only that it is there."""
    try:
        return glance_of(glanced(tolerant_json(request)))
    except UNREADABLE:
        return "", 1


OF_LINES = (JobRow.id, JobRow.owner, JobRow.state, JobRow.created, JobRow.request, JobRow.problems, JobRow.notes,
            JobRow.dismissed)       # all that `line_of` asks of a row


def line_of(row: JobRow | Row[Any], position: int | None, done: int) -> JobLine:
    request = glanced(row.request)
    return JobLine(id=row.id, state=row.state, position=position, prompt=request.prompt, count=request.count, done=done,
                   created=row.created, problems=problems_of(row), notes=tuple(row.notes), dismissed=row.dismissed)


def saved_counts(session: Session, jobs: Collection[str]) -> dict[str, int]:
    """Job -> how many of its pictures are saved whole; a job without any is left out."""
    if not jobs:
        return {}
    query = select(ImageRow.job, func.count()).where(ImageRow.job.in_(jobs), ImageRow.index >= 0, ~ImageRow.unfinished)
    return dict(map(tuple, session.execute(query.group_by(ImageRow.job))))
