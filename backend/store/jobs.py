"""The queue: every job's row and each change of its state.

    queued -> running -> done | failed | cancelled

A job is handed to a worker under a *lease*, a token that no other hand-over will ever have. What a worker says about a
job counts only while the row still carries that token, so a late word of a dead worker changes nothing.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.errors import NotAllowed, NotFound, Problem
from backend.request.request import Request
from backend.store.database import Database
from backend.store.fair_scheduler import Waiting, running_order
from backend.store.history import images_of, last_place, new_id, stored_request
from backend.store.tables import ImageRow, JobRow, now
from backend.store.uploads import FIELDS_OF_PICTURES
from backend.store.views import ENDED, Glance, Image, Job, State

MAX_ATTEMPTS = 2                # the second worker that dies over a job is the last
GLANCE_PROMPT = 200             # characters
PENDING = ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job in a worker's hands: what is left to make of it."""

    job: str
    owner: str
    token: str
    created: datetime
    request: Request
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A job whose state has just changed."""

    job: str
    owner: str
    state: State
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


class Jobs:
    """Rows of jobs. Thread-safe. Reading methods with an `owner` raise NotFound for someone else's job."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: dict[str, int] = {}        # owner -> when the last turn was; a restart may forget it
        self._clock = 0
        self._lease_lock = threading.Lock()

    # ---- the owner's side ----

    def add(self, request: Request, owner: str) -> str:
        """Queue a request whose seeds are drawn; the new job's id."""
        with self._database.write() as session:
            row = JobRow(id=new_id(), owner=owner, place=last_place(session) + 1, request=request.to_json(),
                         checkpoint=request.checkpoint)
            session.add(row)
            return row.id

    def get(self, job: str, owner: str) -> Job:
        with self._database.read() as session:
            return self._views(session, [_owned(session, job, owner)])[0]

    def recent(self, owner: str, limit: int = 50) -> list[Job]:
        """All states, newest first; not those that stand for a file that was found, which ended as they began."""
        with self._database.read() as session:
            query = select(JobRow).where(JobRow.owner == owner, JobRow.ended.is_distinct_from(JobRow.created))
            query = query.order_by(JobRow.created.desc(), JobRow.place.desc())
            return self._views(session, session.scalars(query.limit(limit)).all())

    def queue(self, owner: str) -> list[Job]:
        """The owner's running and waiting jobs in running order."""
        with self._database.read() as session:
            query = select(JobRow).where(JobRow.owner == owner, JobRow.state.in_(PENDING))
            jobs = self._views(session, session.scalars(query).all())
        return sorted(jobs, key=lambda job: job.position or 0)

    def glance(self, owner: str) -> list[Glance]:
        """`queue` without what only a closer look needs: cheap enough to ask after every change."""
        made = select(func.count()).where(ImageRow.job == JobRow.id, ImageRow.index >= 0).scalar_subquery()
        query = select(JobRow, made).where(JobRow.owner == owner, JobRow.state.in_(PENDING))
        with self._database.read() as session:
            rows = session.execute(query).all()
            positions = self._positions(session) if rows else {}
            found = [_glance(row, positions.get(row.id, 0), done) for row, done in rows]
        return sorted(found, key=lambda glance: glance.position)

    def state(self, job: str, owner: str) -> State:
        with self._database.read() as session:
            return _owned(session, job, owner).state

    def cancel(self, job: str, owner: str) -> Change | None:
        """Cancel a waiting job at once, or note the wish for a running one (None: its worker has to be told).

        NotAllowed when it has ended.
        """
        with self._database.write() as session:
            row = _owned(session, job, owner)
            if row.state in ENDED:
                raise NotAllowed(f"The job is {row.state}; there is nothing to cancel.")
            if row.state == "queued":
                return _end(row, "cancelled")
            row.cancelling = True
            return None

    def pictures(self) -> set[str]:
        """Ids of the uploads that any job names."""
        with self._database.read() as session:
            columns = [JobRow.request[name].as_string() for name in FIELDS_OF_PICTURES]
            return {name for row in session.execute(select(*columns)) for name in row if name}

    def pending(self, owner: str, *states: State) -> list[str]:
        """Ids of the owner's jobs in these states, oldest first."""
        with self._database.read() as session:
            query = select(JobRow.id).where(JobRow.owner == owner, JobRow.state.in_(states)).order_by(JobRow.place)
            return list(session.scalars(query))

    def retry(self, job: str, owner: str) -> None:
        """Queue a failed or cancelled job again, at the end; pictures that it has are kept. NotAllowed otherwise."""
        with self._database.write() as session:
            row = _owned(session, job, owner)
            if row.state not in ("failed", "cancelled"):
                raise NotAllowed(f"The job is {row.state}; only a failed or cancelled one can be tried again.")
            row.state, row.place, row.attempts = "queued", last_place(session) + 1, 0
            row.started = row.ended = None
            row.problems, row.skipped, row.cancelling = [], [], False

    # ---- the worker's side ----

    def lease(self, worker: str, room: int, held: Collection[str] = ()) -> list[Lease]:
        """Up to `room` next jobs for a worker that has `held` in its hands already.

        The first runs at once if there is nothing held; the others are leased ahead and stay queued until `start`.
        A job over which a worker died is handed out alone, so that no neighbour dies with it.
        """
        with self._lease_lock, self._database.write() as session:
            chosen = self._choose(session, room, held)
            leases = []
            for row in chosen:
                self._clock += 1
                self._turns[row.owner] = self._clock
                row.worker, row.lease = worker, secrets.token_hex(8)
                leases.append(_lease_of(session, row))
            if chosen and not held:
                _start(chosen[0])
            return leases

    def start(self, job: str, lease: str) -> Change | None:
        """The worker has begun: queued -> running. None when it runs already or the lease is over."""
        with self._database.write() as session:
            row = _held(session, job, lease)
            return _start(row) if row and row.state == "queued" else None

    def skip(self, job: str, lease: str, index: int) -> None:
        """Picture `index` was left out on request and will not be made later."""
        with self._database.write() as session:
            row = _held(session, job, lease)
            if row and index not in row.skipped:
                row.skipped = [*row.skipped, index]

    def note(self, job: str, lease: str, text: str) -> None:
        """Something that the person should know of a job that goes on."""
        with self._database.write() as session:
            row = _held(session, job, lease)
            if row and text not in row.notes:
                row.notes = [*row.notes, text]

    def finish(self, job: str, lease: str, state: State, problems: Iterable[Problem] = ()) -> Change | None:
        """The job has ended; None when the lease is over."""
        with self._database.write() as session:
            row = _held(session, job, lease)
            return _end(row, state, problems) if row else None

    def lose(self, leases: Collection[str], problem: Problem) -> list[Change]:
        """Their worker died. Running jobs go back to their old place, or fail with `problem` the second time."""
        with self._database.write() as session:
            rows = session.scalars(select(JobRow).where(JobRow.lease.in_(leases))).all()
            return [_lose(row, problem) for row in rows]

    def release(self, leases: Collection[str] | None = None) -> list[Change]:
        """Take jobs back unharmed because the house stops or has started anew; None takes every lease back."""
        query = select(JobRow).where(JobRow.state.in_(PENDING))
        if leases is not None:
            query = query.where(JobRow.lease.in_(leases))
        with self._database.write() as session:
            return [_requeue(row) for row in session.scalars(query) if row.lease or row.state == "running"]

    def is_held(self, job: str, lease: str) -> bool:
        with self._database.read() as session:
            return _held(session, job, lease) is not None

    # ---- inside ----

    def _choose(self, session: Session, room: int, held: Collection[str]) -> list[JobRow]:
        busy = session.execute(select(JobRow.id, JobRow.attempts).where(JobRow.id.in_(held))).all()
        order = [job for job in self._order(session) if job.id not in held]
        if not order or room < 1 or any(attempts for _, attempts in busy):
            return []
        if order[0].attempts:
            order = [] if held else order[:1]
        innocent = next((i for i, job in enumerate(order) if i and job.attempts), room)
        return [session.get_one(JobRow, job.id) for job in order[:min(room, innocent)]]

    def _order(self, session: Session) -> list[Waiting]:
        """Everyone's waiting jobs that no worker holds, in running order."""
        columns = (JobRow.id, JobRow.owner, JobRow.place, JobRow.attempts)
        waiting = session.execute(select(*columns).where(JobRow.state == "queued", JobRow.lease.is_(None)))
        flying = session.scalars(select(JobRow.owner).where(JobRow.state.in_(PENDING), JobRow.lease.is_not(None)))
        return running_order([Waiting(*row) for row in waiting], Counter(flying), self._turns)

    def _positions(self, session: Session) -> dict[str, int]:
        ahead = select(JobRow.id).where(JobRow.state == "queued", JobRow.lease.is_not(None)).order_by(JobRow.place)
        line = [*session.scalars(ahead), *(job.id for job in self._order(session))]
        return {job: position for position, job in enumerate(line, 1)}

    def _views(self, session: Session, rows: Sequence[JobRow]) -> list[Job]:
        positions = self._positions(session) if any(row.state == "queued" for row in rows) else {}
        requests = {row.id: stored_request(row.request) for row in rows}
        images = images_of(session, requests)
        return [_view(row, requests[row.id], positions.get(row.id, 0), images[row.id]) for row in rows]


def _view(row: JobRow, request: Request, position: int, images: Sequence[Image]) -> Job:
    return Job(id=row.id, owner=row.owner, state=row.state, request=request,
               position=None if row.state in ENDED else position, created=row.created, started=row.started,
               ended=row.ended, attempts=row.attempts, problems=_problems(row), notes=tuple(row.notes),
               images=tuple(images))


def _glance(row: JobRow, position: int, done: int) -> Glance:
    request = stored_request(row.request)
    return Glance(id=row.id, state=row.state, position=position, prompt=request.prompt[:GLANCE_PROMPT],
                  count=request.count, done=done)


def _problems(row: JobRow) -> tuple[Problem, ...]:
    return tuple(Problem(**problem) for problem in row.problems)


def _owned(session: Session, job: str, owner: str) -> JobRow:
    row = session.get(JobRow, job)
    if row is None or row.owner != owner:
        raise NotFound("There is no such job.")
    return row


def _held(session: Session, job: str, lease: str) -> JobRow | None:
    return session.scalar(select(JobRow).where(JobRow.id == job, JobRow.lease == lease))


def _lease_of(session: Session, row: JobRow) -> Lease:
    request = stored_request(row.request)
    made = set(session.scalars(select(ImageRow.index).where(ImageRow.job == row.id))) | set(row.skipped)
    left = tuple(index for index in range(request.count) if index not in made)
    return Lease(job=row.id, owner=row.owner, token=row.lease or "", created=row.created, request=request, indices=left)


def _change(row: JobRow) -> Change:
    return Change(row.id, row.owner, row.state, _problems(row), tuple(row.notes))


def _start(row: JobRow) -> Change:
    row.state, row.started = "running", row.started or now()
    return _change(row)


def _end(row: JobRow, state: State, problems: Iterable[Problem] = ()) -> Change:
    row.state, row.ended, row.worker, row.lease, row.cancelling = state, now(), None, None, False
    row.problems = [{"field": problem.field, "message": problem.message} for problem in problems]
    return _change(row)


def _requeue(row: JobRow) -> Change:
    if row.cancelling:
        return _end(row, "cancelled")
    row.state, row.started, row.worker, row.lease = "queued", None, None, None
    return _change(row)


def _lose(row: JobRow, problem: Problem) -> Change:
    row.attempts += row.state == "running"
    if row.state == "running" and row.attempts >= MAX_ATTEMPTS and not row.cancelling:
        return _end(row, "failed", [problem])
    return _requeue(row)
