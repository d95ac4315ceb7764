"""Events for the pages: who watches gets what changed since a cursor, as dicts that JSON can carry.

The queue, the status, a plot and a job's progress are states: only the newest matters, so a slow watcher gets one event
however many changes it missed. Pictures and ended jobs are news: each is kept, up to a bound. A queue that changes many
times a second is told a few times a second only, because everybody's positions change with everybody's jobs.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
MAX_NEWS = 500                  # events kept per owner; who is further behind starts over with the present state
OWN_SECONDS = 0.5               # between two looks at the queue after changes of the owner's own jobs
OTHERS_SECONDS = 2.0            # after changes of other people's jobs, which only move positions


@dataclass(slots=True)
class _Channel:
    """What one owner can see."""

    changed: threading.Condition
    forgotten: int              # the highest cursor that has left `news`
    news: deque[tuple[int, Event]] = field(default_factory=lambda: deque(maxlen=MAX_NEWS))
    states: dict[tuple[str, str], tuple[int, Event]] = field(default_factory=dict)
    due: float = -math.inf      # when queue and status are to be asked again; infinity: when something changes
    asked: float = -math.inf    # when they were asked last
    looks: int = 0              # how often they were asked
    shown: int = 0              # which of these looks `states` shows


class EventFeed:
    """Thread-safe. `queue(owner)` and `status()` give the present state as an event, when a watcher needs it.

    `others(owner)` gives events of further states that have changed, each of which has an "id".
    """

    def __init__(self, queue: Callable[[str], Event], status: Callable[[], Event],
                 others: Callable[[str], list[Event]] = lambda owner: [],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._queue, self._status, self._others, self._clock = queue, status, others, clock
        self._lock = threading.RLock()
        self._any = threading.Condition(self._lock)
        self._channels: dict[str, _Channel] = {}
        # Cursors start at the clock, so one from before a restart is older than every cursor of now.
        self._first = self._cursor = int(time.time() * 1000)
        self._version = 0
        self._open = True

    def publish(self, owner: str, event: Event) -> None:
        """News for `owner`."""
        with self._lock:
            channel = self._channel(owner)
            if len(channel.news) == MAX_NEWS:
                channel.forgotten = channel.news[0][0]
            channel.news.append(self._stamped(event))
            channel.changed.notify_all()

    def progress(self, owner: str, event: Event) -> None:
        """The newest progress of `event["job"]`; replaces the one before."""
        with self._lock:
            channel = self._channel(owner)
            channel.states["progress", event["job"]] = self._stamped(event)
            channel.changed.notify_all()

    def ended(self, owner: str, job: str, state: str = "progress") -> None:
        """There is no progress of this job any more, or no other state of that id."""
        with self._lock:
            self._channel(owner).states.pop((state, job), None)

    def touch(self, owner: str | None = None) -> None:
        """The queue of `owner` has changed, or with None the status: watchers will hear of it."""
        with self._lock:
            self._version += 1
            self._any.notify_all()
            for name, channel in self._channels.items():
                pause = OWN_SECONDS if owner in (None, name) else OTHERS_SECONDS
                due = channel.asked + pause
                if due < channel.due:
                    channel.due = due
                    channel.changed.notify_all()

    def watch(self, owner: str, cursor: int = 0, timeout: float = 15.0) -> tuple[int, list[Event]]:
        """Wait until something changed for `owner` after `cursor`; the new cursor and the events, oldest first.

        After `timeout` seconds, or when the feed closes, the list is empty. Cursor 0 gets the present state at once; a
        cursor that is too old, or from before a restart, gets the present state and the news that are still kept.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._refresh(owner, cursor)
            with self._lock:
                channel = self._channel(owner)
                events = self._since(channel, cursor)
                left = deadline - time.monotonic()
                if events or left <= 0 or not self._open:
                    return (cursor if not events and self._knows(channel, cursor) else self._cursor), events
                pause = min(left, channel.due - self._clock())
                if pause > 0:
                    channel.changed.wait(pause)

    @property
    def version(self) -> int:
        """Counts the changes of the queue and the status."""
        return self._version

    def wait_change(self, version: int, timeout: float | None) -> bool:
        """Wait for another version than `version`; False after `timeout` seconds (None = no limit) or at the close."""
        with self._any:
            self._any.wait_for(lambda: self._version != version or not self._open, timeout)
            return self._version != version and self._open

    def close(self) -> None:
        """Wake everybody; later calls to `watch` return at once."""
        with self._lock:
            self._open = False
            self._any.notify_all()
            for channel in self._channels.values():
                channel.changed.notify_all()

    def _channel(self, owner: str) -> _Channel:
        if owner not in self._channels:
            self._channels[owner] = _Channel(threading.Condition(self._lock), forgotten=self._first)
        return self._channels[owner]

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

    def _refresh(self, owner: str, cursor: int) -> None:
        """Ask for queue and status if that is due; outside the lock, because the queue is read from the database.

        Who has no cursor yet does not wait for that: to him the state of now is shown at once.
        """
        with self._lock:
            channel = self._channel(owner)
            impatient = channel.due < math.inf and not self._knows(channel, cursor)
            if not impatient and self._clock() < channel.due:
                return
            channel.looks += 1
            look, channel.due, channel.asked = channel.looks, math.inf, self._clock()
        present: list[Event] = []
        try:
            present = [self._queue(owner), self._status(), *self._others(owner)]
        finally:
            with self._lock:
                if not present:     # the next watcher tries again
                    channel.due = min(channel.due, channel.asked + OWN_SECONDS)
                elif look > channel.shown:
                    channel.shown = look
                    self._show(channel, present)

    def _show(self, channel: _Channel, present: list[Event]) -> None:
        for event in present:
            key = (event["type"], event.get("id", ""))
            cursor, old = channel.states.get(key, (0, {}))
            if old != {**event, "cursor": cursor}:
                channel.states[key] = self._stamped(event)
                channel.changed.notify_all()
