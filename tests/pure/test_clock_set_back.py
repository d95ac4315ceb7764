"""A clock that is set back changes neither the order of lists nor their paging; what has a day of its own goes by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest
from sqlalchemy import text

from backend.request.request import Request
from backend.store import tables
from backend.store.database import Database
from backend.store.history import History, PictureFile
from backend.store.jobs import Jobs
from backend.store.search import Query, Search
from backend.store.used_prompts import UsedPrompts

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
JUMPS = [timedelta(), timedelta(minutes=1), timedelta(hours=-2), timedelta(), timedelta(days=-400), timedelta(minutes=5), timedelta(days=40)]


class Clock(datetime):
    """Goes on by a microsecond each time that it is read."""

    moment = START

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        cls.moment += timedelta(microseconds=1)
        return cls.moment.astimezone(tz)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(tables, "datetime", Clock)
    monkeypatch.setattr(Clock, "moment", START)
    database = Database(tmp_path / "easel.db")
    yield database
    database.close()


def draw(jobs: Jobs, history: History, number: int, owner: str = "ann") -> tuple[str, str]:
    """The ids of a finished job and its picture."""
    job = jobs.add_all([Request(prompt=f"picture {number}", seed=number, variation_seed=0)], owner)[0].id
    (lease,) = jobs.lease("gpu", 1)
    image = history.add(job, lease.token, found(number))
    jobs.finish(job, lease.token, "done")
    return job, image.id


def found(number: int) -> PictureFile:
    return PictureFile(index=0, path=f"{number}.png", width=8, height=8, seed=number, infotext=f"picture {number}", format="png")


def draw_while_the_clock_jumps(database: Database, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """The ids of jobs and of their pictures, newest first."""
    jobs, history, made = Jobs(database), History(database), []
    for number, jump in enumerate(JUMPS):
        monkeypatch.setattr(Clock, "moment", Clock.moment + jump)
        made.append(draw(jobs, history, number))
    return [job for job, _ in reversed(made)], [image for _, image in reversed(made)]


def test_lists_follow_the_order_of_making(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, images = draw_while_the_clock_jumps(database, monkeypatch)
    assert [image.id for image in History(database).images("ann")] == images
    assert [found.image.id for found in Search(database).page("ann", Query())[0]] == images
    assert [job.id for job in Jobs(database).recent("ann")] == [job.id for job in Jobs(database).lines("ann")] == jobs
    assert [used.prompt for used in UsedPrompts(database).of("ann")] == [f"picture {n}" for n in reversed(range(len(JUMPS)))]


def test_jobs_that_are_queued_together_keep_their_order(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(database)
    added = []
    for jump in (timedelta(), timedelta(hours=-1), timedelta(microseconds=1)):
        monkeypatch.setattr(Clock, "moment", Clock.moment + jump)
        added += [job.id for job in jobs.add_all([Request(seed=n, variation_seed=0) for n in range(3)], "ann")]
    jobs.cancel(added[1], "ann")
    jobs.retry(added[1], "ann")
    assert [job.id for job in jobs.recent("ann")] == added[::-1]


def test_pages_are_whole(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _, images = draw_while_the_clock_jumps(database, monkeypatch)
    for page in (lambda before: [image.id for image in History(database).images("ann", 2, before)],
                 lambda before: [found.image.id for found in Search(database).page("ann", Query(), 2, before)[0]]):
        seen: list[str] = []
        while more := page(seen[-1] if seen else None):
            seen += more
        assert seen == images


def test_the_moment_that_is_shown_is_the_clocks(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was years ahead for a while does not date all later pictures years ahead."""
    jobs, history = Jobs(database), History(database)
    monkeypatch.setattr(Clock, "moment", START.replace(year=2099))
    draw(jobs, history, 0)
    monkeypatch.setattr(Clock, "moment", START)
    job, image = draw(jobs, history, 1)
    newest = history.images("ann")[0]
    assert newest.id == image and all(abs(row.created - START) < timedelta(seconds=1) for row in (newest, jobs.get(job, "ann")))
    day = Query(since=START - timedelta(hours=1), until=START + timedelta(hours=1))
    assert [one.image.id for one in Search(database).page("ann", day)[0]] == [image]


def test_what_was_found_is_sorted_by_its_own_day(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, history = Jobs(database), History(database)
    first = draw(jobs, history, 0)[1]
    monkeypatch.setattr(Clock, "moment", START + timedelta(hours=2))
    second = draw(jobs, history, 1)[1]
    between = history.adopt("ann", START + timedelta(hours=1), Request(), found(2))
    before = history.adopt("ann", START - timedelta(days=3), Request(), found(3))
    assert [image.id for image in history.images("ann")] == [second, between, first, before]


def test_another_owners_pictures_do_not_count(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, history = Jobs(database), History(database)
    draw(jobs, history, 0, "bob")
    monkeypatch.setattr(Clock, "moment", START - timedelta(days=1))
    draw(jobs, history, 1)
    with database.read() as session:
        assert session.scalar(text("SELECT sort_moment FROM images WHERE owner = 'ann'")).startswith("2024-04-30 12:00:00")
