"""Webhooks: whom to tell how a job ended, and whether that has been done. Kept over a restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, delete, func, or_, select

from backend.store.database import Database
from backend.store.job_rows import owned_row
from backend.store.tables import JobRow, WebhookRow

CLAIMED = timedelta(minutes=2)      # several times what an attempt may take
TOLD_STATES = ("done", "failed")
WebhookState = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address, and the secret that signs what is sent there; "" signs nothing."""

    url: str
    secret: str = ""


@dataclass(frozen=True, slots=True)
class WebhookView:
    """What a job's owner sees of its webhook; the secret is never told."""

    url: str
    state: WebhookState
    attempts: int               # that failed since the job's last end
    problem: str                # why the last one failed


@dataclass(frozen=True, slots=True)
class Notice:
    """A webhook whose job has ended and that has not been told."""

    job: str
    owner: str
    ended: datetime
    webhook: Webhook
    attempts: int


class Webhooks:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, job: str, owner: str) -> WebhookView | None:
        """That of a job; None where it has none. NotFound for somebody else's job."""
        with self._database.read() as session:
            ended, row = owned_row(session, job, owner).ended, session.get(WebhookRow, job)
            return _view(row, ended) if row else None

    def due(self, moment: datetime, but: Sequence[str], limit: int) -> list[Notice]:
        """Those to send at this moment, the longest due first, without the jobs in `but`.

        Beside other fronts they are this one's for `CLAIMED`; which then ends without having told how it went is gone.
        """
        query = select(WebhookRow, JobRow.owner, JobRow.ended).join(JobRow, JobRow.id == WebhookRow.job)
        query = query.where(*_untold(), WebhookRow.due <= moment, JobRow.id.not_in(but))
        shared = bool(self._database.url)
        with self._database.write() if shared else self._database.read() as session:
            rows = session.execute(query.order_by(WebhookRow.due).limit(limit)).all()
            for row, *_ in rows if shared else ():
                row.due = moment + CLAIMED
            return [Notice(row.job, owner, ended, Webhook(row.url, row.secret), row.attempts)
                    for row, owner, ended in rows]

    def next_due(self, but: Sequence[str]) -> datetime | None:
        """When the next one is due, without the jobs in `but`; None where no job that has ended has one left."""
        query = select(func.min(WebhookRow.due)).join(JobRow, JobRow.id == WebhookRow.job)
        with self._database.read() as session:
            return session.scalar(query.where(*_untold(), JobRow.id.not_in(but)))

    def delivered(self, notice: Notice) -> None:
        """It was told."""
        with self._row(notice) as row:
            row.settled, row.attempts, row.problem = notice.ended, 0, ""

    def refused(self, notice: Notice, problem: str, again: datetime | None) -> None:
        """It could not be told; None for `again` gives it up."""
        with self._row(notice) as row:
            row.attempts, row.problem = notice.attempts + 1, problem
            row.due, row.settled = again or row.due, None if again else notice.ended

    def forget(self, before: datetime) -> None:
        """Those of jobs that ended before this moment and were told, or given up."""
        with self._database.write() as session:
            session.execute(delete(WebhookRow).where(WebhookRow.settled < before))

    @contextmanager
    def _row(self, notice: Notice) -> Iterator[WebhookRow]:
        with self._database.write() as session:
            yield session.get_one(WebhookRow, notice.job)


def webhook_row(job: str, webhook: Webhook) -> WebhookRow:
    """The row of a new job's webhook."""
    return WebhookRow(job=job, url=webhook.url, secret=webhook.secret)


def _untold() -> list[ColumnElement[bool]]:
    return [JobRow.state.in_(TOLD_STATES), JobRow.ended.is_not(None), ~JobRow.forgotten,
            or_(WebhookRow.settled.is_(None), WebhookRow.settled != JobRow.ended)]


def _view(row: WebhookRow, ended: datetime | None) -> WebhookView:
    over = ended is not None and row.settled == ended
    state: WebhookState = ("failed" if row.problem else "delivered") if over else "waiting"
    return WebhookView(row.url, state, row.attempts, row.problem)
