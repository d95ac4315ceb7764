"""The answer to a call that asked for `stream`: rough pictures while it is drawn, then each picture."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from anyio import CancelScope, to_thread

from backend import Door, EaselError, Job, Live
from backend.http.async_watch import ENDED, Changes
from backend.http.error_shapes import openai_error
from backend.http.openai.answers import encoded, size_of
from backend.http.openai.requests import Asked


class DrawingStream:
    """Of one job. `kind` is how its events begin: image_generation or image_edit.

    A rough picture is told each time that another part of the whole is done: with two, after a third and two thirds.
    """

    def __init__(
        self, door: Door, changes: Changes, job: Job, asked: Asked, kind: str, *, goes_on: bool = False,
    ) -> None:
        """`goes_on`: also when the client hangs up."""
        self._door, self._changes, self._job, self._asked, self._kind = door, changes, job, asked, kind
        self._goes_on = goes_on
        self._told = self._preview = 0

    async def events(self) -> AsyncIterator[str]:
        over = False
        try:
            async for _ in self._changes.ticks(self._door, 2.0):
                job = await to_thread.run_sync(self._door.job, self._job.id)
                if over := job.state in ENDED:
                    for frame in await to_thread.run_sync(lambda job=job: [*self._end(job)]):
                        yield frame
                    return
                if frame := await to_thread.run_sync(self._partial):
                    yield frame
        finally:
            if not over and not self._goes_on:
                with CancelScope(shield=True):
                    await to_thread.run_sync(self._give_up)

    def _give_up(self) -> None:
        """The client has hung up: nothing more is made for it."""
        try:
            self._door.cancel(self._job.id)
        except EaselError:
            return

    def _partial(self) -> str:
        live = self._door.live(self._job.id)
        if live is None or live.preview == self._preview or not self._is_due(live):
            return ""
        jpeg = self._door.preview(self._job.id)
        self._preview = live.preview
        if jpeg is None:
            return ""
        self._told += 1
        return self._frame("partial_image", {"b64_json": base64.b64encode(jpeg).decode(), "output_format": "jpeg",
                                             "partial_image_index": self._told - 1, "size": size_of(self._job)})

    def _is_due(self, live: Live) -> bool:
        wanted = self._asked.partial_images
        return self._told < wanted and live.fraction >= (self._told + 1) / (wanted + 1)

    def _end(self, job: Job) -> Iterator[str]:
        if job.state != "done":
            problems = [{"field": one.field, "message": one.message} for one in job.problems]
            ended = [{"field": "", "message": f"The job was {job.state}"}]
            told = openai_error(500, "", {"problems": problems or ended})
            yield f"event: error\ndata: {json.dumps(told)}\n\n"
            return
        for image in job.images:
            yield self._frame("completed", {"b64_json": encoded(self._door, image), "size": size_of(job),
                                            "output_format": self._asked.file_format, "usage": self._usage(job)})

    def _usage(self, job: Job) -> dict[str, Any]:
        """The tokens of the prompt; those of pictures do not exist here."""
        used, _ = self._door.backend.count_tokens(job.request.prompt, job.request.checkpoint, job.request.steps)
        details = {"text_tokens": used, "image_tokens": 0}
        return {"input_tokens": used, "input_tokens_details": details, "output_tokens": 0, "total_tokens": used}

    def _frame(self, event: str, data: dict[str, Any]) -> str:
        name = f"{self._kind}.{event}"
        told = {"type": name, "created_at": int(time.time()), "background": "opaque", **data,
                "quality": self._asked.quality}
        return f"event: {name}\ndata: {json.dumps(told)}\n\n"
