"""What happens to all of a user's jobs and plots, as events: the page's feed in the words of /api."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from backend import Door
from backend.http.api.job_events import Event, preview_event
from backend.http.api.schemas import Progress, picture

Feed = dict[str, Any]


class UserStory:
    """Call `news` as often as something may have changed; it may block for the database.

    The ids of events are the feed's cursors. One from before a restart of Easel starts with the present state.
    """

    def __init__(self, door: Door, cursor: int, previews: bool) -> None:
        self._door, self._cursor, self._previews = door, cursor, previews
        self._positions: dict[str, int] = {}
        self._shown: dict[str, int] = {}        # the number of the newest preview that was told, by job

    def news(self) -> list[Event]:
        """What is new, in order."""
        self._cursor, news = self._door.watch(self._cursor, 0.0)
        return [event for each in news for event in _marked([*self._told(each)], str(each["cursor"]))]

    def _told(self, news: Feed) -> Iterator[Event]:
        kind = news["type"]
        if kind == "queue":
            yield from self._queued(news["jobs"])
        elif kind == "progress":
            yield from self._progress(news)
        elif kind == "image":
            yield Event("picture", picture(news["image"]).model_dump(mode="json") | {"plot": news.get("plot")})
        elif kind == "job":
            yield self._changed(news)
        elif kind in ("plot", "plot_gone"):
            told = {name: value for name, value in news.items() if name not in ("type", "cursor", "change")}
            yield Event("plot" if kind == "plot" else "plot_deleted", told)
        elif kind == "cleared":
            yield Event("cleared", {"count": news["count"]})

    def _changed(self, news: Feed) -> Event:
        job, state = news["id"], news["state"]
        self._shown.pop(job, None)
        if state == "queued":
            return Event("queued", {"job": job, "position": None})
        return Event(state, {"job": job, "problems": news["problems"], "notes": news["notes"]})

    def _queued(self, lines: list[Feed]) -> Iterator[Event]:
        waiting = {line["id"]: line["position"] for line in lines if line["state"] == "queued" and not line["plot"]}
        for job, position in waiting.items():
            if self._positions.get(job) != position:
                yield Event("queued", {"job": job, "position": position})
        self._positions = waiting

    def _progress(self, news: Feed) -> Iterator[Event]:
        told = {name: news[name] for name in Progress.model_fields if name in news}
        yield Event("progress", {"job": news["job"], **told})
        newest, job = news["preview"], news["job"]
        jpeg = self._door.preview(job) if self._previews and newest != self._shown.get(job, 0) else None
        self._shown[job] = newest
        if jpeg:
            yield preview_event(job, jpeg)


def _marked(events: list[Event], mark: str) -> list[Event]:
    """Only the last of what one change became carries its cursor: who is cut off before it gets all of them again."""
    return [*events[:-1], *(replace(last, id=mark) for last in events[-1:])]
