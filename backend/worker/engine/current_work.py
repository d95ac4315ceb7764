"""What the engine is doing at the moment: written by its own thread, read by the one that tells the front."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from backend.messages import Activity, Alive, Calls, MemoryUse


class CurrentWork:
    """One value, replaced as a whole, so that another thread never reads half of a change."""

    def __init__(self) -> None:
        self._now: tuple[Activity, tuple[str, ...], float] = ("idle", (), time.monotonic())
        self._calls = Calls()

    def called(self, seconds: float, rows: int, places: int) -> None:
        """A denoising network was called, for `rows` in `places`, which are rows with padding."""
        was = self._calls
        self._calls = Calls(was.count + 1, was.seconds + seconds, was.rows + rows, was.places + places)

    @contextmanager
    def doing(self, activity: Activity, jobs: Sequence[str]) -> Iterator[None]:
        """One call on the device for these jobs. Inside another one it stands in its place until it is over."""
        before, self._now = self._now, (activity, tuple(jobs), time.monotonic())
        try:
            yield
        finally:
            self._now = before[0], before[1], time.monotonic()

    def alive(self, extension: str, memory: MemoryUse, *, compiles: bool = False) -> Alive:
        """The sign of life that says it, in whose code that is, and how much memory is in use.

        `compiles`: blocks of a denoising network are compiled on the way.
        """
        activity, jobs, since = self._now
        if compiles and activity == "denoising":
            activity = "compiling"
        return Alive(activity, jobs, time.monotonic() - since, extension, self._calls, memory)
