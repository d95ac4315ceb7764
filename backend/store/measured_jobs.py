"""Jobs that were drawn before, from which the time of others is told, and their files, from which the size is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from backend.request.request import Request
from backend.store.database import Database
from backend.store.history import stored_request
from backend.store.tables import ImageRow, JobRow

LOOKED_AT = 60          # of the newest jobs


@dataclass(frozen=True, slots=True)
class MeasuredJob:
    """A job that is done; moments in seconds since the epoch."""

    request: Request
    started: float
    ended: float


@dataclass(frozen=True, slots=True)
class MeasuredFile:
    """A picture's file: `path` below the outputs folder."""

    path: str
    pixels: int


class MeasuredJobs:
    """Everybody's, because they run on the same devices; nothing of a job but its cost leaves this."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, checkpoint: str | None = None) -> list[MeasuredJob]:
        """The jobs that were done last, those of one checkpoint or of any."""
        query = select(JobRow.request, JobRow.started, JobRow.ended).where(JobRow.state == "done")
        query = query.where(JobRow.ended > JobRow.started).order_by(JobRow.place.desc()).limit(LOOKED_AT)
        if checkpoint is not None:
            query = query.where(JobRow.checkpoint == checkpoint)
        with self._database.read() as session:
            return [MeasuredJob(stored_request(request), started.timestamp(), ended.timestamp())
                    for request, started, ended in session.execute(query)]

    def files(self, kind: str) -> list[MeasuredFile]:
        """The pictures of a file format that were made last."""
        query = select(ImageRow.path, ImageRow.width, ImageRow.height).where(ImageRow.format == kind)
        query = query.where(ImageRow.index >= 0, ~ImageRow.deleted).order_by(ImageRow.number.desc()).limit(LOOKED_AT)
        with self._database.read() as session:
            return [MeasuredFile(path, width * height) for path, width, height in session.execute(query)]


def busy_seconds(jobs: Iterable[MeasuredJob]) -> float:
    """How long at least one of the jobs was drawn: those that ran side by side count once."""
    total, until = 0.0, float("-inf")
    for job in sorted(jobs, key=lambda job: job.started):
        total += max(job.ended - max(job.started, until), 0.0)
        until = max(until, job.ended)
    return total


def middle(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return sorted(values)[len(values) // 2] if values else None
