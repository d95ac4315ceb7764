"""Whose job is next: everyone in turn; of each one's own, single jobs and each of the plots in turn.

A plot of another rank than 0 comes before or behind those of others: see `plot_ranks`.

The order is never sorted as a whole: a change costs a search in its list, a position one look at every owner and at
the owner's plots.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from backend.store.fair_scheduler import FairScheduler, Line

EVERYBODY = "*"     # in the place of an owner; no user has this id
SINGLE = ""         # in the place of a plot: the jobs that belong to none


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A queued job as far as the order is concerned."""

    id: str
    owner: str
    place: int
    attempts: int = 0
    plot: str = SINGLE
    checkpoint: str = ""


@dataclass(slots=True)
class _Own:
    """One owner's waiting jobs, by plot: (place, id), sorted; no empty lists."""

    waiting: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    turns: FairScheduler = field(default_factory=FairScheduler)
    ranks: dict[str, int] = field(default_factory=dict)     # of plots; 0 where it is not said

    def lines(self, paused: set[str]) -> dict[str, Line]:
        return {plot: Line(len(jobs), jobs[0][0]) for plot, jobs in self.waiting.items() if plot not in paused}

    def whole(self, paused: set[str]) -> Line | None:
        """All that may start as one line; None for nothing."""
        lines = self.lines(paused)
        first = next(self._served(lines), None)
        return None if first is None else Line(sum(line.length for line in lines.values()), lines[first].place)

    def _served(self, lines: Mapping[str, Line]) -> Iterator[str]:
        """The plots in the order in which their jobs are served, those of one rank in turns."""
        for rank in sorted({self.ranks.get(plot, 0) for plot in lines}):
            yield from self.turns.order(self._of_rank(lines, rank))

    def _of_rank(self, lines: Mapping[str, Line], rank: int) -> dict[str, Line]:
        return {plot: line for plot, line in lines.items() if self.ranks.get(plot, 0) == rank}

    def order(self, paused: set[str]) -> Iterator[str]:
        """Ids in running order."""
        heads: dict[str, Iterator[tuple[int, str]]] = {plot: iter(jobs) for plot, jobs in self.waiting.items()}
        for plot in self._served(self.lines(paused)):
            yield next(heads[plot])[1]

    def index(self, plot: str, number: int, paused: set[str]) -> int:
        """Where job number `number` of a plot comes among all; a paused plot counts as if it were resumed now."""
        lines, rank = self.lines(paused - {plot}), self.ranks.get(plot, 0)
        earlier = sum(line.length for other, line in lines.items() if self.ranks.get(other, 0) < rank)
        return number + earlier + self.turns.before(plot, number, self._of_rank(lines, rank))


class FairQueue:
    """The jobs that wait and those that a worker holds. Not thread-safe.

    Whose turn it is, is said by `FairScheduler`, among the owners and then among an owner's plots. While an owner or a
    plot is paused, its waiting jobs stay where they are.
    """

    def __init__(self) -> None:
        self._known: dict[str, WaitingJob] = {}
        self._own: dict[str, _Own] = {}         # owner -> what waits
        self._ahead: list[tuple[int, str]] = []                 # held by a worker that has not begun them, sorted
        self._running: set[str] = set()
        self._turns = FairScheduler()
        self._paused: set[str] = set()      # owners, or EVERYBODY
        self._paused_plots: set[str] = set()

    def wait(self, job: WaitingJob) -> None:
        """The job waits, at its place among its owner's."""
        self.drop(job.id)
        self._known[job.id] = job
        insort(self._own.setdefault(job.owner, _Own()).waiting.setdefault(job.plot, []), (job.place, job.id))

    def fly(self, job: WaitingJob, running: bool) -> None:
        """A worker holds the job; `running`: it has begun it."""
        self.drop(job.id)
        self._known[job.id] = job
        self._turns.take(job.owner)
        self._own.setdefault(job.owner, _Own()).turns.take(job.plot)
        self._running.add(job.id) if running else insort(self._ahead, (job.place, job.id))

    def pause(self, owner: str, on: bool) -> None:
        """Let nothing of the owner's start, or of `EVERYBODY`, until it is resumed."""
        self._paused.add(owner) if on else self._paused.discard(owner)

    def pause_only(self, owners: set[str]) -> None:
        """`pause` these, and nobody else."""
        self._paused = owners

    def ids(self) -> set[str]:
        """Of all jobs that wait or that a worker holds."""
        return set(self._known)

    def known_plots(self) -> set[str]:
        """Those with jobs among `ids`, and those that are paused."""
        return {job.plot for job in self._known.values() if job.plot} | self._paused_plots

    def pause_plot(self, plot: str, on: bool) -> None:
        """Let no cell of a plot start until it is resumed."""
        self._paused_plots.add(plot) if on else self._paused_plots.discard(plot)

    def rank(self, owner: str, ranks: Mapping[str, int]) -> None:
        """Let plots come before or behind the owner's lines of another rank."""
        self._own.setdefault(owner, _Own()).ranks.update(ranks)

    def rank_of(self, job: WaitingJob) -> int:
        return self._own[job.owner].ranks.get(job.plot, 0)

    def ranks(self, owner: str) -> dict[str, int]:
        """Of the owner's plots with cells that wait, and of `SINGLE` where single jobs do."""
        own = self._own.get(owner, _Own())
        return {plot: own.ranks.get(plot, 0) for plot in own.waiting}

    def is_paused(self, owner: str) -> bool:
        """By himself, or `EVERYBODY` as a whole."""
        return owner in self._paused

    def turn(self, owner: str, plot: str = SINGLE) -> None:
        """The owner has just been served, with a job of this plot."""
        self._turns.turn(owner)
        self._own.setdefault(owner, _Own()).turns.turn(plot)

    def drop(self, job: str) -> None:
        """The job has ended, or was never here."""
        known = self._known.pop(job, None)
        if known is None:
            return
        entry, own = (known.place, known.id), self._own[known.owner]
        jobs = own.waiting.get(known.plot, [])
        if _remove(jobs, entry):
            if not jobs:
                del own.waiting[known.plot]
            return
        self._turns.take(known.owner, -1)
        own.turns.take(known.plot, -1)
        self._running.discard(job)
        _remove(self._ahead, entry)

    def attempts(self, job: str) -> int:
        """How often a worker died over the job; 0 for an unknown one."""
        return self._known[job].attempts if job in self._known else 0

    def plot(self, job: str) -> str:
        """Whose cell a known job is; `SINGLE` for none."""
        return self._known[job].plot if job in self._known else SINGLE

    def upcoming(self) -> Iterator[WaitingJob]:
        """The waiting jobs that may start, in their order. Cheap to begin; nothing may change meanwhile."""
        lines = {} if EVERYBODY in self._paused else self._lines(self._paused)
        orders = {owner: self._own[owner].order(self._paused_plots) for owner in lines}
        for owner in self._turns.order(lines):
            yield self._known[next(orders[owner])]

    def about_to_start(self, owner: str) -> str | None:
        """The owner's job that comes next, where none of anybody is running and it is not paused."""
        if {owner, EVERYBODY} & self._paused:
            return None
        following = self.of(owner, limit=1)
        return following[0][0] if following and following[0][1] == 1 and not self._running else None

    def singles_wait(self) -> bool:
        """Whether a job of no plot may start now."""
        lines = {} if EVERYBODY in self._paused else self._own.keys() - self._paused
        return any(SINGLE in self._own[owner].waiting for owner in lines)

    def load(self) -> tuple[int, int]:
        """How many jobs of anybody wait, and how many a worker has begun."""
        return len(self._known) - len(self._running), len(self._running)

    def counts(self, owner: str) -> tuple[int, int]:
        """How many of the owner's jobs are in flight, and how many wait."""
        waiting = self._own[owner].waiting if owner in self._own else {}
        return self._turns.taken(owner), sum(map(len, waiting.values()))

    def ahead(self, owner: str, plot: str | None = None) -> list[str]:
        """The owner's jobs, or a plot's, that a worker holds and has not begun; of `EVERYBODY`, all of them."""
        held = [self._known[job] for _, job in self._ahead]
        return [job.id for job in held if owner in (EVERYBODY, job.owner) and plot in (None, job.plot)]

    def cells_ahead(self) -> list[str]:
        """Cells of anybody's plots that a worker holds and has not begun."""
        return [job for _, job in self._ahead if self._known[job].plot]

    def lines(self, owner: str, start: int = 0, limit: int | None = None) -> list[tuple[str, int]]:
        """`singles` with one entry for each of `plots` among them, by position."""
        plots = sorted(self.plots(owner).items(), key=lambda line: line[1])
        skipped = max(0, start - len(plots))        # singles that surely come before the first line that is wanted
        most = None if limit is None else start + limit - skipped
        merged = sorted([*plots, *self.singles(owner, skipped, most)], key=lambda line: line[1])
        return merged[start - skipped:most]

    def total(self, owner: str) -> int:
        """How many `lines` there are."""
        waiting = self._own[owner].waiting if owner in self._own else {}
        flying = [self._known[job].plot for job, _ in self._flying(owner)]
        return len({*waiting, *flying} - {SINGLE}) + len(waiting.get(SINGLE, ())) + flying.count(SINGLE)

    def plots(self, owner: str) -> dict[str, int]:
        """The owner's plots with cells that wait or are drawn, and the position of the foremost of them."""
        own, others = self._own.get(owner, _Own()), self._others(owner)
        found = {plot: self._position(owner, plot, 0, others) for plot in own.waiting}
        for job, at in self._flying(owner):
            plot = self._known[job].plot
            found[plot] = min(found.get(plot, at), at)
        return {plot: at for plot, at in found.items() if plot}

    def singles(self, owner: str, start: int = 0, limit: int | None = None) -> list[tuple[str, int]]:
        """(id, position) of the owner's jobs of no plot in running order, `limit` of them after the first `start`."""
        flying = [entry for entry in self._flying(owner) if not self._known[entry[0]].plot]
        own = self._own[owner].waiting.get(SINGLE, []) if owner in self._own else []
        end = len(flying) + len(own) if limit is None else min(start + limit, len(flying) + len(own))
        waiting = range(max(start, len(flying)) - len(flying), max(end - len(flying), 0))
        others = self._others(owner)
        return flying[start:end] + [(own[index][1], self._position(owner, SINGLE, index, others)) for index in waiting]

    def of(self, owner: str, limit: int | None = None) -> list[tuple[str, int]]:
        """(id, position) of the owner's jobs in running order, plots' cells among them, the first `limit`.

        Position 0 is running; 1, 2, ... wait, everyone's jobs counted. Cells of plots that are paused come last.
        """
        own = self._own.get(owner, _Own())
        paused = (job for plot in sorted(self._paused_plots & own.waiting.keys()) for _, job in own.waiting[plot])
        flying = self._flying(owner)[:limit]
        left = None if limit is None else limit - len(flying)
        waiting = [*islice(chain(own.order(self._paused_plots), paused), left)]
        return flying + [(job, position or 0) for job, position in self.positions(owner, waiting).items()]

    def positions(self, owner: str, jobs: Iterable[str]) -> dict[str, int | None]:
        """Of the owner's jobs, as in `of`; None for one that neither waits nor is in flight."""
        others = self._others(owner)
        return {job: self._place(job, others) for job in jobs}

    def position(self, job: str) -> int | None:
        """As `positions`, of one job."""
        known = self._known.get(job)
        return self._place(job, self._others(known.owner)) if known else None

    def _place(self, job: str, others: Mapping[str, Line]) -> int | None:
        known = self._known.get(job)
        if known is None or job in self._running:
            return None if known is None else 0
        entry = known.place, known.id
        at = bisect_left(self._ahead, entry)
        if at < len(self._ahead) and self._ahead[at] == entry:
            return at + 1
        waiting = self._own[known.owner].waiting[known.plot]
        return self._position(known.owner, known.plot, bisect_left(waiting, entry), others)

    def _flying(self, owner: str) -> list[tuple[str, int]]:
        """What a worker holds of the owner's, with positions."""
        running = [(job, 0) for job in self._running if self._known[job].owner == owner]
        return running + [(job, at) for at, (_, job) in enumerate(self._ahead, 1) if self._known[job].owner == owner]

    def _lines(self, paused: set[str]) -> dict[str, Line]:
        """What may start, by owner."""
        lines = {owner: own.whole(self._paused_plots) for owner, own in self._own.items() if owner not in paused}
        return {owner: line for owner, line in lines.items() if line}

    def _others(self, owner: str) -> dict[str, Line]:
        """What everybody else has that may start."""
        return self._lines(self._paused | {owner})

    def _position(self, owner: str, plot: str, number: int, others: Mapping[str, Line]) -> int:
        """Of the owner's waiting job number `number` in its plot.

        Who is paused holds up nobody else; his own jobs are counted as if he were resumed now.
        """
        own = self._own[owner]
        whole = own.whole(self._paused_plots - {plot})
        assert whole, "the job itself waits"
        index = own.index(plot, number, self._paused_plots)
        return len(self._ahead) + index + self._turns.before(owner, index, {**others, owner: whole}) + 1


def _remove(entries: list[tuple[int, str]], entry: tuple[int, str]) -> bool:
    at = bisect_left(entries, entry)
    found = at < len(entries) and entries[at] == entry
    if found:
        del entries[at]
    return found
