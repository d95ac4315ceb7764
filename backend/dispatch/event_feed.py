"""News for the pages: who watches gets what changed since a cursor, as dicts that JSON can carry.

The queue, the status and a job's progress are states: only the newest matters, so a slow watcher gets one event however
many changes it missed. Pictures and ended jobs are news: each is kept, up to a bound.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
MAX_NEWS = 500                  # events kept per owner; who is further behind starts over with the present state


@dataclass(slots=True)
class _Channel:
    """What one owner can see."""

    news: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=MAX_NEWS))
    states: dict[tuple[str, str], tuple[int, Event]] = field(default_factory=dict)
    forgotten: int = 0          # the highest cursor that has left `news`
    seen: int = -1              # the queue's version that `states` shows


class EventFeed:
    """Thread-safe. `queue(owner)` and `status()` give the present state as an event, when a watcher needs it."""

    def __init__(self, queue: Callable[[str], Event], status: Callable[[], Event]) -> None:
        self._queue, self._status = queue, status
        self._changed = threading.Condition()
        self._channels: dict[str, _Channel] = {}
        # Cursors start at the clock, so one from before a restart is older than every cursor of now.
        self._first = self._cursor = int(time.time() * 1000)
        self._version = 0
        self._open = True

    def publish(self, owner: str, event: Event) -> None:
        """News for `owner`."""
        with self._changed:
            channel = self._channel(owner)
            if len(channel.news) == MAX_NEWS:
                channel.forgotten = channel.news[0][0]
            channel.news.append(self._stamped(event))
            self._changed.notify_all()

    def progress(self, owner: str, event: Event) -> None:
        """The newest progress of `event["job"]`; replaces the one before."""
        with self._changed:
            self._channel(owner).states["progress", event["job"]] = self._stamped(event)
            self._changed.notify_all()

    def ended(self, owner: str, job: str) -> None:
        """There is no progress of this job any more."""
        with self._changed:
            self._channel(owner).states.pop(("progress", job), None)

    def touch(self) -> None:
        """The queue or the status has changed; watchers ask anew."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def watch(self, owner: str, cursor: int = 0, timeout: float = 15.0) -> tuple[int, list[Event]]:
        """Wait until something changed for `owner` after `cursor`; the new cursor and the events, oldest first.

        After `timeout` seconds, or when the hub closes, the list is empty. Cursor 0 gets the present state at once; a
        cursor that is too old, or from before a restart, gets the present state and the news that are still kept.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._refresh(owner)
            with self._changed:
                channel = self._channel(owner)
                events = self._since(channel, cursor)
                left = deadline - time.monotonic()
                if events or left <= 0 or not self._open:
                    return (cursor if not events and self._knows(channel, cursor) else self._cursor), events
                if channel.seen == self._version:
                    self._changed.wait(left)

    @property
    def version(self) -> int:
        """Counts the changes of the queue and the status."""
        return self._version

    def wait_change(self, version: int, timeout: float | None) -> bool:
        """Wait for another version than `version`; False after `timeout` seconds (None = no limit) or at the close."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != version or not self._open, timeout)
            return self._version != version and self._open

    def close(self) -> None:
        """Wake everybody; later calls to `watch` return at once."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _channel(self, owner: str) -> _Channel:
        return self._channels.setdefault(owner, _Channel(forgotten=self._first))

    def _stamped(self, event: Event) -> tuple[int, Event]:
        self._cursor += 1
        return self._cursor, {**event, "cursor": self._cursor}

    def _knows(self, channel: _Channel, cursor: int) -> bool:
        return self._first <= cursor <= self._cursor and cursor >= channel.forgotten

    def _since(self, channel: _Channel, cursor: int) -> list[Event]:
        after = cursor if self._knows(channel, cursor) else 0
        news = channel.news if cursor > 0 else ()
        found = [entry for entry in (*channel.states.values(), *news) if entry[0] > after]
        return [event for _, event in sorted(found, key=lambda entry: entry[0])]

    def _refresh(self, owner: str) -> None:
        """Bring this owner's queue and status up to date; asked outside the lock, because they read the database."""
        with self._changed:
            version, channel = self._version, self._channel(owner)
            if channel.seen == version:
                return
        present = [self._queue(owner), self._status()]
        with self._changed:
            if version < channel.seen:
                return
            channel.seen = version
            for event in present:
                key = (event["type"], "")
                cursor, old = channel.states.get(key, (0, {}))
                if old != {**event, "cursor": cursor}:
                    channel.states[key] = self._stamped(event)
