"""When a worker has to be ended: it is silent, in the middle of one thing for too long, or does not obey a cancel."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from backend.extensions.manifest import name_of
from backend.messages import Activity, Alive, Cancelled, Done, Event, Failed, Opening, Preprocessed, Ready

START_SECONDS = 300.0           # from the start of the process to its Ready: a slow disk, much to import
SILENT_SECONDS = 60.0           # without any event; a worker that is well sends one every second
CANCEL_SECONDS = 20.0           # from a cancel to its answer: a network call takes less, or nobody wants to wait for it
DECODING_SECONDS = 120.0        # that a half-drawn picture may take to be decoded after a cancel
STUCK_SECONDS: dict[Activity, float] = {"denoising": 7200.0, "compiling": 7200.0}    # in the middle of one thing
STUCK_OTHERWISE = 1800.0
EXTENSION_SECONDS = 300.0       # in the code of one extension, without a call of a network
SEEN_SECONDS = 0.5              # more than one sign of life in a row has told of the same code


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a worker has to be ended. `blames`: the jobs that it runs may be the cause, so it counts as a death.

    `extension`: the package whose code the worker stood in when it ended, and `jobs` what it did that for.
    """

    why: str
    blames: bool
    extension: str = ""
    jobs: tuple[str, ...] = ()


@dataclass(slots=True)
class Watchdog:
    """Watches one life of one worker. Not thread-safe. `clock` gives seconds."""

    clock: Callable[[], float] = time.monotonic
    _last_event: float = field(init=False)
    _ready: bool = field(init=False, default=False)
    _doing: Alive = field(init=False, default=Alive("idle"))
    _standing: float = field(init=False, default=0.0)       # since when in the same code of the same extension
    _cancels: dict[str, float] = field(init=False, default_factory=dict)    # job -> since when it should end
    _unwanted: dict[str, float] = field(init=False, default_factory=dict)   # what is preprocessed -> the same

    def __post_init__(self) -> None:
        self._last_event = self.clock()

    def on_event(self, event: Event) -> None:
        """An event came; call it when the event has been dealt with, so that a slow front is not the worker's fault."""
        self._last_event = self.clock()
        match event:
            case Ready():
                self._ready, self._doing = True, Alive("idle")
            case Opening():
                self._doing, self._standing = Alive("preparing", extension=event.extension), -math.inf
            case Alive():
                if event.extension != self._doing.extension or event.seconds < self._doing.seconds:
                    self._standing = self.clock()
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

    def ended(self, why: str) -> Verdict:
        """The worker is gone, and nobody has told it to go."""
        return self._blaming(Verdict(why, blames=True), SEEN_SECONDS)

    def verdict(self) -> Verdict | None:
        """Call it when no event waits to be read; None while all is well."""
        now, patience = self.clock(), SILENT_SECONDS if self._ready else START_SECONDS
        if now - self._last_event > patience:
            return self.ended(f"it gave no sign of life for {patience:.0f} seconds")
        if self._ready and self._doing.extension and now - self._standing > EXTENSION_SECONDS:
            extension, minutes = name_of(self._doing.extension), EXTENSION_SECONDS / 60
            return self.ended(f"the extension {extension} kept it for {minutes:.0f} minutes without an end")
        longest = STUCK_SECONDS.get(self._doing.activity, STUCK_OTHERWISE)
        if self._doing.activity != "idle" and self._doing.seconds > longest:
            return Verdict(f"it was {self._doing.activity} for {longest / 60:.0f} minutes without an end", blames=True)
        overdue = any(now - since > CANCEL_SECONDS for since in self._cancels.values())
        at_it = [since for task, since in self._unwanted.items() if task in self._doing.jobs]
        if overdue and not self._is_ending() or any(now - since > CANCEL_SECONDS for since in at_it):
            late = Verdict(f"it did not obey a cancel for {CANCEL_SECONDS:.0f} seconds", blames=False)
            return self._blaming(late, CANCEL_SECONDS * 3 / 4)
        return None

    def _blaming(self, verdict: Verdict, seconds: float) -> Verdict:
        """With the extension in whose code the worker has stood for that long, if there is one."""
        doing = self._doing
        is_seen = doing.extension and self._last_event - self._standing >= seconds
        return replace(verdict, extension=doing.extension, jobs=doing.jobs) if is_seen else verdict

    def _is_ending(self) -> bool:
        """Whether a worker is on its way to obey: to load or compile a model again would take longer than to let it
        finish, and what there is of a cancelled picture is decoded."""
        decoding = self._doing.activity == "decoding" and self._doing.seconds < DECODING_SECONDS
        return decoding or self._doing.activity in ("loading", "compiling")
