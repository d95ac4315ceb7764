"""New jobs on their way to the end of the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import zip_longest
from typing import Any

from sqlalchemy.orm import Session

from backend.errors import InvalidRequest
from backend.request.request import Request
from backend.store.history import end_of_queue, new_id
from backend.store.tables import Base, JobRow, now

Beside = Callable[[Sequence[str]], Iterable[Base]]
"""Makes the rows of other tables that are written with new jobs of these ids."""
MayQueue = Callable[[Session, int], None]
"""Is asked in the transaction that queues so many jobs of an owner's, before they are written; InvalidRequest where
they may not be. So nobody can queue anything between its answer and the rows, at another front neither."""


@dataclass(slots=True)
class Arrival:
    """What one call queues, all or none; `rows` once it is queued."""

    owner: str
    values: list[dict[str, Any]]        # of the rows, but for their place and moments
    rows: list[JobRow] = field(default_factory=list)
    beside: Beside | None = None
    admission: MayQueue | None = None
    refused: InvalidRequest | None = None       # by `admission`; then there are no rows


def arrival(requests: Sequence[Request], owner: str, notes: Sequence[Sequence[str]],
            beside: Beside | None = None, admission: MayQueue | None = None) -> Arrival:
    """Of requests whose seeds are drawn, in their order, with notes on each."""
    return Arrival(owner, [{"id": new_id(), "owner": owner, "request": request.to_json(),
                            "checkpoint": request.checkpoint, "notes": list(said)}
                           for request, said in zip_longest(requests, notes, fillvalue=())],
                   beside=beside, admission=admission)


def queued(session: Session, arrivals: Sequence[Arrival]) -> Iterator[JobRow]:
    """Adds the rows of those that are not refused, in their order, at the end of the queue; the rows."""
    created = now()
    ends = {owner: end_of_queue(session, owner, created) for owner in {each.owner for each in arrivals}}
    place = max((last for last, _ in ends.values()), default=0)
    moments = {owner: moment for owner, (_, moment) in ends.items()}
    for each in arrivals:
        each.rows, each.refused = [], _refusal(session, each)
        if each.refused:
            continue
        for values in each.values:
            place += 1
            moments[each.owner] += timedelta(microseconds=1)
            each.rows.append(JobRow(**values, place=place, created=created, sort_moment=moments[each.owner]))
        session.add_all(each.rows)
        if each.beside:
            session.flush()
            session.add_all(each.beside([row.id for row in each.rows]))
        yield from each.rows


def _refusal(session: Session, arrival: Arrival) -> InvalidRequest | None:
    """Is kept with what is refused: others arrive in the same transaction."""
    try:
        if arrival.admission:
            arrival.admission(session, len(arrival.values))
    except InvalidRequest as error:
        return error
    return None
