"""The lines of a queue: what a page shows of each waiting or running job, and of each plot."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import String, cast, select
from sqlalchemy.orm import Session

from backend.request.request import Request
from backend.store.database import Database
from backend.store.job_reading import glance_of, saved_counts, stored_glance
from backend.store.plot_reading import plot_counts, plot_heads
from backend.store.tables import JobRow
from backend.store.view_types import QueueLine


class QueueLines:
    """Beginning of the prompt and count of pending jobs; read once after a restart, remembered from then on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    def add(self, requests: Mapping[str, Request]) -> None:
        with self._lock:
            self._known |= {job: glance_of(request) for job, request in requests.items()}

    def forget(self, job: str) -> None:
        with self._lock:
            self._known.pop(job, None)

    def of(self, shown: Sequence[tuple[str, int]], begun: Collection[str], plots: Collection[str]) -> list[QueueLine]:
        """Of (id, position) each; `begun` are the jobs that may have pictures, `plots` the ids that are no jobs."""
        jobs = [job for job, _ in shown if job not in plots]
        lines = [plot for plot, _ in shown if plot in plots]
        with self._lock:
            known = {job: self._known[job] for job in jobs if job in self._known}
        unknown, done, told = [job for job in jobs if job not in known], {}, {}
        if begun or unknown or lines:
            with self._database.read() as session:
                known |= self._read(session, unknown)
                done, told = saved_counts(session, begun), _plots(session, lines)
        places = ((job, {"state": "queued" if position else "running", "position": position})
                  for job, position in shown)
        return [QueueLine(id=job, **place, **told[job]) if job in told
                else QueueLine(id=job, **place, prompt=known[job][0], count=known[job][1], done=done.get(job, 0))
                for job, place in places if job in known or job in told]

    def _read(self, session: Session, ids: Collection[str]) -> dict[str, tuple[str, int]]:
        if not ids:
            return {}
        columns = JobRow.id, cast(JobRow.request, String)
        found = {job: stored_glance(text) for job, text in session.execute(select(*columns).where(JobRow.id.in_(ids)))}
        with self._lock:
            self._known |= found
        return found


def _plots(session: Session, plots: Collection[str]) -> dict[str, dict[str, object]]:
    if not plots:
        return {}
    counts = plot_counts(session, plots)
    return {head.id: {"prompt": head.title, "count": counts[head.id].total, "done": counts[head.id].done,
                      "plot": True, "paused": head.paused, "waiting": counts[head.id].queued > 0}
            for head in plot_heads(session, plots)}
