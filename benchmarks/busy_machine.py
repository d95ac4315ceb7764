"""A picture from a worker process while other programs use the processor, by how the worker's threads wait.

torch's threads (GNU OpenMP's on Linux) meet at the end of each operation. By default they wait there spinning for 3 ms,
which takes the processor from the thread that is waited for as soon as something else runs, too. The candidates take
turns, first on the machine as it is and then with one busy loop per processor beside it. How long a picture kept the
processors busy tells what was spent on waiting, also on a machine that is not quiet.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.dispatch.worker_handle import ProcessHandle
from backend.messages import Done, Event, Failed, Ready, Refused, Run
from backend.request.request import Request
from backend.settings import HOME
from benchmarks.random_file import write_sd1
from benchmarks.timing import in_turns

CANDIDATES: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},     # the same as GOMP_SPINCOUNT=0
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},           # about 0.1 ms
    "one thread": {"OMP_NUM_THREADS": "1"},
}
AT_FULL_SIZE = ("as it is", "OMP_WAIT_POLICY=PASSIVE")     # a picture there takes a minute beside busy loops
PATIENCE = 300.0        # seconds
REQUEST = Request(prompt="a red circle and a blue star, yellow background", width=128, height=128, steps=20, seed=1,
                  variation_seed=1, cfg_scale=5.0)


def measure(device: str) -> dict[str, Any]:
    """Median seconds of a picture by candidate, quiet and beside busy loops; only a processor's threads are told."""
    demo = ModelCatalog((HOME / "models",)).find(CHECKPOINT, "demo")
    with tempfile.TemporaryDirectory() as folder:
        write_sd1(Path(folder) / "checkpoints" / "random.safetensors")
        full = ModelCatalog((Path(folder),)).find(CHECKPOINT, "random")
        return {"processors": os.cpu_count(), "demo": _compared(demo, REQUEST, [*CANDIDATES], rounds=2),
                "sd1": _compared(full, REQUEST.replace(steps=1), AT_FULL_SIZE, rounds=1)}


def _compared(checkpoint: ModelFile, request: Request, candidates: Sequence[str], rounds: int) -> dict[str, Any]:
    workers = {name: _Worker(CANDIDATES[name]) for name in candidates}
    try:
        contenders = {name: lambda worker=worker: worker.draw(checkpoint, request) for name, worker in workers.items()}
        quiet = in_turns(contenders, rounds)
        before = {name: worker.processor_seconds for name, worker in workers.items()}
        with _busy_loops(os.cpu_count() or 1):
            busy = in_turns(contenders, rounds, warmups=0)
        spent = {name: (worker.processor_seconds - before[name]) / rounds for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.handle.kill()
    return {"size": f"{request.width}x{request.height}", "steps": request.steps, "rounds": rounds, "seconds": {
        name: {"quiet": round(statistics.median(quiet[name]), 2), "busy": round(statistics.median(busy[name]), 2),
               "busy, slowest": round(max(busy[name]), 2), "busy, of processors": round(spent[name], 2)}
        for name in candidates}}


class _Worker:
    """A worker process of its own, that is ready."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.handle = ProcessHandle("backend.worker.process", "cpu", "solo", environment=environment)
        self.jobs = 0
        self._until(Ready)

    @property
    def processor_seconds(self) -> float:
        """That all its threads have had so far."""
        return sum(psutil.Process(self.handle.pid).cpu_times()[:2])

    def draw(self, checkpoint: ModelFile, request: Request) -> None:
        """One picture, from the command to the last event."""
        self.jobs += 1
        self.handle.send(Run(str(self.jobs), "local", request, (0,), {(CHECKPOINT, request.checkpoint): checkpoint}))
        self._until(Done)

    def _until(self, kind: type[Event]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not isinstance(event := self.handle.receive(1.0), kind):
            if isinstance(event, Failed | Refused) or time.monotonic() > deadline:
                raise RuntimeError(f"the worker gave {event}")


@contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
