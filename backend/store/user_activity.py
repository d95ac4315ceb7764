"""What the rows tell of each user: when somebody was seen, how many jobs and pictures there are, who is shut out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.store.tables import ImageRow, JobRow, SessionRow


@dataclass(frozen=True, slots=True)
class Activity:
    """`last_seen`: by a browser that is logged in or by a job that was queued."""

    last_seen: datetime | None = None
    sessions: int = 0
    jobs: int = 0
    pictures: int = 0


def activities(session: Session) -> dict[str, Activity]:
    """By the user's id; who has neither jobs nor pictures nor a browser logged in is left out."""
    found: dict[str, Activity] = {}
    queries = {
        "jobs": select(JobRow.owner, func.count(), func.max(JobRow.created)).group_by(JobRow.owner),
        "sessions": select(SessionRow.owner, func.count(), func.max(SessionRow.seen)).group_by(SessionRow.owner),
        "pictures": select(ImageRow.owner, func.count(), func.max(ImageRow.created)).where(
            ~ImageRow.deleted).group_by(ImageRow.owner),
    }
    for name, query in queries.items():
        for owner, number, newest in session.execute(query):
            known = found.get(owner, Activity())
            seen = known.last_seen if name == "pictures" else max(filter(None, (known.last_seen, newest)), default=None)
            found[owner] = replace(known, last_seen=seen, **{name: number})
    return found
