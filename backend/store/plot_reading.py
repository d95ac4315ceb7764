"""From the rows of a plot and its cells to what others see of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.store.job_transitions import problems_of
from backend.store.tables import ImageRow, JobRow, JsonText, PlotRow
from backend.store.view_types import State

PlotState = Literal["drawing", "waiting", "paused", "done", "cancelled"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cells of a plot are in each state."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.queued + self.running + self.done + self.failed + self.cancelled

    @property
    def left(self) -> int:
        return self.queued + self.running

    def state(self, paused: bool) -> PlotState:
        if self.running:
            return "drawing"
        if self.queued:
            return "paused" if paused else "waiting"
        return "cancelled" if self.cancelled else "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotHead:
    """A plot without its cells. `axes` as the row has them: label, values as typed, parsed and as shown."""

    id: str
    owner: str
    title: str
    kind: str
    created: datetime
    paused: bool
    axes: Sequence[dict[str, Any]]
    request: dict[str, Any]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell as a page shows it; `image` is the id of its first picture, "" where there is none to show."""

    cell: str
    job: str
    state: State
    image: str = ""
    unfinished: bool = False
    width: int = 0
    height: int = 0
    seed: int | None = None
    message: str = ""


def plot_row(session: Session, plot: str, owner: str) -> PlotRow:
    """NotFound for one that is not there, or is someone else's."""
    row = session.get(PlotRow, plot)
    if row is None or row.owner != owner:
        raise NotFound("There is no such plot.")
    return row


def head_of(row: PlotRow) -> PlotHead:
    return PlotHead(id=row.id, owner=row.owner, title=row.title, kind=row.kind, created=row.created, paused=row.paused,
                    axes=[axis for axis in row.axes if isinstance(axis, dict)], request=row.request,
                    options=row.options)


def plot_heads(session: Session, plots: Collection[str]) -> list[PlotHead]:
    return [head_of(row) for row in session.scalars(select(PlotRow).where(PlotRow.id.in_(plots)))]


def plot_counts(session: Session, plots: Collection[str]) -> dict[str, Counts]:
    """By id; a plot without cells has all 0."""
    query = select(JobRow.plot, JobRow.state, func.count()).where(JobRow.plot.in_(plots))
    found: dict[str, dict[str, int]] = {plot: {} for plot in plots}
    for plot, state, number in session.execute(query.group_by(JobRow.plot, JobRow.state)):
        found[plot][state] = number
    return {plot: Counts(**states) for plot, states in found.items()}


def covers(session: Session, plots: Collection[str]) -> dict[str, str]:
    """The id of the picture that was saved last in each plot; a plot without pictures is left out."""
    newest = select(func.max(ImageRow.number)).join(JobRow, JobRow.id == ImageRow.job)
    newest = newest.where(JobRow.plot.in_(plots), *_SHOWN).group_by(JobRow.plot)
    query = select(JobRow.plot, ImageRow.id).join(JobRow, JobRow.id == ImageRow.job).where(ImageRow.number.in_(newest))
    return dict(map(tuple, session.execute(query)))


def cells_out_of_sight(owner: str) -> Select[tuple[str]]:
    """Jobs of the owner whose pictures are seen in their plot alone: "Include sub images" is off there."""
    off = JsonText(PlotRow.options, "include_sub_images") == "0"
    plots = select(PlotRow.id).where(PlotRow.owner == owner, off)
    return select(JobRow.id).where(JobRow.plot.in_(plots))


_SHOWN = (ImageRow.index >= 0, ~ImageRow.deleted, ImageRow.binned.is_(None) | ImageRow.unfinished)
_COLUMNS = (JobRow.cell, JobRow.id, JobRow.state, JobRow.problems, JobRow.skipped, ImageRow.id.label("image"),
            ImageRow.unfinished, ImageRow.width, ImageRow.height, ImageRow.seed)


def cells_of(session: Session, plot: str, only: Collection[str] | None = None) -> list[Cell]:
    """The cells of a plot, or those of these coordinates, each with its first picture."""
    query = select(*_COLUMNS).outerjoin(ImageRow, (ImageRow.job == JobRow.id) & _all(_SHOWN))
    query = query.where(JobRow.plot == plot).order_by(JobRow.place, ImageRow.index)
    if only is not None:
        query = query.where(JobRow.cell.in_(only))
    return list(_first_pictures(session, query))


def _all(conditions: Sequence[Any]) -> Any:
    first, *others = conditions
    for other in others:
        first &= other
    return first


def _first_pictures(session: Session, query: Select[Any]) -> Iterator[Cell]:
    seen: set[str] = set()
    for row in session.execute(query):
        if row.id not in seen:
            seen.add(row.id)
            yield _cell(row)


def _cell(row: Row[Any]) -> Cell:
    picture = {"image": row.image, "unfinished": row.unfinished, "width": row.width, "height": row.height,
               "seed": row.seed} if row.image else {}
    return Cell(cell=row.cell, job=row.id, state=row.state, message=_message(row), **picture)


def _message(row: Row[Any]) -> str:
    """Why a cell that has ended shows no picture; "" for others."""
    if row.state == "failed":
        return " ".join(str(problem) for problem in problems_of(row)) or "It could not be drawn."
    if row.state != "done" or row.image:
        return ""
    return "It was skipped." if row.skipped else "Its picture is in the bin, or was deleted."
