"""Whether any device can draw a request at all: said before it is queued, not after hours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from backend.catalog.call_estimate import CallEstimate, DeviceLimits, obstacle, read_estimate
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError, InvalidRequest
from backend.request.choices import EXTRAS
from backend.request.request import Request
from backend.store.view_types import Worker

UNKNOWN = CallEstimate()


def check(request: Request, checkpoint: ModelFile, workers: Iterable[Worker]) -> None:
    """InvalidRequest, naming the field, when the request fits none of the workers that told of their device."""
    if request.process == EXTRAS:
        return
    estimate = _estimate(checkpoint)
    devices = [DeviceLimits(worker.memory, worker.speed, worker.dtype) for worker in workers]
    obstacles = [obstacle(request, estimate, device) for device in devices]
    if obstacles and all(obstacles):
        raise InvalidRequest(problems=obstacles[:1])


def _estimate(checkpoint: ModelFile) -> CallEstimate:
    try:
        return read_estimate(Path(checkpoint.path), checkpoint.fingerprint)
    except CheckpointError:      # its worker will say what is wrong with the file
        return UNKNOWN
