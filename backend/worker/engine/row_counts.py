"""How many rows go into one network call: fixed counts, and a measured answer to which of them pays."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

from backend.errors import OutOfMemory
from backend.settings import Policy
from backend.worker.adapters.lora_branches import alike, stacked_bytes
from backend.worker.guidance.row import Answer, Row, whole
from backend.worker.models.denoiser_memory import rows_that_fit
from backend.worker.models.memory import Memory

BUCKETS = (1, 2, 4, 8, 16)
"""Row counts of packed calls. At one count a row's result does not depend on the rows beside it."""

PLOT_ROWS = 8
"""Of each call for a plot where requests do not share calls: its cells then repeat bit for bit, in whatever company."""

STARTING_ROWS = 2
"""Of a picture that has not asked for the network yet."""

GAIN = 0.95
"""A smaller count must bring the cost of a row below this share of the larger one's to be preferred."""


def covering(rows: int) -> int:
    """The smallest bucket that holds `rows`, or the largest there is."""
    return next((bucket for bucket in BUCKETS if bucket >= rows), BUCKETS[-1])


def within(rows: int) -> int:
    """The largest bucket of at most `rows`."""
    return max(bucket for bucket in BUCKETS if bucket <= max(rows, 1))


@dataclass(slots=True)
class RowCurve:
    """Seconds per call by row count, for one model and latent shape, learnt from the calls themselves."""

    limit: int = BUCKETS[-1]                                    # lowered when memory runs out
    seconds: dict[int, float] = field(default_factory=dict)
    _warm: set[int] = field(default_factory=set)

    def choose(self, waiting: int) -> int:
        """The bucket for the next call when `waiting` rows could go: the covering one, unless a smaller is cheaper."""
        largest = min(covering(waiting), self.limit)
        best = largest
        for bucket in BUCKETS:
            if bucket < largest and self._cost(bucket, waiting) < GAIN * self._cost(best, waiting):
                best = bucket
        return best

    def record(self, bucket: int, seconds: float) -> None:
        """Learn from a call. The first call of a count also prepares kernels, so it does not count."""
        if bucket not in self._warm:
            self._warm.add(bucket)
            return
        known = self.seconds.get(bucket, seconds)
        self.seconds[bucket] = 0.8 * known + 0.2 * seconds

    def _cost(self, bucket: int, waiting: int) -> float:
        """Seconds per useful row. Unmeasured, a smaller bucket is no reason to change, and the largest is tried."""
        if bucket not in self.seconds:
            return float("inf") if bucket < min(covering(waiting), self.limit) else 0.0
        return self.seconds[bucket] / min(bucket, waiting)


def filled(rows: Sequence[Row], size: int) -> list[Row]:
    """The rows of a call: the first `size`, with groups whole, and where there are fewer the last one as padding."""
    taken = [*rows[:whole(rows, size)]]
    return taken + [replace(taken[-1], group=None)] * (size - len(taken))


class RowCounts:
    """What is known of each kind of calls."""

    def __init__(self, memory: Memory, policy: Policy) -> None:
        self._memory, self._policy = memory, policy
        self._curves: dict[Hashable, RowCurve] = {}

    def curve(self, row: Row, waiting: int) -> RowCurve:
        """Of calls with such rows; before the first one, how many rows there is memory for."""
        if row.cost_key not in self._curves:
            fits = rows_that_fit(row.model, row.x.shape[-2:])
            if fits is not None and fits < waiting and self._memory.free_idle():
                fits = rows_that_fit(row.model, row.x.shape[-2:])
            self._curves[row.cost_key] = RowCurve() if fits is None else RowCurve(limit=within(fits))
        return self._curves[row.cost_key]

    def choose(self, curve: RowCurve, waiting: int, plot: str) -> int:
        """Rows of the next call when so many could go; some may have to be padding. `plot`: whose they are, or ""."""
        if self._policy == "packed":
            return curve.choose(waiting)
        return min(PLOT_ROWS if plot else waiting, curve.limit)

    def affordable(self, rows: Sequence[Row], size: int) -> tuple[list[int], int]:
        """Which of these rows may go into a call of `size`, by number, and the size that it then has.

        It is smaller where the budget does not hold what is laid side by side for so many rows; those that share one
        of the first's networks at one strength share their factors, too, and go alone where more rows then fit.
        """
        every, fits = list(range(len(rows))), size
        if not any(row.branches for row in rows):
            return every, size
        limit = max(self._memory.beside_pinned, stacked_bytes([rows[0].branches]))
        while fits > 1 and stacked_bytes([row.branches for row in filled(rows, fits)]) > limit:
            fits = within(fits - 1)
        if fits == size or rows[0].group is not None:
            return every, fits
        first = alike(rows[0].branches)
        same = [number for number in every if alike(rows[number].branches) == first]
        return (same, min(size, covering(len(same)))) if min(len(same), size) > fits else (every, fits)

    def halved(
        self, call: Callable[[Sequence[Row]], list[Answer]], rows: Sequence[Row], curve: RowCurve
    ) -> list[Answer]:
        """What `call` answers to the rows: to all at once, or where memory runs out to one half after the other."""
        half = whole(rows, len(rows) // 2)
        try:
            return self._memory.attempt(lambda: call(rows))
        except OutOfMemory:
            if half == len(rows):
                raise
        curve.limit = within(half)
        return self.halved(call, rows[:half], curve) + self.halved(call, rows[half:], curve)
