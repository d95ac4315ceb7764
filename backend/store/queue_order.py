"""The order of one owner's waiting jobs that are no cells of plots, when a person changes it.

The places of the jobs are dealt out anew among them and no other place is touched, so that everybody else's turn stays
as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotAllowed
from backend.store.job_rows import without_request
from backend.store.tables import JobRow

STEPS = {"up": -1, "down": 1}
NOWHERE = -(2**40)      # below every place: two rows never have the same one, not even for a moment


def moved(waiting: Sequence[str], job: str, to: str) -> list[str]:
    """The ids with `job` elsewhere; `to` is "front", "end", "up", "down" or the id of the job behind it.

    NotAllowed when that one does not wait.
    """
    others = [other for other in waiting if other != job]
    places = {"front": 0, "end": len(others)} | {other: before for before, other in enumerate(others)}
    at = waiting.index(job)
    places |= {job: at} | {name: at + step for name, step in STEPS.items()}
    if to not in places:
        raise NotAllowed("That job does not wait any more, so nothing can stand before it.", field="to")
    others.insert(max(places[to], 0), job)
    return others


def reorder(session: Session, owner: str, job: str, to: str) -> tuple[list[JobRow], list[str]]:
    """Move a waiting job of the owner as `moved` says.

    The rows that have another place now, and the ids of jobs that a worker holds ahead though others come before them.
    """
    query = select(JobRow.id, JobRow.place, JobRow.lease).where(JobRow.owner == owner, JobRow.state == "queued")
    query = query.where(JobRow.plot.is_(None))
    line = session.execute(query.order_by(JobRow.place)).all()
    places = dict(zip(moved([row.id for row in line], job, to), [row.place for row in line], strict=True))
    changed = [row.id for row in line if places[row.id] != row.place]
    rows = list(session.scalars(without_request().where(JobRow.id.in_(changed))))
    for row, nowhere in zip(rows, count(NOWHERE, -1), strict=False):
        row.place = nowhere
    session.flush()
    for row in rows:
        row.place = places[row.id]
    first = min((places[row.id] for row in line if row.lease is None), default=None)
    return rows, [row.id for row in line if row.lease and first is not None and places[row.id] > first]
