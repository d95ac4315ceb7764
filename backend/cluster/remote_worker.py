"""A worker on a machine of the cluster: an actor around a worker process, which passes on what it and the front say."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path

import ray

from backend.cluster.model_copies import FileSource, ModelCopies
from backend.dispatch.worker_handle import ProcessHandle
from backend.errors import EaselError, WorkerLost
from backend.messages import Command, Event, Failed, Loading, Run
from backend.version import VERSION

WAIT_SECONDS = 5.0      # for an event, before the front is told that there is none


class RemoteWorker:
    """Lives on the machine with the device. Commands come one after the other, as events go; both at the same time.

    `version` is the front's: another Easel would not understand its words.
    """

    def __init__(self, version: str, module: str, device: str, policy: str, extensions: tuple[str, ...],
                 environment: dict[str, str], source: FileSource, copies: str) -> None:
        if version != VERSION:
            raise RuntimeError(f"this machine has Easel {VERSION}, the front {version}")
        os.environ.pop("OMP_NUM_THREADS", None)     # Ray's, for the one core asked for; a machine here is one worker's
        self._copies = ModelCopies(Path(copies).expanduser(), source, self._coming)
        self._process = ProcessHandle(module, device, policy, extensions, environment)
        self._own: deque[Event] = deque()       # what is said here and not by the process
        self._lock = threading.Lock()

    @ray.method(concurrency_group="commands")
    def send(self, command: Command) -> None:
        """Pass a command on once its model files are here.

        A job for which one cannot be had fails; to what is asked beside jobs the process answers that it is not there.
        """
        try:
            located = self._copies.located(command)
        except EaselError as error:
            if isinstance(command, Run):
                self._say(Failed(command.job, error.problems))
                return
            located = command
        self._process.send(located)

    @ray.method(concurrency_group="events")
    def receive(self) -> tuple[list[Event], str | None]:
        """The events that wait, after `WAIT_SECONDS` at most; and why the process has ended, if it has."""
        events: list[Event] = self._said()
        try:
            while event := self._process.receive(0.0 if events else WAIT_SECONDS):
                events.append(event)
        except WorkerLost as lost:
            return events + self._said(), str(lost)
        return events + self._said(), None

    @ray.method(concurrency_group="control")
    def kill(self) -> None:
        """End the process; what it has still said can be received."""
        self._process.kill()

    def _coming(self, name: str, done: bool) -> None:
        self._say(Loading(name, done))

    def _say(self, event: Event) -> None:
        with self._lock:
            self._own.append(event)

    def _said(self) -> list[Event]:
        with self._lock:
            said = list(self._own)
            self._own.clear()
        return said

