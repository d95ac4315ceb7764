"""Cursors, coalescing and bounds of the news."""

import threading
import time
from typing import Any

import pytest

from backend.dispatch.event_feed import MAX_NEWS, OTHERS_SECONDS, OWN_SECONDS, EventFeed
from backend.errors import StorageError


class Stage:
    """A queue, a status and a clock for the feed to ask."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[str]] = {}
        self.notices: list[str] = []
        self.now, self.asked, self.broken = 0.0, 0, False
        self.feed = EventFeed(self.queue, lambda: {"type": "status", "notices": list(self.notices)}, clock=lambda: self.now)

    def queue(self, owner: str) -> dict[str, Any]:
        self.asked += 1
        if self.broken:
            raise StorageError("the database cannot be read")
        return {"type": "queue", "jobs": self.jobs.get(owner, [])}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_cursor_zero_gives_the_present_state_at_once(stage):
    stage.feed.publish("ann", {"type": "image"})
    stage.feed.progress("ann", {"type": "progress", "job": "1"})
    cursor, events = stage.feed.watch("ann", 0, 0)
    assert sorted(kinds(events)) == ["progress", "queue", "status"]
    assert cursor == max(event["cursor"] for event in events)


def test_a_watcher_gets_each_news_once_in_order(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    for number in range(3):
        stage.feed.publish("ann", {"type": "image", "number": number})
    cursor, events = stage.feed.watch("ann", cursor, 0)
    assert [event["number"] for event in events] == [0, 1, 2]
    assert stage.feed.watch("ann", cursor, 0) == (cursor, [])


def test_a_slow_watcher_gets_only_the_newest_progress_and_queue(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    for step in range(50):
        stage.feed.progress("ann", {"type": "progress", "job": "1", "step": step})
        stage.jobs["ann"] = [str(step)]
        stage.feed.touch("ann")
    stage.now += OWN_SECONDS
    _, events = stage.feed.watch("ann", cursor, 0)
    assert [event.get("step", event.get("jobs")) for event in events] == [49, ["49"]]


def test_an_unchanged_queue_is_not_told_again(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    stage.now += OWN_SECONDS
    stage.feed.touch("ann")
    assert stage.feed.watch("ann", cursor, 0) == (cursor, [])
    stage.notices.append("the disk is full")
    stage.feed.touch()
    stage.now += OWN_SECONDS
    assert kinds(stage.feed.watch("ann", cursor, 0)[1]) == ["status"]


def looks_at_the_queue(stage: Stage, whose: str, seconds: float) -> int:
    """How often ann's queue is asked for while jobs of `whose` change a hundred times a second."""
    cursor, _ = stage.feed.watch("ann", 0, 0)
    before = stage.asked
    for _ in range(int(seconds * 100)):
        stage.now += 0.01
        stage.feed.touch(whose)
        cursor, _ = stage.feed.watch("ann", cursor, 0)
    return stage.asked - before


def test_however_often_the_queue_changes_it_is_told_a_few_times_a_second(stage):
    assert 8 / OWN_SECONDS <= looks_at_the_queue(stage, "ann", 10) <= 10 / OWN_SECONDS


def test_other_peoples_jobs_are_told_less_often(stage):
    assert 4 <= looks_at_the_queue(stage, "bob", 10) <= 10 / OTHERS_SECONDS


def test_after_a_quiet_time_a_change_is_told_at_once(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    stage.now += OTHERS_SECONDS
    stage.jobs["ann"] = ["1"]
    stage.feed.touch("bob")
    assert kinds(stage.feed.watch("ann", cursor, 0)[1]) == ["queue"]


def test_a_waiting_watcher_gets_a_held_back_change_when_it_is_due():
    feed = EventFeed(lambda owner: {"type": "queue", "at": time.monotonic()}, lambda: {"type": "status"})
    cursor, _ = feed.watch("ann", 0, 0)
    feed.touch("ann")
    began = time.monotonic()
    assert kinds(feed.watch("ann", cursor, 120)[1]) == ["queue"]
    assert OWN_SECONDS * 0.5 < time.monotonic() - began < 60


def test_a_page_that_opens_gets_the_state_of_now_however_recently_it_was_told(stage):
    stage.feed.watch("ann", 0, 0)
    stage.jobs["ann"] = ["new"]
    stage.feed.touch("ann")
    _, events = stage.feed.watch("ann", 0, 0)
    assert [event["jobs"] for event in events if event["type"] == "queue"] == [["new"]]


def test_what_could_not_be_read_is_told_when_it_can(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    stage.now += OWN_SECONDS
    stage.broken, stage.jobs["ann"] = True, ["1"]
    stage.feed.touch("ann")
    with pytest.raises(StorageError):
        stage.feed.watch("ann", cursor, 0)
    stage.broken = False
    stage.now += OWN_SECONDS
    assert kinds(stage.feed.watch("ann", cursor, 0)[1]) == ["queue"]


def test_one_stream_serves_a_page_that_joins_later(stage):
    """The page asks for the present, then takes what is newer from a stream that began earlier."""
    early, _ = stage.feed.watch("ann", 0, 0)
    stage.feed.publish("ann", {"type": "image", "number": 1})
    joined, present = stage.feed.watch("ann", 0, 0)
    stage.feed.publish("ann", {"type": "image", "number": 2})
    _, streamed = stage.feed.watch("ann", early, 0)
    assert sorted(kinds(present)) == ["queue", "status"]
    assert [event["number"] for event in streamed if event["cursor"] > joined] == [2]


def test_owners_see_only_their_own(stage):
    cursor, _ = stage.feed.watch("bob", 0, 0)
    stage.feed.publish("ann", {"type": "image"})
    stage.feed.progress("ann", {"type": "progress", "job": "1"})
    assert stage.feed.watch("bob", cursor, 0) == (cursor, [])


def test_progress_of_an_ended_job_is_gone(stage):
    stage.feed.progress("ann", {"type": "progress", "job": "1"})
    stage.feed.ended("ann", "1")
    assert "progress" not in kinds(stage.feed.watch("ann", 0, 0)[1])


@pytest.mark.parametrize("cursor", [5, 10**15])
def test_a_cursor_of_another_life_starts_over(stage, cursor):
    stage.feed.publish("ann", {"type": "image"})
    assert sorted(kinds(stage.feed.watch("ann", cursor, 0)[1])) == ["image", "queue", "status"]


def test_who_is_too_far_behind_gets_the_state_and_what_is_kept(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    for number in range(MAX_NEWS + 10):
        stage.feed.publish("ann", {"type": "image", "number": number})
    _, events = stage.feed.watch("ann", cursor, 0)
    assert kinds(events)[:2] == ["queue", "status"] and len(events) == MAX_NEWS + 2
    assert events[-1]["number"] == MAX_NEWS + 9


def test_a_waiting_watcher_wakes_at_once(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    threading.Timer(0.05, stage.feed.publish, ("ann", {"type": "image"})).start()
    began = time.monotonic()
    assert kinds(stage.feed.watch("ann", cursor, 120)[1]) == ["image"]
    assert time.monotonic() - began < 60


def test_a_watcher_gives_up_after_its_timeout_and_at_the_close(stage):
    cursor, _ = stage.feed.watch("ann", 0, 0)
    began = time.monotonic()
    assert stage.feed.watch("ann", cursor, 0.1) == (cursor, [])
    assert 0.1 <= time.monotonic() - began < 60
    threading.Timer(0.05, stage.feed.close).start()
    assert stage.feed.watch("ann", cursor, 120) == (cursor, [])
    assert time.monotonic() - began < 60


def test_many_writers_and_watchers_lose_nothing(stage):
    seen: list[list[int]] = [[], []]

    def watch(mine: list[int]) -> None:
        cursor = first
        while len(mine) < 200:
            cursor, events = stage.feed.watch("ann", cursor, 120)
            mine.extend(event["number"] for event in events if event["type"] == "image")

    first, _ = stage.feed.watch("ann", 0, 0)
    watchers = [threading.Thread(target=watch, args=(mine,)) for mine in seen]
    writers = [threading.Thread(target=lambda base=base: [
        stage.feed.publish("ann", {"type": "image", "number": base + i}) for i in range(100)]) for base in (0, 100)]
    for thread in watchers + writers:
        thread.start()
    for thread in watchers + writers:
        thread.join(10)
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(200))
