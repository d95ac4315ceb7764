"""Who of several is served next, and who came before: those with the fewest jobs in flight, in turns."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody has waiting: how many jobs, and the place of the next of them."""

    length: int
    place: int


class FairScheduler:
    """Whose turn it is among names. Not thread-safe.

    The name with the fewest jobs in flight comes first; among equals the one whose last turn is longest ago, then the
    one whose next job is the oldest.
    """

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()       # name -> jobs in flight
        self._turns: dict[str, int] = {}            # name -> when the last turn was; absent = never
        self._clock = 0

    def take(self, name: str, number: int = 1) -> None:
        """A job of the name is in flight; -1: no longer."""
        self._taken[name] += number

    def taken(self, name: str) -> int:
        return self._taken[name]

    def turn(self, name: str) -> None:
        """The name has just been served."""
        self._clock += 1
        self._turns[name] = self._clock

    def order(self, lines: Mapping[str, Line]) -> Iterator[str]:
        """The names in the order in which their jobs are served, each as often as it has jobs. Cheap to begin."""
        heap = [(self._taken[name], *self._rank(name, line)) for name, line in lines.items()]
        heapq.heapify(heap)
        left, clock = {name: line.length for name, line in lines.items()}, self._clock
        while heap:
            taken, *_, name = heapq.heappop(heap)
            clock += 1
            yield name
            left[name] -= 1
            if left[name]:
                heapq.heappush(heap, (taken + 1, clock, 0, name))

    def before(self, name: str, index: int, lines: Mapping[str, Line]) -> int:
        """How many jobs of others are served before job number `index` of `name`, which is among `lines`.

        Serving goes in rounds: in round r everybody is served who then has r jobs in flight. Who has more jobs in
        flight joins a later round, and goes ahead of those who were served in the round before.
        """
        own = self._taken[name] + index
        rank = (-self._taken[name], *self._rank(name, lines[name]))
        before = 0
        for other, line in lines.items():
            rounds = own - self._taken[other]
            before += min(max(rounds, 0), line.length) if other != name else 0
            before += 0 <= rounds < line.length and (-self._taken[other], *self._rank(other, line)) < rank
        return before

    def _rank(self, name: str, line: Line) -> tuple[int, int, str]:
        """Who comes first among those with as many jobs in flight."""
        return self._turns.get(name, -1), line.place, name
