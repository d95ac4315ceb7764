"""A worker goes on with the checkpoint that it holds, where several share a queue and nobody waits long for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from backend.store.fair_queue import WaitingJob

MOST_OVERTAKEN = 4      # times for each worker that a job lets a later one go first


class CheckpointAffinity:
    """Which of the jobs whose turn it is goes first on a worker. A worker alone keeps to the order. Not thread-safe."""

    def __init__(self, shared: bool = False) -> None:
        """`shared`: workers of other processes take jobs from the same queue."""
        self._shared = shared
        self._workers: set[str] = set()
        self._overtaken: Counter[str] = Counter()

    def order(self, upcoming: Sequence[WaitingJob], worker: str, loaded: str) -> Sequence[WaitingJob]:
        """`upcoming` with a job for the checkpoint that is `loaded` in front, if one may overtake those before it."""
        self._workers.add(worker)
        at = next((number for number, job in enumerate(upcoming) if job.checkpoint == loaded), 0)
        before, most = upcoming[:at], MOST_OVERTAKEN * len(self._workers)
        alone = len(self._workers) < 2 and not self._shared
        if alone or any(self._overtaken[job.id] >= most for job in before):
            return upcoming
        self._overtaken.update(job.id for job in before)
        return [*upcoming[at:at + 1], *before, *upcoming[at + 1:]]

    def taken(self, jobs: Iterable[str]) -> None:
        """These wait no longer."""
        for job in jobs:
            self._overtaken.pop(job, None)
