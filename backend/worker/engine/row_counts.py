"""How many rows go into one network call: fixed counts, and a measured answer to which of them pays."""

from __future__ import annotations

from dataclasses import dataclass, field

BUCKETS = (1, 2, 4, 8, 16)
"""Row counts of packed calls. At one count a row's result does not depend on the rows beside it."""

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
