"""When a worker has to be ended: it is silent, in the middle of one thing for too long, or does not obey a cancel."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backend.messages import Activity, Alive, Cancelled, Done, Event, Failed, Preprocessed, Ready

START_SECONDS = 300.0           # from the start of the process to its Ready: a slow disk, much to import
SILENT_SECONDS = 60.0           # without any event; a worker that is well sends one every second
CANCEL_SECONDS = 20.0           # from a cancel to its answer: a network call takes less, or nobody wants to wait for it
DECODING_SECONDS = 120.0        # that a half-drawn picture may take to be decoded after a cancel
STUCK_SECONDS: dict[Activity, float] = {"denoising": 7200.0}    # in the middle of one thing
STUCK_OTHERWISE = 1800.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a worker has to be ended. `blames`: the jobs that it runs may be the cause, so it counts as a death."""

    why: str
    blames: bool


@dataclass(slots=True)
class Watchdog:
    """Watches one life of one worker. Not thread-safe. `clock` gives seconds."""

    clock: Callable[[], float] = time.monotonic
    _last_event: float = field(init=False)
    _ready: bool = field(init=False, default=False)
    _doing: Alive = field(init=False, default=Alive("idle"))
    _cancels: dict[str, float] = field(init=False, default_factory=dict)    # job -> since when it should end
    _unwanted: dict[str, float] = field(init=False, default_factory=dict)   # what is preprocessed -> the same

    def __post_init__(self) -> None:
        self._last_event = self.clock()

    def on_event(self, event: Event) -> None:
        """An event came; call it when the event has been dealt with, so that a slow front is not the worker's fault."""
        self._last_event = self.clock()
        match event:
            case Ready():
                self._ready = True
            case Alive():
                self._doing = event
            case Done() | Failed() | Cancelled():
                self._cancels.pop(event.job, None)
            case Preprocessed():
                self._unwanted.pop(event.task, None)

    def cancel(self, job: str) -> None:
        """The worker was told to stop a job that it has begun."""
        self._cancels.setdefault(job, self.clock())

    def unwanted(self, task: str) -> None:
        """Nobody waits any more for what the worker makes of a picture; it may not be at it yet."""
        self._unwanted.setdefault(task, self.clock())

    def verdict(self) -> Verdict | None:
        """Call it when no event waits to be read; None while all is well."""
        now, patience = self.clock(), SILENT_SECONDS if self._ready else START_SECONDS
        if now - self._last_event > patience:
            return Verdict(f"it gave no sign of life for {patience:.0f} seconds", blames=True)
        longest = STUCK_SECONDS.get(self._doing.activity, STUCK_OTHERWISE)
        if self._doing.activity != "idle" and self._doing.seconds > longest:
            return Verdict(f"it was {self._doing.activity} for {longest / 60:.0f} minutes without an end", blames=True)
        overdue = any(now - since > CANCEL_SECONDS for since in self._cancels.values())
        at_it = [since for task, since in self._unwanted.items() if task in self._doing.jobs]
        if overdue and not self._is_ending() or any(now - since > CANCEL_SECONDS for since in at_it):
            return Verdict(f"it did not obey a cancel for {CANCEL_SECONDS:.0f} seconds", blames=False)
        return None

    def _is_ending(self) -> bool:
        """Whether a worker is on its way to obey: to load a model again would take longer than to let it finish, and
        what there is of a cancelled picture is decoded."""
        decoding = self._doing.activity == "decoding" and self._doing.seconds < DECODING_SECONDS
        return decoding or self._doing.activity == "loading"
