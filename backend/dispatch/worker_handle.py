"""A worker as the front sees it: something that takes commands, gives events, and can be lost at any moment."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Protocol

from backend.errors import WorkerLost
from backend.messages import Command, Event

WAITING: Mapping[str, str] = MappingProxyType({"OMP_WAIT_POLICY": "PASSIVE"})
"""How the worker's threads wait for each other at the end of each operation: asleep, so that a machine with other work
does not spend its time on their waiting. For GNU OpenMP, which torch brings along on Linux, that is GOMP_SPINCOUNT=0.
benchmarks/busy_machine.py measures it."""

ENDED_FIRST = 500               # of 1000, which would be "always this one"
END_SECONDS = 5.0               # from closing its connection to the end of the process
GRACE_SECONDS = 10.0            # from SIGTERM to the end of a worker that its front does not stop


class Handle(Protocol):
    """One life of one worker, here or on another machine. One thread receives; any thread sends."""

    def send(self, command: Command) -> None:
        """May block while the worker is busy; a dead worker swallows it."""

    def receive(self, timeout: float) -> Event | None:
        """The next event, None after `timeout` seconds without one; WorkerLost, saying why, once the worker is gone."""

    def kill(self) -> None:
        """End the worker now; what it has still said can be received afterwards."""


class ProcessHandle:
    """A worker process on this machine. `module` has main(connection, device, policy, extensions).

    `environment` is set in the worker alone, before it loads any library; what the system has set already stays.
    """

    def __init__(
        self, module: str, device: str, policy: str, extensions: tuple[str, ...] = (),
        environment: Mapping[str, str] = WAITING,
    ) -> None:
        context = multiprocessing.get_context("spawn")     # no threads, locks or open files of the front in the worker
        self._connection, theirs = context.Pipe()
        arguments = (module, theirs, device, policy, extensions, dict(environment))
        self._sending = threading.Lock()
        self._process = context.Process(target=run_worker, args=arguments, daemon=True, name=f"easel-{device}")
        self._process.start()
        theirs.close()          # else the end of the worker would not be the end of the stream

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def send(self, command: Command) -> None:
        try:
            with self._sending:
                self._connection.send(command)
        except OSError:
            pass        # `receive` tells of the loss, with its reason

    def receive(self, timeout: float) -> Event | None:
        try:
            if not self._connection.poll() and not wait([self._connection, self._process.sentinel], timeout):
                return None
            return self._connection.recv() if self._connection.poll() else self._after_end()
        except (EOFError, OSError):
            raise WorkerLost(self._reason()) from None

    def kill(self) -> None:
        self._process.kill()
        self._process.join(END_SECONDS)     # one that hangs inside a driver does not even end then

    def _after_end(self) -> None:
        """The process has ended, and what it still said has been read."""
        if self._connection.poll(0.05):
            return
        raise EOFError

    def _reason(self) -> str:
        self._process.join(END_SECONDS)
        if self._process.exitcode is None:
            self.kill()
            return "it closed its connection"
        code = self._process.exitcode
        if code >= 0:
            return f"it ended with code {code}"
        name = signal.Signals(-code).name
        return "it was killed, perhaps because memory ran out" if name == "SIGKILL" else f"it was ended by {name}"


def run_worker(
    module: str, connection: Connection, device: str, policy: str, extensions: tuple[str, ...],
    environment: Mapping[str, str],
) -> None:
    """The first thing that a worker process runs. Ctrl+C and the system's "stop" are for the front."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _wait_for_the_front)
    _be_ended_first()
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    gc.disable()        # a sixth of the start would go into looking for garbage among modules
    worker = importlib.import_module(module)
    gc.freeze()         # nor is it looked for there when the memory of a device is short
    gc.enable()
    worker.main(connection, device, policy, extensions)


def _be_ended_first() -> None:
    """When the machine runs out of memory, Linux shall end the worker, which can be replaced, and not the front."""
    with contextlib.suppress(OSError):      # not everywhere may a process say so
        Path("/proc/self/oom_score_adj").write_text(str(ENDED_FIRST))


def _wait_for_the_front(number: int, frame: FrameType | None) -> None:
    """A service manager ends all processes of a service at once: the front will say Stop and take the jobs back.

    A worker that ended first would leave them as if they had killed it. A second signal ends the worker at once.
    """
    signal.signal(number, signal.SIG_DFL)
    end = threading.Timer(GRACE_SECONDS, signal.raise_signal, (number,))
    end.daemon = True
    end.start()
