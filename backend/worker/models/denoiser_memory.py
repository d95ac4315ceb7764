"""How many rows one call of the denoiser may take where too many would end the process instead of raising an error."""

from __future__ import annotations

from backend.request.output_size import CELL
from backend.worker.device import free_bytes
from backend.worker.models.model_base import Model

SHARE = 0.8         # of the memory that is free


def rows_that_fit(model: Model, cells: tuple[int, int]) -> int | None:
    """Rows of latents of `cells` (rows, columns) for which there is memory now, at least 1. None: find out by trying.

    A graphics card says when it is full. The system gives a program more main memory than there is and ends it later.
    """
    if model.device.type != "cpu":
        return None
    needed = model.call_estimate.bytes((cells[1] * CELL, cells[0] * CELL), model.dtype.itemsize)
    return max(int(free_bytes(model.device) * SHARE / needed), 1) if needed else None
