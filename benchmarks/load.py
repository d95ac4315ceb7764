"""Fifty people at once, over HTTP, against the real application with a worker that draws plain colours.

First 2,000 jobs wait, and pages and queues are looked at. Then everybody has a page open (its event stream is read to
the end), generates, looks at the queue, thinks for a while and now and then loads the page anew. At the end everything
that was asked for has been drawn, once.

    python -m benchmarks.load --seconds 300       what it is meant for; `make bench` takes a minute
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from backend.settings import HOME

PEOPLE, SECONDS = 50, 60.0
WAITING = 40            # jobs that each queues while nothing is drawn
LOOKS = 40              # at page and queue, meanwhile
THINK = 4.0             # seconds between two pictures of one person
RELOADS = 5             # so many pictures between two loads of the page
PASSWORD = "benchmark"
JOB = {"prompt": "a lighthouse on a cliff, storm, dramatic light, oil painting, highly detailed, 4k",
       "width": 64, "height": 64, "checkpoint": ""}
Person = tuple[str, str]


@dataclass(slots=True)
class Seen:
    """What the people measured; seconds and bytes."""

    long_queue: dict[str, list[float]] = field(default_factory=lambda: {"page": [], "queue": []})
    submit: list[float] = field(default_factory=list)
    page: list[float] = field(default_factory=list)
    cancel_all: list[float] = field(default_factory=list)
    stream_bytes: list[int] = field(default_factory=lambda: [0] * PEOPLE)
    memory: list[int] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


def measure(device: str, seconds: float = SECONDS, blocks: Path | None = None) -> dict[str, Any]:
    """`blocks`: where to write what blocked the event loop."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "server.json"
        command = [sys.executable, "-m", "benchmarks.load_server", folder, str(PEOPLE)]
        server = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, text=True)
        try:
            url = server.stdout.readline().split()[-1]
            seen, load = asyncio.run(_everyone(url, psutil.Process(server.pid), seconds))
        finally:
            server.terminate()
            server.wait(timeout=60)
        inside = json.loads(report.read_text())
    if blocks:
        blocks.write_text(json.dumps(inside["blocks"], indent=1))
    return {
        "people": PEOPLE, "seconds": seconds, **load, "requests that failed": sum(seen.errors.values()),
        "2,000 jobs wait / page p95 seconds": _percentile(seen.long_queue["page"], 95),
        "2,000 jobs wait / queue p95 seconds": _percentile(seen.long_queue["queue"], 95),
        "submit p50 seconds": _percentile(seen.submit, 50), "submit p95 seconds": _percentile(seen.submit, 95),
        "page p95 seconds": _percentile(seen.page, 95),
        "event loop late p50 seconds": inside["p50"], "event loop late p95 seconds": inside["p95"],
        "event loop late at most seconds": inside["most"],
        "event loop busy at a stretch at most seconds": inside["busy"],
        "slowest search for garbage seconds": inside["garbage"],
        "event loop away for over 0.05 seconds, times": inside["away"],
        "MB of the busiest open page": round(max(seen.stream_bytes) / 1e6, 3),
        "front MB at first": round(seen.memory[0] / 1e6), "front MB at the end": round(seen.memory[-1] / 1e6),
        "slowest cancel all seconds": round(max(seen.cancel_all), 3),
        **{f"failed: {why}": times for why, times in seen.errors.items()},
    }


async def _everyone(url: str, server: psutil.Process, seconds: float) -> tuple[Seen, dict[str, Any]]:
    seen = Seen()
    people = [(f"user{number}", PASSWORD) for number in range(PEOPLE)]
    limits = httpx.Limits(max_connections=4 * PEOPLE)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        streams = [asyncio.create_task(_stream(client, person, seen, place)) for place, person in enumerate(people)]
        started = time.perf_counter()
        await asyncio.gather(*(_fill(client, person, seen) for person in people))
        filled = time.perf_counter() - started
        await _look(client, people, seen)
        await asyncio.gather(*(_clear(client, person, seen) for person in people))
        await asyncio.sleep(1)
        watching = asyncio.create_task(_watch_memory(server, seen))
        used, end = _cpu(server), time.perf_counter() + seconds
        asked = await asyncio.gather(*(_person(client, person, end, seen) for person in people))
        used = _cpu(server) - used
        late = await asyncio.gather(*(_drawn(client, person, jobs, seen) for person, jobs in zip(people, asked)))
        for task in (*streams, watching):
            task.cancel()
    return seen, {"seconds to queue 2,000 jobs": round(filled, 2), "jobs": sum(map(len, asked)),
                  "jobs not drawn exactly once": sum(late), "cores used by the front": round(used / seconds, 2)}


async def _stream(client: httpx.AsyncClient, person: Person, seen: Seen, place: int) -> None:
    """Reads the event stream as an open page does."""
    async with client.stream("GET", "/easel/events", auth=person) as answer:
        async for chunk in answer.aiter_raw():
            seen.stream_bytes[place] += len(chunk)
    seen.errors["a stream ended"] += 1


async def _fill(client: httpx.AsyncClient, person: Person, seen: Seen) -> None:
    await _timed(client, "POST", "/easel/queue/pause", person, [], seen, json={})
    for number in range(WAITING):
        await _timed(client, "POST", "/easel/jobs", person, [], seen, json={**JOB, "seed": number})


async def _look(client: httpx.AsyncClient, people: Sequence[Person], seen: Seen) -> None:
    for number in range(LOOKS):
        person = people[number % PEOPLE]
        await _timed(client, "GET", "/", person, seen.long_queue["page"], seen)
        await _timed(client, "GET", "/easel/queue", person, seen.long_queue["queue"], seen)


async def _clear(client: httpx.AsyncClient, person: Person, seen: Seen) -> None:
    await _timed(client, "POST", "/easel/jobs/cancel", person, seen.cancel_all, seen)
    await _timed(client, "POST", "/easel/queue/resume", person, [], seen, json={})


async def _person(client: httpx.AsyncClient, person: Person, end: float, seen: Seen) -> list[str]:
    """The ids of the jobs that were asked for."""
    await asyncio.sleep(random.uniform(0, THINK))
    jobs = []
    while time.perf_counter() < end:
        answer = await _timed(client, "POST", "/easel/jobs", person, seen.submit, seen,
                              json={**JOB, "seed": len(jobs)})
        jobs += [answer["id"]] if answer else []
        await _timed(client, "GET", "/easel/queue", person, [], seen)
        if len(jobs) % RELOADS == 0:
            await _timed(client, "GET", "/", person, seen.page, seen)
            await _timed(client, "GET", "/easel/images", person, [], seen)
        await asyncio.sleep(random.uniform(0.5, 1.5) * THINK)
    return jobs


async def _drawn(client: httpx.AsyncClient, person: Person, jobs: Sequence[str], seen: Seen) -> int:
    """How many of the jobs have not exactly one picture when nothing is left to be drawn."""
    for _ in range(240):
        queue = await _timed(client, "GET", "/easel/queue", person, [], seen)
        if queue and not queue["total"]:
            break
        await asyncio.sleep(0.5)
    pictures: Counter[str] = Counter()
    before = ""
    while page := await _images(client, person, before):
        pictures.update(image["job"] for image in page)
        before = page[-1]["id"]
    return sum(pictures[job] != 1 for job in jobs) + sum(job not in set(jobs) for job in pictures)


async def _images(client: httpx.AsyncClient, person: Person, before: str) -> list[dict[str, Any]]:
    answer = await client.get("/easel/images", params={"limit": 500, "before": before}, auth=person)
    return answer.json()["images"]


async def _watch_memory(server: psutil.Process, seen: Seen) -> None:
    """After ten seconds, when everything has been loaded, and from then on."""
    await asyncio.sleep(10)
    while True:
        seen.memory.append(server.memory_info().rss)
        await asyncio.sleep(5)


async def _timed(client: httpx.AsyncClient, method: str, path: str, person: Person, into: list[float],
                 seen: Seen, **body: Any) -> Any:
    started, told = time.perf_counter(), None
    try:
        answer = await client.request(method, path, auth=person, **body)
        if answer.status_code == 200:
            with contextlib.suppress(ValueError):
                told = answer.json()
        else:
            seen.errors[f"{method} {path}: {answer.status_code}"] += 1
    except httpx.HTTPError as error:
        seen.errors[f"{method} {path}: {type(error).__name__}"] += 1
    into.append(time.perf_counter() - started)
    return told


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _percentile(values: Sequence[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100)[percent - 1], 3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--blocks", type=Path, metavar="FILE", help="Write down what blocked the event loop.")
    flags = parser.parse_args()
    print(json.dumps(measure("cpu", flags.seconds, flags.blocks), indent=2))
