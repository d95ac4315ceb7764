"""Whose job is next: everyone in turn, each one's own jobs in their order.

The order is never sorted as a whole: a change costs a search in its owner's list, a position one look at every owner.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

EVERYBODY = "*"     # in the place of an owner; no user has this id


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job as far as the order is concerned."""

    id: str
    owner: str
    place: int
    attempts: int = 0


class FairQueue:
    """The jobs that wait and those that a worker holds. Not thread-safe.

    The owner with the fewest jobs in flight comes first; among equals the one whose last turn is longest ago, then the
    one whose next job is the oldest. While an owner is paused, his waiting jobs stay where they are.
    """

    def __init__(self) -> None:
        self._known: dict[str, Waiting] = {}
        self._waiting: dict[str, list[tuple[int, str]]] = {}    # owner -> (place, id), sorted; no empty lists
        self._ahead: list[tuple[int, str]] = []                 # held by a worker that has not begun them, sorted
        self._running: set[str] = set()
        self._taken: Counter[str] = Counter()                   # owner -> jobs in flight
        self._turns: dict[str, int] = {}                        # owner -> when the last turn was; absent = never
        self._clock = 0
        self._paused: set[str] = set()      # owners, or EVERYBODY

    def wait(self, job: Waiting) -> None:
        """The job waits, at its place among its owner's."""
        self.drop(job.id)
        self._known[job.id] = job
        insort(self._waiting.setdefault(job.owner, []), (job.place, job.id))

    def fly(self, job: Waiting, running: bool) -> None:
        """A worker holds the job; `running`: it has begun it."""
        self.drop(job.id)
        self._known[job.id] = job
        self._taken[job.owner] += 1
        self._running.add(job.id) if running else insort(self._ahead, (job.place, job.id))

    def pause(self, owner: str, on: bool) -> None:
        """Let nothing of the owner's start, or of `EVERYBODY`, until it is resumed."""
        self._paused.add(owner) if on else self._paused.discard(owner)

    def is_paused(self, owner: str) -> bool:
        """By himself, or `EVERYBODY` as a whole."""
        return owner in self._paused

    def turn(self, owner: str) -> None:
        """The owner has just been served."""
        self._clock += 1
        self._turns[owner] = self._clock

    def drop(self, job: str) -> None:
        """The job has ended, or was never here."""
        known = self._known.pop(job, None)
        if known is None:
            return
        entry = known.place, known.id
        own = self._waiting.get(known.owner, [])
        if _remove(own, entry):
            if not own:
                del self._waiting[known.owner]
            return
        self._taken[known.owner] -= 1
        self._running.discard(job)
        _remove(self._ahead, entry)

    def attempts(self, job: str) -> int:
        """How often a worker died over the job; 0 for an unknown one."""
        return self._known[job].attempts if job in self._known else 0

    def upcoming(self) -> Iterator[Waiting]:
        """The waiting jobs that may start, in their order. Cheap to begin; nothing may change meanwhile."""
        heads = {} if EVERYBODY in self._paused else dict.fromkeys(self._waiting.keys() - self._paused, 0)
        heap = [(self._taken[owner], *self._rank(owner)) for owner in heads]
        heapq.heapify(heap)
        clock = self._clock
        while heap:
            taken, *_, owner = heapq.heappop(heap)
            own, clock = self._waiting[owner], clock + 1
            yield self._known[own[heads[owner]][1]]
            heads[owner] += 1
            if heads[owner] < len(own):
                heapq.heappush(heap, (taken + 1, clock, own[heads[owner]][0], owner))

    def about_to_start(self, owner: str) -> str | None:
        """The owner's job that comes next, where none of anybody is running and it is not paused."""
        if {owner, EVERYBODY} & self._paused:
            return None
        following = self.of(owner, limit=1)
        return following[0][0] if following and following[0][1] == 1 and not self._running else None

    def counts(self, owner: str) -> tuple[int, int]:
        """How many of the owner's jobs are in flight, and how many wait."""
        return self._taken[owner], len(self._waiting.get(owner, ()))

    def ahead(self, owner: str) -> list[str]:
        """The owner's jobs that a worker holds and has not begun; of `EVERYBODY`, all of them."""
        return [job for _, job in self._ahead if owner in (EVERYBODY, self._known[job].owner)]

    def of(self, owner: str, start: int = 0, limit: int | None = None) -> list[tuple[str, int]]:
        """(id, position) of the owner's jobs in running order, `limit` of them after the first `start`.

        Position 0 is running; 1, 2, ... wait, everyone's jobs counted.
        """
        flying = [(job, 0) for job in self._running if self._known[job].owner == owner]
        flying += [(job, at) for at, (_, job) in enumerate(self._ahead, 1) if self._known[job].owner == owner]
        own = self._waiting.get(owner, ())
        end = len(flying) + len(own) if limit is None else min(start + limit, len(flying) + len(own))
        waiting = range(max(start, len(flying)) - len(flying), end - len(flying))
        return flying[start:end] + [(own[index][1], self._position(owner, index)) for index in waiting]

    def position(self, job: str) -> int | None:
        """As in `of`; None for a job that neither waits nor is in flight."""
        known = self._known.get(job)
        if known is None or job in self._running:
            return None if known is None else 0
        entry = known.place, known.id
        at = bisect_left(self._ahead, entry)
        if at < len(self._ahead) and self._ahead[at] == entry:
            return at + 1
        return self._position(known.owner, bisect_left(self._waiting[known.owner], entry))

    def _rank(self, owner: str) -> tuple[int, int, str]:
        """Who comes first among owners with as many jobs in flight."""
        return self._turns.get(owner, -1), self._waiting[owner][0][0], owner

    def _position(self, owner: str, index: int) -> int:
        """Of the owner's waiting job number `index`.

        Serving goes in rounds: in round r everybody is served who then has r jobs in flight. An owner with more jobs in
        flight now joins a later round, and goes ahead of those who were served in the round before. Who is paused holds
        up nobody else; his own jobs are counted as if he were resumed now.
        """
        own = self._taken[owner] + index
        rank = (-self._taken[owner], *self._rank(owner))
        before = 0
        for other, jobs in self._waiting.items():
            if other != owner and other in self._paused:
                continue
            rounds = own - self._taken[other]
            before += min(max(rounds, 0), len(jobs))
            before += 0 <= rounds < len(jobs) and (-self._taken[other], *self._rank(other)) < rank
        return len(self._ahead) + before + 1


def _remove(entries: list[tuple[int, str]], entry: tuple[int, str]) -> bool:
    at = bisect_left(entries, entry)
    found = at < len(entries) and entries[at] == entry
    if found:
        del entries[at]
    return found
