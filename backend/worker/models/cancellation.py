"""Cancels that reach a worker in the middle of something, at points where leaving off leaves nothing half done.

Such points are: before a module of torch is called or given a parameter, between two tensors of a file, before what was
made is kept, and inside a call of onnxruntime. They are watched inside `heeded` alone, which denoising is outside of.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from torch.nn.modules.module import register_module_forward_pre_hook, register_module_parameter_registration_hook

from backend.errors import WorkCancelled


class Stoppable(Protocol):
    """A call that ends with an error once `terminate` is set, by whichever thread: onnxruntime's `RunOptions`."""

    terminate: bool


class Cancellations:
    """Which jobs a worker was told to leave and has not left yet. `ask` may be called by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: Counter[str] = Counter()
        self._jobs: Sequence[str] = ()
        self._calls: list[Stoppable] = []
        self.is_due = False

    def ask(self, job: str) -> None:
        """Nobody waits any more for what is made for this job, or as this task."""
        with self._lock:
            self._asked[job] += 1
            self._look()

    def obeyed(self, job: str) -> None:
        """It was left: the same name may be wanted again."""
        with self._lock:
            self._asked -= Counter([job])
            self._look()

    @contextmanager
    def heeded(self, jobs: Sequence[str]) -> Iterator[None]:
        """Inside, `heed` raises WorkCancelled in this thread once all of these jobs are asked to be left."""
        before = self._for(jobs)
        token = _HEEDED.set(self)
        hooks = register_module_forward_pre_hook(_heed), register_module_parameter_registration_hook(_heed)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            _HEEDED.reset(token)
            self._for(before)

    @contextmanager
    def ending(self, call: Stoppable) -> Iterator[None]:
        """See `stoppable`."""
        with self._lock:
            call.terminate = self.is_due
            self._calls.append(call)
        try:
            yield
        finally:
            with self._lock:
                self._calls.remove(call)

    def _for(self, jobs: Sequence[str]) -> Sequence[str]:
        """From here on it is worked for these; whom it was for."""
        with self._lock:
            before, self._jobs = self._jobs, tuple(jobs)
            self._look()
        return before

    def _look(self) -> None:
        self.is_due = due = bool(self._jobs) and all(job in self._asked for job in self._jobs)
        for call in self._calls if due else ():
            call.terminate = True


_HEEDED: ContextVar[Cancellations | None] = ContextVar("heeded", default=None)


def heed() -> None:
    """A point at which work may be left: raises WorkCancelled where nobody waits for it any more."""
    heeded = _HEEDED.get()
    if heeded is not None and heeded.is_due:
        raise WorkCancelled


@contextmanager
def stoppable(call: Stoppable) -> Iterator[None]:
    """Inside, a cancel ends the call. Raises WorkCancelled in the place of what it ends with."""
    heeded = _HEEDED.get()
    if heeded is None:
        yield
        return
    try:
        with heeded.ending(call):
            yield
    finally:
        heed()


def _heed(*told: Any) -> None:
    heed()
