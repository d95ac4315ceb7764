"""Pages go on being told of changes whatever one look at them meets."""

from __future__ import annotations

import asyncio
import json

import pytest

from backend import LOCAL
from backend.errors import StorageError
from backend.http import async_watch
from backend.http.async_watch import Changes
from backend.http.easel import events


class Door:
    """Its `watch` fails as often as the test says, then tells of one change after the other."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.cursor, self.user = list(errors), 0, LOCAL

    def watch(self, cursor: int, timeout: float) -> tuple[int, list[dict]]:
        if timeout and self.errors:
            raise self.errors.pop()
        if not timeout and cursor < self.cursor:
            return self.cursor, [{"type": "queue", "jobs": [], "cursor": self.cursor}]
        self.cursor += bool(timeout)
        return self.cursor, []


class BrokenDoor(Door):
    """Fails where a page's stream looks, not where the listener does."""

    def watch(self, cursor: int, timeout: float) -> tuple[int, list[dict]]:
        if not timeout and self.errors:
            raise self.errors.pop()
        return super().watch(cursor, timeout)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_watch, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(events, "RETRY_SECONDS", 0.01)


@pytest.mark.parametrize("error", [StorageError("the database could not be read"), ValueError("something odd")])
def test_the_listener_lives_on_after_an_error(error):
    async def ticks() -> int:
        changes, seen = Changes(), 0
        async for _ in changes.ticks(Door(error, error), every=30):
            seen += 1
            if seen == 4:
                changes.close()
        return seen

    assert asyncio.run(asyncio.wait_for(ticks(), 10)) == 4


def test_a_stream_goes_on_after_a_storage_error():
    async def told() -> list[dict]:
        door = BrokenDoor(StorageError("locked"), StorageError("locked"))
        changes, frames = Changes(), []
        async for frame in events._stream(door, changes, 0):
            frames += [json.loads(row[6:]) for row in frame.splitlines() if row.startswith("data: ")]
            if len(frames) == 2:
                changes.close()
        return frames

    assert [event["type"] for event in asyncio.run(asyncio.wait_for(told(), 10))] == ["queue", "queue"]
