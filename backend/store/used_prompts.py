"""The prompts that a person has used: what their jobs were asked, each once, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, or_, select

from backend.store.database import Database
from backend.store.tables import JobRow, in_request, is_first_cell

AT_ONCE = 200               # rows that are read ahead


@dataclass(frozen=True, slots=True)
class UsedPrompt:
    """Both prompts as they were typed, and when they were last used (UTC)."""

    prompt: str
    negative_prompt: str
    used: datetime


class UsedPrompts:
    """A view on the jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owner: str, query: str = "", limit: int = 50) -> list[UsedPrompt]:
        """The newest `limit` different pairs of prompts that hold every word of `query`, in any case."""
        words = query.casefold().split()
        found: dict[tuple[str, str], UsedPrompt] = {}
        with self._database.read() as session:
            for prompt, negative, used in session.execute(_newest(owner)):
                text = f"{prompt}\n{negative}".casefold() if words else ""
                if (prompt, negative) not in found and all(word in text for word in words):
                    found[prompt, negative] = UsedPrompt(prompt, negative, used)
                    if len(found) >= limit:
                        break
        return list(found.values())


def _newest(owner: str) -> Select[tuple[str, str, datetime]]:
    prompt, negative = (func.coalesce(in_request(name), "") for name in ("prompt", "negative_prompt"))
    query = select(prompt, negative, JobRow.created).where(JobRow.owner == owner, or_(prompt != "", negative != ""))
    query = query.where(JobRow.ended.is_distinct_from(JobRow.created))      # not what stands for a file that was found
    query = query.where(or_(JobRow.plot.is_(None), is_first_cell()))        # a plot's other prompts were not typed
    return query.order_by(JobRow.sort_moment.desc(), JobRow.place.desc()).execution_options(yield_per=AT_ONCE)
