"""Whose job is next: everyone in turn, each one's own jobs in their order."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job as far as the order is concerned."""

    id: str
    owner: str
    place: int
    attempts: int = 0


def running_order(waiting: Iterable[Waiting], in_flight: Mapping[str, int],
                  last_turn: Mapping[str, int]) -> list[Waiting]:
    """All waiting jobs in the order in which they will start.

    The owner with the fewest jobs in flight comes first; among equals the one whose last turn is longest ago, then the
    oldest job. `in_flight` counts jobs by owner, `last_turn` is any number that grows with time (absent = never).
    """
    lines: dict[str, deque[Waiting]] = defaultdict(deque)
    for job in sorted(waiting, key=lambda job: job.place):
        lines[job.owner].append(job)
    taken, turns = Counter(in_flight), dict(last_turn)
    now = max(turns.values(), default=0)

    def rank(owner: str) -> tuple[int, int, int, str]:
        return taken[owner], turns.get(owner, -1), lines[owner][0].place, owner

    heap = [rank(owner) for owner in lines]
    heapq.heapify(heap)
    order = []
    while heap:
        owner = heapq.heappop(heap)[-1]
        order.append(lines[owner].popleft())
        now += 1
        taken[owner], turns[owner] = taken[owner] + 1, now
        if lines[owner]:
            heapq.heappush(heap, rank(owner))
    return order
