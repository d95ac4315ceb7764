"""When a picture in work is shown, and as what."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from backend.messages import Event, Preview
from backend.worker.engine.current_work import CurrentWork
from backend.worker.engine.program import Program, jobs_of
from backend.worker.models.memory import Memory
from backend.worker.pixels.preview import jpeg, preview

PREVIEW_SECONDS = 0.15    # at most one preview of a picture in this time


class Previews:
    """`emit` receives them."""

    def __init__(self, memory: Memory, current_work: CurrentWork, emit: Callable[[Event], None]) -> None:
        self._memory, self._current_work, self._emit = memory, current_work, emit

    def show(self, program: Program, denoised: Tensor) -> None:
        """A latent (C, h, w) after a denoiser call, if it is the turn of one and the last is no longer fresh."""
        every, now = program.task.run.request.preview_every, time.monotonic()
        due = every and program.call % every == 0 and program.call < program.expected
        if not due or now < program.previewed + PREVIEW_SECONDS:
            return
        program.previewed = now
        with self._current_work.doing("decoding", jobs_of([program])):
            method = program.task.run.request.preview_method
            pixels, small = preview(program.in_use, program.autoencoder, denoised, method)
        if small:
            self._memory.free_cache()
        self._emit(Preview(program.task.run.job, program.index, jpeg(pixels)))
