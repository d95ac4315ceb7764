"""Easel as a process that programs restart and stop: it comes up again, and what was queued goes on, once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.settings import HOME
from tests.tiny.house import until

SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 4}
LONG = 300.0            # seconds: a front and a worker on a busy machine
SELDOM = 0.3            # asking all the time would take the core from what is waited for


class Process:
    """`python app.py`, and the programs that ask it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.client = process, httpx.Client(timeout=60)

    def comes_up(self) -> None:
        """Reads on until it tells its address."""
        assert self.process.stdout
        for line in self.process.stdout:
            if "Easel is at " in line:
                self.client.base_url = line.split()[-1]
                return
        raise AssertionError(f"it ended with {self.process.wait()}")

    def get(self, path: str) -> Any:
        return self.client.get(path).json()

    def post(self, path: str, **values: Any) -> Any:
        return self.client.post(path, json=values).json()


@contextmanager
def started(data: Path, device: str = "cpu") -> Iterator[Process]:
    command = [sys.executable, "-u", "app.py", "--port", "0", "--data", str(data), "--device", device, "--api-server-stop"]
    with subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            easel = Process(process)
            with easel.client:
                easel.comes_up()
                yield easel
        finally:
            process.terminate()


@pytest.mark.slow
def test_it_is_restarted_and_stopped_and_every_job_is_drawn_once(tmp_path: Path) -> None:
    with started(tmp_path) as easel:
        pid = easel.process.pid
        jobs = [easel.post("/api/jobs", **SMALL, seed=seed, batch_count=3)["id"] for seed in (1, 2, 3)]
        until(lambda: easel.get(f"/api/jobs/{jobs[0]}")["images"], LONG, SELDOM)
        assert easel.post("/sdapi/v1/server-restart") == "Restarting."
        easel.comes_up()
        assert easel.process.pid == pid and easel.get("/health")
        until(lambda: all(easel.get(f"/api/jobs/{job}")["state"] == "done" for job in jobs), LONG, SELDOM)
        made = [image["id"] for job in jobs for image in easel.get(f"/api/jobs/{job}")["images"]]
        assert len(set(made)) == len(made) == 9 == len(list((tmp_path / "outputs").rglob("*.png")))
        assert easel.post("/sdapi/v1/server-stop") == "Stopping."
        assert easel.process.wait(LONG) == 0
    with started(tmp_path, device="none") as easel:
        assert len(easel.get("/api/jobs")["jobs"]) == 3
        assert easel.post("/sdapi/v1/server-kill") == "Stopping."
        assert easel.process.wait(LONG) == 0
