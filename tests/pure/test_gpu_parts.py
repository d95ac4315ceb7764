"""`make gpu`: a part that hangs, dies, runs out of memory or says nothing costs itself alone, and its processes are gone."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.gpu import __main__ as gpu
from tests.tiny.house import until


def part(code: str, seconds: float = 30) -> dict[str, object]:
    return gpu.run([sys.executable, "-c", code], seconds, dict(os.environ))


def test_the_last_line_is_the_result() -> None:
    assert part("print('loading'); print('{\"seconds\": 2}')") == {"seconds": 2}


@pytest.mark.parametrize(("code", "why", "said"), [
    ("import os, signal; print('{}x'); os.kill(os.getpid(), signal.SIGSEGV)", "code -11", "{}x"),
    ("raise MemoryError('CUDA out of memory')", "code 1", "MemoryError: CUDA out of memory"),
    ("print('5')", "code 0", "5"),
    ("", "code 0", None),
])
def test_why_there_is_none_is_told_with_what_was_said(code: str, why: str, said: str | None) -> None:
    found = part(code)
    assert why in str(found["failed"]) and (said is None or said in found["said"])


@pytest.mark.slow
def test_what_hangs_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    child = f"import os, time, pathlib; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid())); time.sleep(60)"
    started = time.monotonic()
    found = part(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", 2)
    assert found["failed"] == "took longer than 2 s" and time.monotonic() - started < 30
    if (tmp_path / "pid").exists():
        until(lambda: not psutil.pid_exists(int((tmp_path / "pid").read_text())))


def test_each_part_is_written_at_once_and_one_without_time_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "gpu.json"
    on_disk: list[list[str]] = []

    def measured(command: list[str], seconds: float, environment: dict[str, str]) -> dict[str, object]:
        on_disk.append(list(json.loads(file.read_text())) if file.exists() else [])
        return {"failed": "ended with code 1"} if len(on_disk) == 1 else {"seconds": seconds}

    monkeypatch.setattr(gpu, "run", measured)
    monkeypatch.setattr(gpu, "PARTS", (("a", ("a",), 10), ("b", ("b",), 10), ("c", ("c",), 1000)))
    chosen = argparse.Namespace(rehearse=False, seconds=60, parts=[])
    results = gpu.run_all(chosen, {}, file)
    assert on_disk == [[], ["a"]] and list(json.loads(file.read_text())) == ["a", "b", "c"]
    assert "failed" in results["a"] and results["b"]["seconds"] == 10 and "left out" in results["c"]
