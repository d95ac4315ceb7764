"""Asks a worker to look at pictures while somebody waits: guides' hints, faces, what there is in words."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from backend.catalog.model_file import ModelFile
from backend.errors import EaselError, InvalidRequest, NotAllowed, WorkerLost
from backend.messages import (
    CompareFaces,
    Describe,
    Described,
    FacesCompared,
    FacesLocated,
    LocateFaces,
    Look,
    Looked,
    Preprocess,
    Preprocessed,
)
from backend.store.view_types import Worker

PATIENCE = 600.0        # seconds; a worker that hangs is replaced long before
UP = ("ready", "loading")
NOT_READY = "The worker that would make this is not ready yet; try again in a moment."
CANCELLED = "It was cancelled."
KILLED = "The worker process ended while it made this."


class Preprocessor(Protocol):
    """A worker as far as preprocessing is concerned."""

    @property
    def worker(self) -> Worker: ...

    def is_free(self, *, alone: bool) -> bool: ...

    def measure(self, command: Look) -> None: ...

    def leave(self, task: str) -> None: ...

    def resume(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Asked:
    worker: Preprocessor
    answer: Future[Looked]


class Preprocessing:
    """Thread-safe."""

    def __init__(self) -> None:
        self._workers: Sequence[Preprocessor] = ()
        self._asked: dict[str, _Asked] = {}
        self._lock = threading.Lock()

    def start(self, workers: Sequence[Preprocessor]) -> None:
        """More may join the `workers` later."""
        self._workers = workers

    def made(self, command: Preprocess) -> Preprocessed:
        """Waits for a worker, between two of its network calls. `task` is a name that no other has at that time.

        NotAllowed while none is up and when it is cancelled, InvalidRequest, WorkerLost.
        """
        return self._answered(command)

    def cancel(self, task: str) -> None:
        """Whoever waits for this waits no longer; a worker that stays at it is ended. Unknown ones are over already."""
        with self._lock:
            asked = self._asked.get(task)
        if asked and not asked.answer.done():
            asked.worker.leave(task)
            self._refuse(asked, NotAllowed(CANCELLED))

    def compared(self, pictures: tuple[bytes, bytes], file: ModelFile) -> FacesCompared:
        """How alike the faces in two pictures are; as `made`."""
        return self._answered(CompareFaces(uuid.uuid4().hex, pictures, file))

    def located(self, picture: bytes, file: ModelFile) -> FacesLocated:
        """Where the faces of a picture are; as `made`."""
        return self._answered(LocateFaces(uuid.uuid4().hex, picture, file))

    def described(self, picture: bytes, file: ModelFile, **how: Any) -> Described:
        """What is in a picture, in words, by the `how` of `Describe`; as `made`."""
        return self._answered(Describe(uuid.uuid4().hex, picture, file, **how))

    def _answered(self, command: Look) -> Any:
        ready = sorted((each for each in self._workers if each.worker.state in UP),
                       key=lambda each: not each.is_free(alone=False))
        if not ready:
            any(each.resume() for each in self._workers)
            raise NotAllowed(NOT_READY)
        task, answer = command.task, Future[Looked]()
        with self._lock:
            self._asked[task] = _Asked(ready[0], answer)
        ready[0].measure(command)
        try:
            made = answer.result(PATIENCE)
        except TimeoutError:
            raise WorkerLost(KILLED) from None
        finally:
            with self._lock:
                self._asked.pop(task, None)
        if made.problem:
            raise InvalidRequest(problems=[made.problem])
        return made

    def received(self, answer: Looked) -> None:
        """A worker has answered."""
        with self._lock:
            asked = self._asked.get(answer.task)
            if asked and not asked.answer.done():
                asked.answer.set_result(answer)

    def lost(self, worker: str) -> None:
        """The worker has ended with what was in its hands."""
        with self._lock:
            gone = [asked for asked in self._asked.values() if asked.worker.worker.name == worker]
        for asked in gone:
            self._refuse(asked, WorkerLost(KILLED))

    def _refuse(self, asked: _Asked, why: EaselError) -> None:
        """Unless the answer has come meanwhile."""
        with self._lock:
            if not asked.answer.done():
                asked.answer.set_exception(why)
