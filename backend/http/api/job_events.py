"""What has happened to one job, as events: found by comparing what is with what was told, so that nothing is missed.

Which pictures were told is in the id of each event. A client that was cut off sends it back and goes on from there,
also after a restart of Easel.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backend import Door, Job, Live
from backend.http.api.schemas import picture, problems, progress
from backend.http.async_watch import ENDED

OVER = "over"           # the id of a job's last event
MARK = re.compile(r"[0-9a-f]{1,400}")


@dataclass(frozen=True, slots=True)
class Event:
    """`data` is plain JSON; `id` lets a client go on behind it, "" leaves the last one as it is."""

    name: str
    data: dict[str, Any]
    id: str = ""


class JobStory:
    """Call `news` as often as something may have changed; it may block for the database."""

    def __init__(self, door: Door, job: str, last_id: str, previews: bool) -> None:
        self._door, self._job, self._previews = door, job, previews
        self._pictures = int(last_id, 16) if MARK.fullmatch(last_id) else 0     # a bit for each that was told
        self._position: int | None = None
        self._live: Live | None = None
        self._seen = -1                 # pictures that were saved at the last look; a worker counts them earlier
        self._preview = 0
        self.over = False

    def news(self) -> list[Event]:
        """What is new, in order. NotFound once the job was deleted."""
        live = self._door.live(self._job)
        events = [] if live and live.done <= self._seen else [*self._look()]
        if live and live != self._live and not self.over:
            events += self._progress(live)
        self._live = live
        return events

    def _look(self) -> Iterator[Event]:
        job = self._door.job(self._job)
        self._seen = len(job.images)
        yield from self._queued(job)
        yield from self._new_pictures(job)
        yield from self._end(job)

    def _queued(self, job: Job) -> Iterator[Event]:
        if job.state == "queued" and job.position != self._position:
            yield Event("queued", {"job": job.id, "position": job.position})
        self._position = job.position

    def _new_pictures(self, job: Job) -> Iterator[Event]:
        for image in job.images:
            bit = 1 << (image.index + 1)        # a grid has the index -1
            if not self._pictures & bit:
                self._pictures |= bit
                yield Event("picture", picture(image.summary()).model_dump(mode="json"), f"{self._pictures:x}")

    def _progress(self, live: Live) -> Iterator[Event]:
        yield Event("progress", {"job": self._job, **progress(live).model_dump()})
        jpeg = self._door.preview(self._job) if self._previews and live.preview != self._preview else None
        self._preview = live.preview
        if jpeg:
            yield preview_event(self._job, jpeg)

    def _end(self, job: Job) -> Iterator[Event]:
        if job.state in ENDED:
            self.over = True
            told = [problem.model_dump() for problem in problems(job)]
            yield Event(job.state, {"job": job.id, "problems": told, "notes": list(job.notes)}, OVER)


def preview_event(job: str, jpeg: bytes) -> Event:
    return Event("preview", {"job": job, "image": base64.b64encode(jpeg).decode(), "format": "jpeg"})
