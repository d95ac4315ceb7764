"""Which waiting jobs a worker gets next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Protocol

from backend.store.fair_queue import SINGLE, FairQueue, WaitingJob

Order = Callable[[Sequence[WaitingJob]], Sequence[WaitingJob]]
LOOKED_AT = 64      # waiting jobs that one choice looks at


class Queued(Protocol):
    """What the order needs of a job's row."""

    id: str
    owner: str
    place: int
    attempts: int
    plot: str | None
    checkpoint: str


def waiting_of(row: Queued) -> WaitingJob:
    return WaitingJob(row.id, row.owner, row.place, row.attempts, row.plot or SINGLE, row.checkpoint)


def as_it_is(upcoming: Sequence[WaitingJob]) -> Sequence[WaitingJob]:
    return upcoming


def chosen(queue: FairQueue, room: int, held: Collection[str], cells: int, order: Order = as_it_is) -> list[str]:
    """Ids of up to `room` jobs for a worker that holds some; up to `cells` jobs of one plot count as one.

    A plot that is held gets no more cells while others wait for room, or they would wait for all of it. What a person
    has put behind a plot waits for all of it. A job over which a worker died is chosen alone. `order` may let a job
    overtake others; what a person has put before or behind a plot stays where it is.
    """
    found: list[str] = []
    if any(map(queue.attempts, held)):
        return found
    plots = Counter(plot for plot in map(queue.plot, held) if plot) if cells > 1 else Counter()
    begun: set[str] = set()     # plots that are chosen now: they may be filled
    full: dict[str, int] = {}   # owner -> rank of a plot of which a worker may hold no more cells
    others_wait = False
    upcoming = list(islice(queue.upcoming(), LOOKED_AT))
    for job in upcoming if any(map(queue.rank_of, upcoming)) else order(upcoming):
        joins = plots[job.plot]
        if (not room and not plots) or (job.attempts and (held or found)):
            break
        if full.get(job.owner, queue.rank_of(job)) < queue.rank_of(job):
            continue
        may_join = job.plot in begun or not others_wait
        if joins >= cells:
            full.setdefault(job.owner, queue.rank_of(job))
            continue
        if not (may_join if joins else room):
            others_wait = True
            continue
        found.append(job.id)
        room -= not joins
        if job.plot and cells > 1:
            plots[job.plot] += 1
            begun |= set() if joins else {job.plot}
        if job.attempts:
            break
    return found
