"""Twenty people at once, over HTTP, against the real application with a worker that draws plain colours.

Each has a page open (its event stream is read to the end), queues jobs, looks at the list and thinks for a while. The
worker is slow enough that hundreds of jobs wait. At the end each clears what is left of the queue.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from backend.settings import HOME

PEOPLE, SECONDS, AT_ONCE, THINK = 20, 40.0, 40, 1.5     # AT_ONCE: jobs that each queues before the clock starts
PASSWORD = "benchmark"
JOB = {"prompt": "slow=0.02 a lighthouse on a cliff, storm, dramatic light, oil painting, highly detailed, 4k",
       "width": 64, "height": 64, "checkpoint": ""}


@dataclass(slots=True)
class Seen:
    """What the people measured; seconds and bytes."""

    submit: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    cancel_all: list[float] = field(default_factory=list)
    stream_bytes: list[int] = field(default_factory=list)
    errors: int = 0


def measure(device: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "server.json"
        command = [sys.executable, "-m", "benchmarks.load_server", folder, str(PEOPLE)]
        server = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True)
        try:
            url = server.stdout.readline().split()[-1]
            seen, load = asyncio.run(_everyone(url, psutil.Process(server.pid)))
        finally:
            server.terminate()
            server.wait(timeout=60)
        inside = json.loads(report.read_text())
    return {
        "people": PEOPLE, "seconds": SECONDS, **load, "requests that failed": seen.errors,
        "submit p50 seconds": _percentile(seen.submit, 50), "submit p95 seconds": _percentile(seen.submit, 95),
        "health p95 seconds": _percentile(seen.health, 95),
        "event loop late p50 seconds": inside["p50"], "event loop late p95 seconds": inside["p95"],
        "MB of the busiest open page": round(max(seen.stream_bytes) / 1e6, 3),
        "slowest cancel all seconds": round(max(seen.cancel_all), 3),
    }


async def _everyone(url: str, server: psutil.Process) -> tuple[Seen, dict[str, Any]]:
    seen = Seen(stream_bytes=[0] * PEOPLE)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=httpx.Limits(max_connections=200)) as client:
        people = [(f"user{number}", PASSWORD) for number in range(PEOPLE)]
        pages = [asyncio.create_task(_page(client, person, seen, place)) for place, person in enumerate(people)]
        started = time.perf_counter()
        await asyncio.gather(*(_fill(client, person, seen) for person in people))
        filled = time.perf_counter() - started
        seconds = _cpu(server)
        end = time.perf_counter() + SECONDS
        await asyncio.gather(*(_person(client, person, end, seen) for person in people))
        seconds = _cpu(server) - seconds
        waiting = sum(await asyncio.gather(*(_waiting(client, person) for person in people)))
        await asyncio.gather(*(_cancel_all(client, person, seen) for person in people))
        for page in pages:
            page.cancel()
    return seen, {"jobs queued at first": PEOPLE * AT_ONCE, "seconds to queue them": round(filled, 2),
                  "jobs submitted meanwhile": len(seen.submit), "jobs waiting at the end": waiting,
                  "cores used by the front": round(seconds / SECONDS, 2)}


async def _page(client: httpx.AsyncClient, person: tuple[str, str], seen: Seen, place: int) -> None:
    """Reads the event stream as an open page does."""
    async with client.stream("GET", "/easel/events", auth=person) as answer:
        async for chunk in answer.aiter_raw():
            seen.stream_bytes[place] += len(chunk)


async def _fill(client: httpx.AsyncClient, person: tuple[str, str], seen: Seen) -> None:
    for number in range(AT_ONCE):
        await _timed(client, "POST", "/easel/jobs", person, [], seen, json={**JOB, "seed": number})


async def _person(client: httpx.AsyncClient, person: tuple[str, str], end: float, seen: Seen) -> None:
    number = 0
    while time.perf_counter() < end:
        number += 1
        await _timed(client, "POST", "/easel/jobs", person, seen.submit, seen, json={**JOB, "seed": number})
        await _timed(client, "GET", "/easel/health", person, seen.health, seen)
        await _timed(client, "GET", "/easel/jobs", person, [], seen)
        await asyncio.sleep(THINK)


async def _timed(client: httpx.AsyncClient, method: str, path: str, person: tuple[str, str], into: list[float],
                 seen: Seen, **body: Any) -> None:
    started = time.perf_counter()
    try:
        answer = await client.request(method, path, auth=person, **body)
        seen.errors += answer.status_code != 200
    except httpx.HTTPError:
        seen.errors += 1
    into.append(time.perf_counter() - started)


async def _cancel_all(client: httpx.AsyncClient, person: tuple[str, str], seen: Seen) -> None:
    await _timed(client, "POST", "/easel/jobs/cancel", person, seen.cancel_all, seen)


async def _waiting(client: httpx.AsyncClient, person: tuple[str, str]) -> int:
    jobs = (await client.get("/easel/jobs", params={"limit": 500}, auth=person)).json()["jobs"]
    return sum(job["state"] in ("queued", "running") for job in jobs)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _percentile(values: Sequence[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100)[percent - 1], 3)
