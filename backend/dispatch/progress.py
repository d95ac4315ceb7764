"""How far the running jobs have come, from what their workers say. In memory only: a restart draws again anyway."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from backend.store.view_types import Live

PUBLISH_SECONDS = 0.2           # a page gets at most five progress events per job and second


@dataclass(slots=True)
class _Run:
    """One job in work. Calls are evaluations of the denoiser, summed over pictures."""

    live: Live
    owner: str
    left: int                                               # pictures to make in this run
    steps: dict[int, int] = field(default_factory=dict)     # picture in work -> calls made
    over: set[int] = field(default_factory=set)             # pictures made or skipped in this run
    first: tuple[float, int] | None = None                  # time and calls at the first sign of progress
    published: float = 0.0
    withheld: bool = False                                  # something newer than what was published
    jpeg: bytes | None = None

    def calls(self) -> int:
        return len(self.over) * self.live.steps + sum(self.steps.values())


class LiveJobs:
    """Thread-safe. `publish(owner, live)` is called when a page should hear of it."""

    def __init__(self, publish: Callable[[str, Live], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._publish, self._clock = publish, clock
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    def begin(self, job: str, owner: str, count: int, indices: Collection[int]) -> None:
        """A worker got the job; `count` pictures in all, those in `indices` are left to make."""
        live = Live(job=job, index=min(indices, default=0), done=count - len(indices), count=count)
        with self._lock:
            self._runs[job] = _Run(dataclasses.replace(live, fraction=live.done / count), owner, len(indices))

    def hear(self, owner: str, live: Live, jpeg: bytes) -> None:
        """How far a job is that another front process has drawn."""
        with self._lock:
            self._runs[live.job] = _Run(live, owner, live.count - live.done, jpeg=jpeg or None)

    def end(self, job: str) -> None:
        with self._lock:
            self._runs.pop(job, None)

    def get(self, job: str) -> Live | None:
        with self._lock:
            run = self._runs.get(job)
            return run.live if run else None

    def preview(self, job: str) -> bytes | None:
        """The newest preview, JPEG."""
        with self._lock:
            run = self._runs.get(job)
            return run.jpeg if run else None

    def message(self, jobs: Collection[str], text: str) -> None:
        """What their worker is busy with before the first step."""
        for job in jobs:
            self._change(job, lambda run: self._set(run, message=text), urgent=True)

    def step(self, job: str, index: int, step: int, steps: int) -> None:
        def change(run: _Run) -> None:
            run.steps[index] = step
            first = min(run.steps)
            self._set(run, index=first, step=run.steps[first], steps=steps, message="")
            if run.first is None:
                run.first = self._clock(), run.calls()
            self._measure(run)
        self._change(job, change, urgent=step >= steps)

    def show(self, job: str, index: int, jpeg: bytes) -> None:
        """A new preview of picture `index`. Of pictures that are drawn side by side, one is seen until it is over."""
        def change(run: _Run) -> None:
            seen = run.live.preview_index
            if index != seen and seen in run.steps and run.live.preview:
                return
            run.jpeg = jpeg
            self._set(run, preview=run.live.preview + 1, preview_index=index)
        self._change(job, change)

    def picture_over(self, job: str, index: int) -> None:
        """The picture is made or left out."""
        def change(run: _Run) -> None:
            run.steps.pop(index, None)
            run.over.add(index)
            self._set(run, done=run.live.count - run.left + len(run.over))
            self._measure(run)
        self._change(job, change, urgent=True)

    def catch_up(self, jobs: Collection[str]) -> None:
        """Publish what of these jobs came too soon after something else and has not been followed by more."""
        for job in jobs:
            self._publish_if_due(job)

    def _change(self, job: str, change: Callable[[_Run], None], urgent: bool = False) -> None:
        with self._lock:
            run = self._runs.get(job)
            if run is None:
                return
            change(run)
            run.withheld = True
        self._publish_if_due(job, urgent)

    def _publish_if_due(self, job: str, urgent: bool = False) -> None:
        with self._lock:
            run = self._runs.get(job)
            if run is None or not run.withheld or not (urgent or self._clock() - run.published >= PUBLISH_SECONDS):
                return
            run.published, run.withheld = self._clock(), False
            owner, live = run.owner, run.live
        self._publish(owner, live)

    @staticmethod
    def _set(run: _Run, **changes: object) -> None:
        run.live = dataclasses.replace(run.live, **changes)

    def _measure(self, run: _Run) -> None:
        """The fraction of all calls made, and the time left at this run's own pace."""
        live, calls = run.live, run.calls()
        before = (live.count - run.left) * live.steps
        total = live.count * live.steps
        fraction = (before + calls) / total if total else live.done / live.count
        eta = None
        if run.first and calls > run.first[1]:
            pace = (self._clock() - run.first[0]) / (calls - run.first[1])
            eta = max(0.0, pace * (run.left * live.steps - calls))
        self._set(run, fraction=min(1.0, fraction), eta=eta)
