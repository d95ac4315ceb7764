"""Plots: a row for what cells have in common, and the cells, which are rows of `jobs` and drawn as these are.

Pauses, deaths and repeats are the queue's; what is done and what is left is told by the states of the cells.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, select, tuple_, update
from sqlalchemy.orm import Session

from backend.errors import InvalidRequest, NotAllowed, NotFound
from backend.request.request import Request
from backend.store import job_transitions
from backend.store.history import end_of_queue, last_place, new_id
from backend.store.idempotency_keys import IdempotencyKey, idempotency_row
from backend.store.job_arrival import MayQueue
from backend.store.job_rows import without_request
from backend.store.jobs import Jobs
from backend.store.plot_reading import Cell, Counts, PlotHead, cells_of, covers, head_of, plot_counts, plot_row
from backend.store.tables import ImageRow, JobRow, PlotRow, next_sort_moment, now
from backend.store.view_types import ENDED

LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotDraft:
    """What a new plot's row will say."""

    title: str
    kind: str
    axes: Sequence[dict[str, Any]]
    request: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellDraft:
    """A cell that is still to be queued: its coordinates, its request with seeds drawn, and what to say of it."""

    cell: str
    request: Request
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotLine:
    """A plot in a list. `cover` is the id of one of its pictures, "" before there is one."""

    head: PlotHead
    counts: Counts
    cover: str = ""


@dataclass(frozen=True, slots=True)
class _Queued:
    """A row of `jobs` that has just been written, as far as the queue is concerned."""

    id: str
    owner: str
    place: int
    plot: str
    checkpoint: str
    attempts: int = 0
    state: str = "queued"
    lease: str | None = field(default=None)


class Plots:
    """Every method touches one owner's plots only; NotFound for those of others. Thread-safe.

    What queues cells raises what `admission` raises, and then has changed nothing.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._database, self._jobs = jobs.database, jobs

    def create(
        self, owner: str, draft: PlotDraft, cells: Sequence[CellDraft], used: IdempotencyKey | None = None,
        admission: MayQueue | None = None
    ) -> str:
        """Queue a plot whose cells are drawn in this order; its id. The key of the call is kept with the first."""
        plot, created = new_id(), now()
        with self._jobs.change() as (session, rows):
            _admitted(session, len(cells), admission)
            moment = next_sort_moment(session, PlotRow, owner, created)
            session.add(PlotRow(id=plot, owner=owner, title=draft.title, kind=draft.kind, created=created,
                                sort_moment=moment, request=dict(draft.request), axes=list(draft.axes),
                                options=dict(draft.options)))
            rows += (queued := _inserted(session, owner, plot, cells))
            if used and queued:
                session.add(idempotency_row(queued[0].id, owner, used))
        return plot

    def extend(self, plot: str, owner: str, axes: Sequence[dict[str, Any]], cells: Sequence[CellDraft],
               admission: MayQueue | None = None) -> None:
        """Queue more cells of a plot, whose axes have more values now."""
        with self._jobs.change() as (session, rows):
            row = plot_row(session, plot, owner)
            _admitted(session, len(cells), admission)
            row.axes = list(axes)
            rows += _inserted(session, owner, plot, cells)

    def head(self, plot: str, owner: str) -> PlotHead:
        with self._database.read() as session:
            return head_of(plot_row(session, plot, owner))

    def line(self, plot: str, owner: str) -> PlotLine:
        with self._database.read() as session:
            head = head_of(plot_row(session, plot, owner))
            return PlotLine(head=head, counts=plot_counts(session, [plot])[plot])

    def lines(self, owner: str, before: str | None = None, limit: int = 50) -> list[PlotLine]:
        """Newest first; `before` is the id of the last one already seen."""
        order = PlotRow.sort_moment, PlotRow.id
        query = select(PlotRow).where(PlotRow.owner == owner).order_by(*(column.desc() for column in order))
        with self._database.read() as session:
            if before is not None:
                last = plot_row(session, before, owner)
                here = tuple_(last.sort_moment, last.id, types=[column.type for column in order])
                query = query.where(tuple_(*order) < here)
            heads = [head_of(row) for row in session.scalars(query.limit(limit))]
            ids = [head.id for head in heads]
            counts, shown = plot_counts(session, ids), covers(session, ids)
        return [PlotLine(head=head, counts=counts[head.id], cover=shown.get(head.id, "")) for head in heads]

    def cells(self, plot: str, owner: str, only: Collection[str] | None = None) -> list[Cell]:
        """All cells in the order of drawing, or those of these coordinates."""
        with self._database.read() as session:
            plot_row(session, plot, owner)
            return cells_of(session, plot, only)

    def paths(self, plot: str) -> dict[str, str]:
        """Where the files of all pictures of a plot lie below the outputs folder, by the pictures' ids."""
        query = select(ImageRow.id, ImageRow.path).join(JobRow, JobRow.id == ImageRow.job).where(JobRow.plot == plot)
        with self._database.read() as session:
            return dict(map(tuple, session.execute(query)))

    def told(self, plots: Collection[str], owner: str) -> list[PlotLine]:
        """How far these plots of the owner are; those that are gone are left out."""
        with self._database.read() as session:
            query = select(PlotRow).where(PlotRow.id.in_(plots), PlotRow.owner == owner)
            heads, counts = [head_of(row) for row in session.scalars(query)], plot_counts(session, plots)
        return [PlotLine(head=head, counts=counts[head.id]) for head in heads]

    def rename(self, plot: str, owner: str, title: str) -> None:
        """InvalidRequest for a title that is none."""
        plain = " ".join(title.split())
        if not plain or len(plain) > LONGEST_TITLE:
            raise InvalidRequest(f"must have 1 to {LONGEST_TITLE} letters", field="title")
        with self._database.write() as session:
            plot_row(session, plot, owner).title = plain

    def pause(self, plot: str, owner: str, on: bool) -> list[str]:
        """Let no cell start until the plot is resumed; ids of cells that a worker holds and has not begun."""
        with self._database.write() as session:
            plot_row(session, plot, owner).paused = on
        return self._jobs.pause_plot(plot, owner, on)

    def again(self, plot: str, owner: str, *states: str, admission: MayQueue | None = None) -> int:
        """Queue the cells in these states once more, with what they have made; how many there are."""
        with self._jobs.change() as (session, rows):
            plot_row(session, plot, owner)
            query = without_request().where(JobRow.plot == plot, JobRow.state.in_(states)).order_by(JobRow.place)
            ended = session.scalars(query).all()
            _admitted(session, len(ended), admission)
            for place, row in enumerate(ended, last_place(session) + 1):
                job_transitions.again(row, place)
                rows.append(row)
            return len(rows)

    def redraw(self, plot: str, owner: str, cell: str, whole: bool, admission: MayQueue | None = None) -> None:
        """Queue a cell that has ended once more; `whole`: also the pictures that it has are made anew.

        NotFound for coordinates without a cell, NotAllowed for one that has not ended, or has nothing left to make.
        """
        with self._jobs.change() as (session, rows):
            plot_row(session, plot, owner)
            row = session.scalar(without_request().where(JobRow.plot == plot, JobRow.cell == cell))
            if row is None:
                raise NotFound("There is no such cell in this plot.")
            if row.state not in ENDED or row.state == "done" and not whole:
                raise NotAllowed(f"The cell is {row.state}; there is nothing to try again.")
            _admitted(session, 1, admission)
            if whole:       # what is marked so is made anew, in the same place of the history
                session.execute(update(ImageRow).where(ImageRow.job == row.id).values(unfinished=True))
            job_transitions.again(row, last_place(session) + 1)
            rows.append(row)

    def delete(self, plot: str, owner: str) -> list[str]:
        """Forget a plot none of whose cells waits; ids of the pictures, which stay in the history."""
        with self._jobs.change() as (session, _):
            session.delete(plot_row(session, plot, owner))
            jobs = select(JobRow.id).where(JobRow.plot == plot)
            pictures = select(ImageRow.id).where(ImageRow.job.in_(jobs), ~ImageRow.deleted, ImageRow.binned.is_(None))
            found = list(session.scalars(pictures))
            session.execute(update(JobRow).where(JobRow.plot == plot).values(plot=None, cell=None, dismissed=True))
        return found


def _admitted(session: Session, cells: int, admission: MayQueue | None) -> None:
    if admission:
        admission(session, cells)


def _inserted(session: Session, owner: str, plot: str, cells: Sequence[CellDraft]) -> list[_Queued]:
    created = now()
    place, first = end_of_queue(session, owner, created)
    rows = [_row(owner, plot, cell, place + number, (created, first + timedelta(microseconds=number)))
            for number, cell in enumerate(cells, 1)]
    if rows:
        session.execute(insert(JobRow), rows)
    return [_Queued(row["id"], owner, row["place"], plot, row["checkpoint"]) for row in rows]


def _row(owner: str, plot: str, cell: CellDraft, place: int, moments: tuple[datetime, datetime]) -> dict[str, Any]:
    created, moment = moments
    return {"id": new_id(), "owner": owner, "plot": plot, "cell": cell.cell, "state": "queued", "place": place,
            "request": cell.request.to_json(), "created": created, "sort_moment": moment,
            "checkpoint": cell.request.checkpoint, "notes": list(cell.notes)}
