"""The queue: every job's row and each change of its state.

    queued -> running -> done | failed | cancelled

A job is handed to a worker under a *lease*, a token that no other hand-over will ever have. What a worker says about a
job counts only while the row still carries that token, so a late word of a dead worker changes nothing.

The rows are the truth. Whose turn it is, is kept in memory beside them, so that nothing that happens often is linear in
what waits.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import select, tuple_, update
from sqlalchemy.orm import Session

from backend.errors import NotAllowed, NotFound, Problem
from backend.request.request import Request
from backend.store import job_transitions
from backend.store.checkpoint_affinity import CheckpointAffinity
from backend.store.database import Database
from backend.store.fair_queue import EVERYBODY, SINGLE, FairQueue, WaitingJob
from backend.store.group_commit import GroupCommit
from backend.store.history import images_of, last_place, stored_request
from backend.store.job_arrival import Arrival, Beside, MayQueue, arrival, queued
from backend.store.job_choice import Order, chosen, waiting_of
from backend.store.job_reading import OF_LINES, UNREADABLE, line_of, saved_counts, view_of
from backend.store.job_rows import (
    Lease,
    QueuedRow,
    held_row,
    lease_of,
    made_pictures,
    newest,
    of_plot,
    owned_row,
    seen_rows,
    without_request,
)
from backend.store.job_transitions import Change
from backend.store.plot_ranks import Lines, reorder_plots
from backend.store.queue_lines import QueueLines
from backend.store.queue_order import reorder
from backend.store.queue_queries import QueueLook
from backend.store.tables import JobRow, PausedQueueRow, PlotRow, in_request, now
from backend.store.uploads import FIELDS_OF_PICTURES, stored_pictures
from backend.store.view_types import ENDED, Job, JobLine, Overview, State

PENDING = ("queued", "running")

log = logging.getLogger(__name__)


class Jobs:
    """Rows of jobs. Thread-safe. Reading methods with an `owner` raise NotFound for someone else's job.

    One `Jobs` per database: it knows the queue by heart.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._queue = FairQueue()
        self._affinity = CheckpointAffinity(shared=bool(database.url))
        self._lines = QueueLines(database)
        self._begun: set[str] = set()           # pending jobs that may have pictures
        self._changing = threading.RLock()      # held for a transaction and what follows from it in memory
        self._memory = threading.Lock()         # held for moments, by who reads or changes the queue in memory
        self.look = QueueLook(self._queue, self._memory)
        self._arrivals = GroupCommit(self._changing, self._add)
        self.read_again()
        self.read_pauses()

    # ---- the owner's side ----

    def add_all(self, requests: Sequence[Request], owner: str, notes: Sequence[Sequence[str]] = (),
                beside: Beside | None = None, admission: MayQueue | None = None) -> list[Job]:
        """Queue requests whose seeds are drawn, in their order, all or none, with notes on each; the new jobs.

        Raises what `admission` raises.
        """
        new = arrival(requests, owner, notes, beside, admission)     # before others have to wait for it
        self._arrivals.put(new)
        if new.refused:
            raise new.refused
        rows = new.rows
        self._lines.add({row.id: request for row, request in zip(rows, requests, strict=True)})
        at = self._positions(rows)
        return [view_of(row, request, at[row.id], ()) for row, request in zip(rows, requests, strict=True)]

    def get(self, job: str, owner: str) -> Job:
        with self.database.read() as session:
            return self._views(session, [owned_row(session, job, owner)])[0]

    def recent(self, owner: str, limit: int = 50) -> list[Job]:
        """All states, newest first; not those that stand for a file that was found, which ended as they began."""
        with self.database.read() as session:
            return self._views(session, session.scalars(newest(owner, limit)).all())

    def lines(self, owner: str, limit: int = 50, before: str | None = None,
              states: Collection[State] = ()) -> list[JobLine]:
        """`recent` without the pictures: those after the job `before` of the list, in these states or in all."""
        with self.database.read() as session:
            query = newest(owner, limit)
            if before:
                last = owned_row(session, before, owner)
                query = query.where(tuple_(JobRow.sort_moment, JobRow.place) < (last.sort_moment, last.place))
            query = query.where(JobRow.state.in_(states)) if states else query
            rows = session.execute(query.with_only_columns(*OF_LINES)).all()
            done = saved_counts(session, [row.id for row in rows])
        at = self._positions(rows)
        return [line_of(row, at[row.id], done.get(row.id, 0)) for row in rows]

    def queue(self, owner: str) -> list[Job]:
        """The owner's running and waiting jobs in running order."""
        with self.database.read() as session:
            query = select(JobRow).where(JobRow.owner == owner, JobRow.state.in_(PENDING))
            jobs = self._views(session, session.scalars(query).all())
        return sorted(jobs, key=lambda job: job.position or 0)

    def overview(self, owner: str, start: int = 0, limit: int | None = None) -> Overview:
        """The owner's pending jobs in running order, `limit` of them after the first `start`, and how many there are.

        A plot is one of them, however many of its cells wait. Cheap enough to ask after every change: the database is
        asked only of plots and of jobs that have begun, and once after a restart.
        """
        with self._memory:
            shown, plots = self._queue.lines(owner, start, limit), self._queue.plots(owner)
            total = self._queue.total(owner)
            begun = [job for job, _ in shown if job in self._begun]
            paused, all_paused = map(self._queue.is_paused, (owner, EVERYBODY))
        jobs = self._lines.of(shown, begun, plots)
        return Overview(jobs=tuple(jobs), total=total, paused=paused, all_paused=all_paused)

    def state(self, job: str, owner: str) -> State:
        with self.database.read() as session:
            own = JobRow.id == job, JobRow.owner == owner, ~JobRow.forgotten
            state = session.scalar(select(JobRow.state).where(*own))
        if state is None:
            raise NotFound("There is no such job.")
        return state

    def is_pending(self, job: str) -> bool:
        """Whether the job waits or runs, without a look into the database."""
        with self._memory:
            return self._queue.position(job) is not None

    def about_to_start(self, owner: str) -> str | None:
        """The owner's job that comes next, where nobody's is running."""
        with self._memory:
            return self._queue.about_to_start(owner)

    def cancel(self, job: str, owner: str) -> Change | None:
        """Cancel a waiting job at once, or note the wish for a running one (None: its worker has to be told).

        NotAllowed when it has ended.
        """
        with self.change() as (session, rows):
            row = owned_row(session, job, owner)
            if row.state in ENDED:
                raise NotAllowed(f"The job is {row.state}; there is nothing to cancel.")
            if row.state == "queued":
                rows.append(row)
                return job_transitions.end(row, "cancelled")
            row.cancelling = True
            return None

    def cancel_all(self, owner: str, *states: State, plot: str | None = None) -> tuple[list[str], list[str]]:
        """Cancel the owner's jobs in these states, in one transaction; with `plot` only its cells, or `SINGLE` jobs.

        The ids of waiting ones, which are cancelled at once, and of running ones, whose worker has to be told.
        """
        ended = {"state": "cancelled", "ended": now(), "worker": None, "lease": None, "problems": []}
        with self._changing:
            with self.database.write() as session:
                theirs = update(JobRow).where(JobRow.owner == owner, *of_plot(plot)).returning(JobRow.id)
                waiting = theirs.where(JobRow.state == "queued").values(**ended)
                running = theirs.where(JobRow.state == "running").values(cancelling=True)
                over = list(session.scalars(waiting)) if "queued" in states else []
                told = list(session.scalars(running)) if "running" in states else []
            with self._memory:
                for job in over:
                    self._forget(job)
        return over, told

    def pause(self, owner: str, on: bool) -> list[str]:
        """Let nothing of the owner's start, or of `EVERYBODY`, until it is resumed; what runs goes on.

        The ids of jobs that a worker holds and has not begun: they have to be recalled.
        """
        with self._changing:
            with self.database.write() as session:
                row = session.get(PausedQueueRow, owner)
                if on and not row:
                    session.add(PausedQueueRow(owner=owner))
                elif row and not on:
                    session.delete(row)
            with self._memory:
                self._queue.pause(owner, on)
                return self._queue.ahead(owner) if on else []

    def pause_plot(self, plot: str, owner: str, on: bool) -> list[str]:
        """`pause` of one plot, whose row says so already."""
        with self._changing, self._memory:
            self._queue.pause_plot(plot, on)
            return self._queue.ahead(owner, plot) if on else []

    def move_plot(self, plot: str, owner: str, to: str) -> list[str]:
        """Let a plot come before or behind the owner's other lines: see `plot_ranks`; ids of jobs to be recalled.

        `to` may be the id of a single job: all single ones are one line.
        """
        with self._changing:
            with self._memory:
                plots = self._queue.plots(owner)
                shown = [line for line, position in self._queue.lines(owner) if position or line in plots]
                lines = Lines(self._queue.ranks(owner),
                              list(dict.fromkeys(line if line in plots else SINGLE for line in shown)))
            before = SINGLE if to in shown and to not in plots else to
            with self.database.write() as session:
                ranks = reorder_plots(session, owner, lines, plot, before)
            with self._memory:
                self._queue.rank(owner, ranks)
                return self._queue.ahead(owner)

    def move(self, job: str, owner: str, to: str) -> list[str]:
        """Let a waiting job stand elsewhere among its owner's: see `queue_order.moved`. NotAllowed when it has begun.

        Before a plot it comes with all single jobs, which are one line. The ids of jobs that a worker holds though
        others come before them: they have to be recalled.
        """
        with self._memory:
            shown, plots = [line for line, _ in self._queue.lines(owner)], self._queue.plots(owner)
        if to in plots:
            behind = (line for line in shown[shown.index(to):] if line not in plots)
            return [*self._move_single(job, owner, next(behind, "end")), *self.move_plot(SINGLE, owner, to)]
        return self._move_single(job, owner, to)

    def _move_single(self, job: str, owner: str, to: str) -> list[str]:
        with self.change() as (session, rows):
            row = owned_row(session, job, owner)
            if row.state != "queued":
                raise NotAllowed(f"The job is {row.state}; only a waiting one can be moved.")
            if row.plot:
                raise NotAllowed("The job is a cell of a plot; only the plot as a whole can be moved.")
            changed, overtaken = reorder(session, owner, job, to)
            rows += changed
            return overtaken

    def dismiss(self, owner: str, job: str | None = None) -> None:
        """The owner has read how a job ended that failed or was cancelled; None: all of them."""
        theirs = update(JobRow).where(JobRow.owner == owner, JobRow.state.in_(("failed", "cancelled")))
        with self.database.write() as session:
            if job is not None:
                owned_row(session, job, owner)
                theirs = theirs.where(JobRow.id == job)
            session.execute(theirs.values(dismissed=True))

    def pictures(self) -> set[str]:
        """Ids of the uploads that any job names."""
        with self.database.read() as session:
            columns = [in_request(name) for name in FIELDS_OF_PICTURES]
            return {name for row in session.execute(select(*columns)) for name in stored_pictures(row)}

    def pending(self, owner: str, *states: State) -> list[str]:
        """Ids of the owner's jobs in these states, oldest first."""
        with self.database.read() as session:
            query = select(JobRow.id).where(JobRow.owner == owner, JobRow.state.in_(states)).order_by(JobRow.place)
            return list(session.scalars(query))

    def retry(self, job: str, owner: str, admission: MayQueue | None = None) -> None:
        """Queue a failed or cancelled job again, at the end; pictures that it has are kept. NotAllowed otherwise.

        Raises what `admission` raises.
        """
        with self.change() as (session, rows):
            row = owned_row(session, job, owner)
            if row.state not in ("failed", "cancelled"):
                raise NotAllowed(f"The job is {row.state}; only a failed or cancelled one can be tried again.")
            if admission:
                admission(session, 1)
            job_transitions.again(row, last_place(session) + 1)
            rows.append(row)
            self._begun.add(job)

    def forget(self, job: str, owner: str) -> None:
        """The owner sees the job no more; NotAllowed while it waits or runs and is not cancelled."""
        with self.database.write() as session:
            row = owned_row(session, job, owner)
            if row.state in PENDING and not row.cancelling:
                raise NotAllowed(f"The job is {row.state}; cancel it first.")
            row.forgotten = True

    # ---- the worker's side ----

    def lease(
        self, worker: str, room: int, held: Collection[str] = (), cells: int = 1, loaded: str = ""
    ) -> list[Lease]:
        """Up to `room` next jobs for a worker that has `held` in its hands already, and a checkpoint `loaded`.

        Up to `cells` jobs of one plot count as one, and join those of their plot that are held.

        The first runs at once if there is nothing held; the others are leased ahead and stay queued until `start`.
        A job over which a worker died is handed out alone, so that no neighbour dies with it.
        """
        with self._changing:
            order = partial(self._affinity.order, worker=worker, loaded=loaded)
            while next_ones := self._choose(room, held, cells, order):
                try:
                    if leases := self._lease(worker, next_ones, held):
                        return leases
                except UNREADABLE:
                    log.exception("one of the jobs %s cannot be read", next_ones)
                    if len(next_ones) == 1:
                        self._set_aside(next_ones[0])
                    room = cells = 1    # the others are not held up by it
        return []

    def start(self, job: str, lease: str) -> Change | None:
        """The worker has begun: queued -> running. None when it runs already or the lease is over."""
        with self.change() as (session, rows):
            row = held_row(session, job, lease)
            if row is None or row.state != "queued":
                return None
            rows.append(row)
            return job_transitions.start(row)

    def skip(self, job: str, lease: str, index: int) -> None:
        """Picture `index` was left out on request and will not be made later."""
        with self.database.write() as session:
            row = held_row(session, job, lease)
            if row and index not in row.skipped:
                row.skipped = [*row.skipped, index]

    def note(self, job: str, lease: str, text: str) -> None:
        """Something that the person should know of a job that goes on."""
        with self.database.write() as session:
            row = held_row(session, job, lease)
            if row and text not in row.notes:
                row.notes = [*row.notes, text]

    def finish(self, job: str, lease: str, state: State, problems: Iterable[Problem] = ()) -> Change | None:
        """The job has ended; None when the lease is over."""
        with self.change() as (session, rows):
            row = held_row(session, job, lease)
            if row is None:
                return None
            rows.append(row)
            return job_transitions.end(row, state, problems)

    def lose(self, leases: Collection[str], problem: Problem) -> list[Change]:
        """Their worker died. Running jobs go back to their old place.

        The second time that one made no picture since the death before, it fails with `problem`.
        """
        with self.change() as (session, rows):
            rows += session.scalars(without_request().where(JobRow.lease.in_(leases)))
            made = made_pictures(session, rows)
            return [job_transitions.lose(row, len(made[row.id]), problem) for row in rows]

    def release(self, leases: Collection[str] | None = None) -> list[Change]:
        """Take jobs back unharmed because their worker was ended on purpose; None takes every lease back."""
        query = without_request().where(JobRow.state.in_(PENDING))
        if leases is not None:
            query = query.where(JobRow.lease.in_(leases))
        with self.change() as (session, rows):
            rows += [row for row in session.scalars(query) if row.lease or row.state == "running"]
            return [job_transitions.requeue(row) for row in rows]

    # ---- beside other fronts on the same database ----

    def read_again(self, jobs: Collection[str] | None = None) -> list[QueuedRow]:
        """Bring the queue in memory up to the rows of these jobs, or of all pending ones; those that were found."""
        with self._changing:
            with self.database.read() as session:
                seen = seen_rows(session, jobs)
            with self._memory:
                for job in (self._queue.ids() if jobs is None else jobs) - {each.id for each in seen}:
                    self._forget(job)
                for each in seen:
                    self._place(waiting_of(each), each.state, each.lease)
                    if jobs is None and each.state not in ENDED:
                        self._begun.add(each.id)
        return seen

    def read_pauses(self) -> None:
        """Bring what is paused, and in which order plots come, up to its rows."""
        with self._changing:
            with self.database.read() as session:
                owners = set(session.scalars(select(PausedQueueRow.owner)))
                plots = session.scalars(select(PlotRow).where(PlotRow.id.in_(self._queue.known_plots())
                                                              | PlotRow.paused | (PlotRow.rank != 0))).all()
            with self._memory:
                self._queue.pause_only(owners)
                for plot in plots:
                    self._queue.pause_plot(plot.id, plot.paused)
                    self._queue.rank(plot.owner, {plot.id: plot.rank})

    def take_over(self, front: str) -> list[Change]:
        """Let the jobs wait again that a front had which is gone."""
        theirs = JobRow.lease.startswith(f"{front}.", autoescape=True)
        query = without_request().where(JobRow.state.in_(PENDING), theirs)
        with self.change() as (session, rows):
            rows += session.scalars(query)
            return [job_transitions.requeue(row) for row in rows]

    def is_held(self, job: str, lease: str) -> bool:
        with self.database.read() as session:
            return session.scalar(select(JobRow.id).where(JobRow.id == job, JobRow.lease == lease)) is not None

    # ---- inside ----

    def _add(self, arrivals: Sequence[Arrival]) -> None:
        with self.change() as (session, rows):
            rows += queued(session, arrivals)

    @contextmanager
    def change(self) -> Iterator[tuple[Session, list[Any]]]:
        """One transaction. The rows that are put into the list change their place in the queue when it is committed."""
        rows: list[Any] = []
        with self._changing:
            with self.database.write() as session:
                yield session, rows
            with self._memory:
                for row in rows:
                    self._place(waiting_of(row), row.state, row.lease)

    def _place(self, job: WaitingJob, state: State, lease: str | None) -> None:
        if state in ENDED:
            self._forget(job.id)
        elif lease or state == "running":
            self._queue.fly(job, running=state == "running")
            self._begun.add(job.id)
        else:
            self._queue.wait(job)

    def _forget(self, job: str) -> None:
        self._queue.drop(job)
        self._lines.forget(job)
        self._begun.discard(job)

    def _choose(self, room: int, held: Collection[str], cells: int, order: Order) -> list[str]:
        """Ids of the next jobs to lease."""
        with self._memory:
            found = chosen(self._queue, room, held, cells, order)
            self._affinity.taken(found)
        return found

    def _lease(self, worker: str, chosen: Sequence[str], held: Collection[str]) -> list[Lease]:
        with self.change() as (session, rows):
            query = select(JobRow).where(JobRow.id.in_(chosen), JobRow.state == "queued", JobRow.lease.is_(None))
            rows += sorted(session.scalars(query), key=lambda row: chosen.index(row.id))
            made = made_pictures(session, rows)
            for row in rows:
                row.worker, row.lease = worker, f"{self.database.front}.{secrets.token_hex(8)}"
            leases = [lease_of(row, made[row.id]) for row in rows]
            if rows and not held:
                job_transitions.start(rows[0])
        with self._memory:
            for row in rows:
                self._queue.turn(row.owner, row.plot or SINGLE)
            for job in {*chosen} - {row.id for row in rows}:    # somebody else has changed the row
                self._forget(job)
        return leases

    def _set_aside(self, job: str) -> None:
        with self.database.write() as session:
            session.execute(update(JobRow).where(JobRow.id == job).values(**job_transitions.damaged()))
        with self._memory:
            self._forget(job)

    def _positions(self, rows: Sequence[JobRow]) -> dict[str, int | None]:
        """Of one owner's rows by id; None for what has ended."""
        pending = [row for row in rows if row.state not in ENDED]
        with self._memory:
            known = self._queue.positions(pending[0].owner, [row.id for row in pending]) if pending else {}
        return {row.id: None if row.state in ENDED else known[row.id] or int(row.state == "queued") for row in rows}

    def _views(self, session: Session, rows: Sequence[JobRow]) -> list[Job]:
        requests = {row.id: stored_request(row.request) for row in rows}
        images = images_of(session, requests)
        at = self._positions(rows)
        return [view_of(row, requests[row.id], at[row.id], images[row.id]) for row in rows]
