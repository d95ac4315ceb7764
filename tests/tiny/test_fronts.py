"""Several front processes on one PostgreSQL, with fake workers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from backend.store.database import Database
from tests.guest import Guest
from tests.postgres import PostgresServer
from tests.tiny.house import open_house, submit, until, waits_again

JOBS = 120

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("light_start")]


@pytest.fixture
def pair(tmp_path: Path, postgres: PostgresServer) -> Iterator[tuple[Guest, Guest]]:
    """Two fronts in this process, the second of which draws nothing itself."""
    url = postgres.empty_tables()
    drawing = open_house(tmp_path, database_url=url)
    looking = open_house(tmp_path, database_url=url, device="none", port=7861)
    until(lambda: drawing._components.dispatcher.say_to_others([]) and looking._components.dispatcher.say_to_others([]))
    yield drawing, looking
    looking.close()
    drawing.close()


def events_until(house: Guest, kind: str, seconds: float = 60.0) -> dict[str, object]:
    cursor, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        cursor, events = house.watch(cursor, 1.0)
        for event in events:
            if event["type"] == kind:
                return event
    raise AssertionError(f"no {kind} event came")


def test_what_one_front_is_given_the_other_draws_and_both_tell_it(pair: tuple[Guest, Guest]) -> None:
    drawing, looking = pair
    job = submit(looking, "slow=0.6", batch_count=2)
    assert events_until(looking, "progress")["job"] == job.id
    until(lambda: looking.preview(job.id))
    assert looking.live(job.id).preview
    image = events_until(looking, "image")
    assert image["job"] == job.id
    assert looking.wait(job.id).state == "done"
    until(lambda: not drawing.overview().total and not looking.overview().total)
    assert [each.id for each in drawing.images()] == [each.id for each in looking.images()]
    assert looking.image_file(image["image"]["id"]).is_file()


def test_a_cancel_a_skip_and_a_pause_reach_the_front_that_draws(pair: tuple[Guest, Guest]) -> None:
    drawing, looking = pair
    running = submit(looking, "slow=1.5", batch_count=2)
    until(lambda: looking.job(running.id).state == "running")
    looking.cancel(running.id)
    assert looking.wait(running.id).state == "cancelled"
    looking.pause(True)
    until(lambda: drawing.overview().paused)
    waiting = submit(drawing)
    until(lambda: looking.overview().total == 1)
    assert drawing.job(waiting.id).state == "queued"
    looking.pause(False)
    assert drawing.wait(waiting.id).state == "done"


def states(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(text("SELECT state FROM jobs")))


class Fronts:
    """Processes that are started again when they are killed."""

    def __init__(self, folder: Path, url: str, count: int) -> None:
        self._command = [sys.executable, "-m", "tests.tiny.front_process", str(folder), url]
        self.processes = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ})

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait()
        self.processes[number] = self._start()

    def workers(self) -> list[psutil.Process]:
        return [child for process in self.processes for child in psutil.Process(process.pid).children()
                if "spawn_main" in " ".join(child.cmdline())]

    def close(self) -> None:
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait(30)


@pytest.mark.slow
def test_every_job_is_drawn_once_while_fronts_and_workers_are_killed(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.empty_tables()
    database = Database(url)
    with database.write() as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS ends (job text)"))
        session.execute(text("TRUNCATE ends"))
        session.execute(text("CREATE OR REPLACE RULE ended AS ON UPDATE TO jobs WHERE new.state = 'done' AND old.state <> 'done' "
                             "DO ALSO INSERT INTO ends VALUES (new.id)"))
    desk = open_house(tmp_path, database_url=url, start_workers=False)
    jobs = [submit(desk, f"slow=0.02 {number}", batch_count=2) for number in range(JOBS)]
    fronts, dice = Fronts(tmp_path, url, 2), random.Random(5)
    try:
        for process in fronts.processes:
            assert process.stdout.readline() == "ready\n"
        killed = 0
        while any(state in ("queued", "running") for state in states(database)):
            time.sleep(0.7)
            workers = fronts.workers()
            if killed < 6 and not waits_again(database):
                if killed % 2 or not workers:
                    fronts.kill(dice.randrange(2))
                else:
                    dice.choice(workers).kill()
                killed += 1
    finally:
        fronts.close()
    done = [desk.job(job.id) for job in jobs]
    assert killed >= 4
    assert [(job.state, job.problems) for job in done if job.state != "done"] == []
    assert all(sorted(image.index for image in job.images) == [0, 1] for job in done)
    with database.read() as session:
        ends = session.scalars(text("SELECT job FROM ends")).all()
    assert sorted(ends) == sorted(job.id for job in jobs)
    desk.close()
    database.close()


@pytest.mark.slow
def test_a_server_that_goes_away_for_a_while_loses_nothing(tmp_path: Path) -> None:
    from tests.postgres import running

    with running() as server:
        house = open_house(tmp_path, database_url=server.new_database())
        jobs = [submit(house, "slow=0.2", batch_count=2) for _ in range(4)]
        until(lambda: house.job(jobs[0].id).state == "running")
        server.stop()
        back = threading.Timer(4.0, server.start)
        back.start()
        until(lambda: any("does not answer" in notice for notice in house.status().notices))
        assert all("\n" not in notice for notice in house.status().notices)
        back.join()
        until(lambda: house.wait(jobs[-1].id, 60).state == "done", 60)
        assert [len(house.job(job.id).images) for job in jobs] == [2] * 4
        until(lambda: not house.status().notices)
        house.close()
