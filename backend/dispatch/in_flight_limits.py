"""The jobs leased for a worker, and how many more it may hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from backend.settings import Policy
from backend.store.jobs import Lease

MAX_JOBS: dict[Policy, int] = {"solo": 2, "packed": 8}      # solo has one ahead, so that the device never waits
CELLS: dict[Policy, int] = {"solo": 16, "packed": 1}        # of one plot that count as one job: solo draws them as one


@dataclass(slots=True)
class Flight:
    """A job in the worker's hands."""

    lease: Lease
    started: bool
    recalled: bool = False      # asked back before the worker had begun it

    @property
    def subject(self) -> str:
        """The job, or the plot whose cell it is."""
        return self.lease.plot or self.lease.job


def room(policy: Policy, flights: Collection[Flight]) -> int:
    """How many more jobs the worker may hold; the cells of one plot count as one where `CELLS` says so."""
    plots = _plots(policy, flights)
    return max(MAX_JOBS[policy] - (len(flights) - plots.total()) - len(plots), 0)


def has_room(policy: Policy, flights: Collection[Flight]) -> bool:
    """Whether there is room for a job, or for another cell of a plot that is held already."""
    return room(policy, flights) > 0 or any(cells < CELLS[policy] for cells in _plots(policy, flights).values())


def _plots(policy: Policy, flights: Collection[Flight]) -> Counter[str]:
    return Counter(flight.lease.plot for flight in flights if flight.lease.plot and CELLS[policy] > 1)
