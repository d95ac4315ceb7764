"""Who waits for the same lock is written in one transaction; where that fails, each tries his own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.request.request import Request
from backend.store.database import Database
from backend.store.group_commit import GroupCommit
from backend.store.jobs import Jobs


def waiting(group: GroupCommit[object], count: int) -> None:
    while len(group._waiting) < count:
        time.sleep(0.001)


def test_all_who_wait_are_written_at_once() -> None:
    written: list[list[int]] = []
    lock = threading.RLock()
    group = GroupCommit(lock, lambda items: written.append([*items]))
    with ThreadPoolExecutor(8) as threads:
        with lock:
            puts = []
            for number in range(8):
                puts.append(threads.submit(group.put, number))
                waiting(group, number + 1)
        for put in puts:
            put.result(10)
    assert written == [[*range(8)]]


def test_a_failure_leaves_what_the_others_want_written() -> None:
    written: list[str] = []

    def write(items: Sequence[str]) -> None:
        if "bad" in items:
            raise ValueError("bad")
        written.extend(items)

    lock = threading.RLock()
    group = GroupCommit(lock, write)
    with ThreadPoolExecutor(4) as threads:
        with lock:
            puts = {}
            for number, item in enumerate(("one", "bad", "two", "three")):
                puts[item] = threads.submit(group.put, item)
                waiting(group, number + 1)
        errors = {item: put.exception(10) for item, put in puts.items()}
    told = [item for item, error in errors.items() if error]
    assert "bad" in told and len(told) <= 2, "and at most the one who wrote for all"
    assert sorted(written) == sorted(errors.keys() - set(told)), "what is not told of a failure is written, once"


def test_jobs_of_many_people_at_once_have_places_of_their_own(database: Database) -> None:
    jobs = Jobs(database)
    with ThreadPoolExecutor(8) as threads:
        requests = [[Request(prompt=f"{owner} {number}", seed=1, variation_seed=1) for number in range(3)] for owner in range(8)]
        made = [*threads.map(lambda owner: jobs.add_all(requests[owner], f"user{owner % 4}", [["a note"]]), range(8))]
    assert [[job.request.prompt.split()[1] for job in each] for each in made] == [["0", "1", "2"]] * 8
    assert all([job.notes for job in each] == [("a note",), (), ()] for each in made)
    queue = [job for owner in range(4) for job in jobs.queue(f"user{owner}")]
    assert sorted(job.position for job in queue) == [*range(1, 25)]
    for owner in range(4):
        lines = [line.prompt for line in jobs.lines(f"user{owner}")]
        assert len(lines) == 6 and all(lines[at].split()[1] == str(2 - at % 3) for at in range(6)), "each call's in one piece, newest first"


def test_an_error_of_the_database_reaches_each_who_queues(tmp_path: Path) -> None:
    database = Database(tmp_path / "easel.db")
    jobs = Jobs(database)

    def refuse(arrivals: object) -> None:
        raise OSError("the disk is full")

    jobs._arrivals._write = refuse
    with ThreadPoolExecutor(4) as threads:
        puts = [threads.submit(jobs.add_all, [Request(seed=1, variation_seed=1)], "ann") for _ in range(4)]
        assert all(isinstance(put.exception(10), OSError) for put in puts)
    assert not jobs.queue("ann")
    with pytest.raises(OSError):
        jobs.add_all([Request(seed=1, variation_seed=1)], "ann")
    database.close()
