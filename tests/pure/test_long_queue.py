"""What happens often costs the same however many jobs wait: counted in statements and bytes, not in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from backend.dispatch.dispatcher import Dispatcher
from backend.request.request import Request
from backend.store.database import Database
from backend.store.history import History
from backend.store.jobs import Jobs

OWNERS, EACH = [f"user{number}" for number in range(20)], 100
WORDS = "a lighthouse on a cliff, storm, dramatic light, oil painting, highly detailed, " * 10


class House:
    """A queue, and what it asks of the database."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(folder / "easel.db")
        self.jobs, self.statements = Jobs(self.database), []
        self.dispatcher = Dispatcher(self.jobs, History(self.database), None, None, None)
        event.listen(self.database._engine, "before_cursor_execute", self.note)

    def note(self, connection, cursor, statement, *rest) -> None:
        if not statement.startswith("BEGIN"):
            self.statements.append(statement)

    def fill(self, each: int, owners: list[str] = OWNERS) -> None:
        for owner in owners:
            self.jobs.add_all([Request(prompt=f"{number} {WORDS}", seed=number, variation_seed=1) for number in range(each)], owner)

    @contextmanager
    def counted(self, most: int) -> Iterator[None]:
        before = len(self.statements)
        yield
        said = self.statements[before:]
        assert min(most, 1) <= len(said) <= most, said


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("full"))
    house.fill(EACH)
    return house


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_an_event_of_a_queue_of_two_thousand_is_small_and_costs_no_statement(full):
    with full.counted(0):
        _, events = full.dispatcher.feed.watch("user3", 0, 0)
    (queue,) = [event for event in events if event["type"] == "queue"]
    assert (queue["total"], len(queue["jobs"])) == (EACH, 12)
    assert [job["position"] for job in queue["jobs"][:3]] == [4, 24, 44]
    assert len(json.dumps(events)) < 4_000


def test_a_page_can_ask_for_the_rest_of_the_queue(full):
    with full.counted(0):
        page = full.jobs.overview("user3", start=90, limit=50)
    assert [job.position for job in page.jobs] == [4 + 20 * index for index in range(90, 100)] and page.total == EACH
    assert page.jobs[0].prompt == f"90 {WORDS}"[:120]


def test_a_lease_costs_the_same_however_many_wait(full, tmp_path):
    counts = []
    small = House(tmp_path)
    small.fill(2)
    for house in (full, small):
        before = len(house.statements)
        leases = house.jobs.lease("gpu", 2)
        counts.append(len(house.statements) - before)
        assert [lease.owner for lease in leases] == ["user0", "user1"]
        house.jobs.release()
    assert counts[0] == counts[1] <= 4


def test_an_event_of_a_running_job_costs_one_statement(house):
    house.fill(20, ["ann"])
    (lease,) = house.jobs.lease("gpu", 1)
    for index in range(3):
        house.jobs.skip(lease.job, lease.token, index)
    with house.counted(1):
        assert house.jobs.overview("ann", limit=12).jobs[0].state == "running"


def test_after_a_restart_the_queue_is_the_same(house):
    house.fill(30)
    again = Jobs(house.database)
    assert [again.overview(owner) for owner in OWNERS] == [house.jobs.overview(owner) for owner in OWNERS]
    assert [again.overview(owner) for owner in OWNERS] == [house.jobs.overview(owner) for owner in OWNERS]


def test_queueing_many_jobs_is_one_transaction(house):
    with house.counted(6):
        added = house.jobs.add_all([Request(seed=number, variation_seed=1) for number in range(400)], "ann")
    assert [job.id for job in house.jobs.overview("ann").jobs] == [job.id for job in added]
    assert house.jobs.get(added[399].id, "ann") == added[399] and added[399].position == 400


def test_clearing_the_queue_is_one_transaction_and_one_event(house):
    house.fill(300, ["ann", "bob"])
    (lease, _) = house.jobs.lease("gpu", 2)
    with house.counted(2):
        over, told = house.jobs.cancel_all("ann", "queued", "running")
    assert (len(over), told) == (299, [lease.job])
    assert house.jobs.overview("ann").total == 1 and house.jobs.overview("bob").total == 300
    assert house.jobs.state(over[0], "ann") == "cancelled" and house.jobs.state(lease.job, "ann") == "running"
    assert house.jobs.finish(lease.job, lease.token, "cancelled").state == "cancelled"
    house.dispatcher.cleared("ann", over)
    events = house.dispatcher.feed.watch("ann", 1, 0)[1]
    assert [event["count"] for event in events if event["type"] == "cleared"] == [299]
    assert not [event for event in events if event["type"] == "job"]


def test_a_glance_counts_as_the_whole_request_does(house):
    """Its shortened reading of a row must not miss a field that the count comes from."""
    picture, texts = "0" * 64, tuple("abc")
    requests = [
        Request(prompt="x", batch_count=3, batch_size=2), Request(prompts=texts, negative_prompts=texts, batch_count=7),
        Request(init_image=picture, loopback_loops=4, batch_count=2), Request(init_image=picture, loopback_loops=4, loopback_round=1),
        Request(loopback_loops=4), Request(init_image=picture, loopback_loops=4, process="Extras"),
    ]  # fmt: skip
    house.jobs.add_all(requests, "ann")
    assert [job.count for job in Jobs(house.database).overview("ann").jobs] == [request.count for request in requests]
    assert [job.count for job in reversed(house.jobs.lines("ann"))] == [request.count for request in requests]


def test_interrupting_leaves_what_waits(house):
    house.fill(3, ["ann"])
    (lease,) = house.jobs.lease("gpu", 1)
    assert house.jobs.cancel_all("ann", "running") == ([], [lease.job])
    assert house.jobs.overview("ann").total == 3


def test_what_a_worker_reports_does_not_read_the_request(house):
    """It may hold a thousand prompts, and is asked for with every picture."""
    house.fill(1, ["ann"])
    (lease,) = house.jobs.lease("gpu", 1)
    before = len(house.statements)
    assert house.jobs.is_held(lease.job, lease.token) and house.jobs.state(lease.job, "ann") == "running"
    house.jobs.skip(lease.job, lease.token, 0)
    house.jobs.finish(lease.job, lease.token, "done")
    assert not [statement for statement in house.statements[before:] if "jobs.request" in statement]
