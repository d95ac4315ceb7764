"""Rows of jobs, read inside a transaction, and what a worker is told of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, defer

from backend.errors import NotFound
from backend.request.request import Request
from backend.store.fair_queue import SINGLE
from backend.store.history import runnable_request
from backend.store.tables import ImageRow, JobRow
from backend.store.view_types import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job in a worker's hands: what is left to make of it."""

    job: str
    owner: str
    token: str
    created: datetime
    request: Request
    indices: tuple[int, ...]
    plot: str = ""          # whose cell the job is, and which; "" for a job of its own
    cell: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRow:
    """What the queue in memory and whoever holds a job must know of its row."""

    id: str
    owner: str
    place: int
    attempts: int
    plot: str | None
    cell: str | None
    checkpoint: str
    state: State
    lease: str | None
    cancelling: bool


_SEEN = tuple(getattr(JobRow, each.name) for each in fields(QueuedRow))


def seen_rows(session: Session, jobs: Collection[str] | None) -> list[QueuedRow]:
    """Of these jobs, or of all that wait or run."""
    which = JobRow.state.in_(("queued", "running")) if jobs is None else JobRow.id.in_(jobs)
    return [QueuedRow(**row._mapping) for row in session.execute(select(*_SEEN).where(which))]


def pending_jobs(session: Session, owner: str) -> int:
    """How many of the owner's jobs wait or are drawn, cells of plots among them."""
    theirs = JobRow.owner == owner, JobRow.state.in_(("queued", "running"))
    return session.scalar(select(func.count()).select_from(JobRow).where(*theirs)) or 0


def newest(owner: str, limit: int) -> Select[tuple[JobRow]]:
    """Jobs of their own: neither cells of plots, nor what stands for a file that was found."""
    query = select(JobRow).where(JobRow.owner == owner, JobRow.ended.is_distinct_from(JobRow.created))
    query = query.where(JobRow.plot.is_(None), ~JobRow.forgotten)
    return query.order_by(JobRow.sort_moment.desc(), JobRow.place.desc()).limit(limit)


def of_plot(plot: str | None) -> list[ColumnElement[bool]]:
    """The condition "is a cell of this plot", or with `SINGLE` "of none"; None is no condition."""
    if plot is None:
        return []
    return [JobRow.plot.is_(None) if plot == SINGLE else JobRow.plot == plot]


def without_request() -> Select[tuple[JobRow]]:
    """Rows for a change of state: a request may carry a thousand prompts."""
    return select(JobRow).options(defer(JobRow.request))


def owned_row(session: Session, job: str, owner: str) -> JobRow:
    row = session.get(JobRow, job)
    if row is None or row.owner != owner or row.forgotten:
        raise NotFound("There is no such job.")
    return row


def held_row(session: Session, job: str, lease: str) -> JobRow | None:
    return session.scalar(without_request().where(JobRow.id == job, JobRow.lease == lease))


def made_pictures(session: Session, rows: Iterable[JobRow]) -> Mapping[str, set[int]]:
    """Job -> the indices of its pictures that are saved whole or left out on request."""
    made = {row.id: set(row.skipped) for row in rows}
    whole = ImageRow.job.in_(made), ImageRow.index >= 0, ~ImageRow.unfinished
    query = select(ImageRow.job, ImageRow.index).where(*whole)
    for job, index in session.execute(query):
        made[job].add(index)
    return made


def lease_of(row: JobRow, made: Collection[int]) -> Lease:
    request = runnable_request(row.request)
    left = tuple(index for index in range(request.count) if index not in made)
    return Lease(job=row.id, owner=row.owner, token=row.lease or "", created=row.created, request=request, indices=left,
                 plot=row.plot or "", cell=row.cell or "")
