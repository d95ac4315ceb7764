"""From the command to the page, and to the first picture, as a newcomer waits for them."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

import psutil

from backend.settings import HOME

ROUNDS = 3


def measure(device: str) -> dict[str, Any]:
    rounds = [_start(device) for _ in range(ROUNDS)]
    return {key: round(statistics.median(r[key] for r in rounds), 2) for key in rounds[0]}


def _start(device: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as data:
        port = free_port()
        started = time.perf_counter()
        command = [sys.executable, "app.py", "--port", str(port), "--data", data, "--device", device]
        process = subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until_answer(f"http://127.0.0.1:{port}/", process)
            page = time.perf_counter() - started
            memory = psutil.Process(process.pid).memory_info().rss / 2**20
            _first_picture(port)
            return {"seconds to the page": page, "seconds to the first picture": time.perf_counter() - started,
                    "front MiB when the page is up": memory,
                    "front MiB after a picture": psutil.Process(process.pid).memory_info().rss / 2**20}
        finally:
            process.terminate()
            process.wait(timeout=30)


def until_answer(url: str, process: subprocess.Popen) -> None:
    """RuntimeError when the process ends before."""
    while process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=30).read()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"app.py ended with {process.returncode}")


def _first_picture(port: int) -> None:
    body = json.dumps({"prompt": "a red circle on a blue background", "seed": 1}).encode()
    url, headers = f"http://127.0.0.1:{port}/sdapi/v1/txt2img", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, headers)
    urllib.request.urlopen(request, timeout=600).read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
