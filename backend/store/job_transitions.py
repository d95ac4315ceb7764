"""Each change of a job's state, done to its row. Who does it also keeps the queue in memory in step: see `jobs`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backend.errors import Problem
from backend.store.tables import JobRow, now
from backend.store.view_types import State


@dataclass(frozen=True, slots=True)
class Change:
    """A job whose state has just changed."""

    job: str
    owner: str
    state: State
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    plot: str = ""          # whose cell the job is, and which
    cell: str = ""


def problems_of(row: JobRow) -> tuple[Problem, ...]:
    """What the row says is wrong; what is no problem in a damaged row is left out."""
    told = [problem for problem in row.problems if isinstance(problem, dict)]
    return tuple(Problem(str(problem.get("message", "")), str(problem.get("field", ""))) for problem in told)


def change_of(row: JobRow) -> Change:
    return Change(row.id, row.owner, row.state, problems_of(row), tuple(row.notes), row.plot or "", row.cell or "")


def start(row: JobRow) -> Change:
    row.state, row.started = "running", row.started or now()
    return change_of(row)


def end(row: JobRow, state: State, problems: Iterable[Problem] = ()) -> Change:
    row.state, row.ended, row.worker, row.lease, row.cancelling = state, now(), None, None, False
    row.problems = [{"field": problem.field, "message": problem.message} for problem in problems]
    return change_of(row)


def requeue(row: JobRow) -> Change:
    if row.cancelling:
        return end(row, "cancelled")
    row.state, row.started, row.worker, row.lease = "queued", None, None, None
    return change_of(row)


def damaged() -> dict[str, Any]:
    """What is written over a row that cannot be read."""
    problems = [{"field": "", "message": "The job's entry in the database is damaged; it cannot be drawn."}]
    return {"state": "failed", "ended": now(), "worker": None, "lease": None, "problems": problems}


def again(row: JobRow, place: int) -> None:
    """A job that has ended waits once more, with what it has made."""
    row.state, row.place, row.attempts, row.died_at = "queued", place, 0, None
    row.started = row.ended = None
    row.problems, row.skipped, row.cancelling, row.dismissed = [], [], False, False


def lose(row: JobRow, made: int, problem: Problem) -> Change:
    """`made` counts the pictures that the job has by now."""
    if row.state != "running" or row.cancelling:
        return requeue(row)
    row.attempts += 1
    stuck, row.died_at = row.died_at == made, made
    return end(row, "failed", [problem]) if stuck else requeue(row)
