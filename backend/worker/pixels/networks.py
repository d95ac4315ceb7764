"""Answers what programs ask of upscalers, restorers and the face detector: networks on pixels, without a checkpoint."""

from __future__ import annotations

from typing import Any

from backend.catalog.model_file import FACE_DETECTOR, FACE_RESTORER, UPSCALER, FileKey
from backend.catalog.needed_files import needed
from backend.errors import CheckpointError
from backend.messages import Run
from backend.worker.models import face_detector as detector
from backend.worker.models import upscaler
from backend.worker.models.memory import Memory, out_of_memory
from backend.worker.models.upscaler import Upscaler
from backend.worker.pixels.faces import Find, Restore
from backend.worker.pixels.tiles import Pixels
from backend.worker.pixels.upscaling import Enlarge, Inspect, Traits

PixelWork = Inspect | Enlarge | Find | Restore


class PixelNetworks:
    """Keeps no network itself: `memory` owns them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def answer(self, run: Run, work: PixelWork) -> Any:
        """What the work item's docstring promises. CheckpointError names the field that asked for the file."""
        try:
            return self._answer(run, work)
        except CheckpointError as error:
            raise CheckpointError(str(error), field=_field(run, work)) from error

    def _answer(self, run: Run, work: PixelWork) -> Any:
        match work:
            case Inspect():
                return self._traits(self._network(run, work))
            case Enlarge():
                return self._tile(self._network(run, work), work.tile)
            case Find():
                return self._memory.upscalers.get(run.files[_file_of(work)], detector.load).faces(work.pixels)
            case Restore():
                return self._network(run, work).restore(work.face, work.weight)

    def _network(self, run: Run, work: PixelWork) -> Upscaler:
        return self._memory.upscalers.get(run.files[_file_of(work)], upscaler.load)

    @staticmethod
    def _traits(found: Upscaler) -> Traits:
        if found.restores_faces:
            raise CheckpointError(f"{found.file.key} makes faces clean; it cannot enlarge a whole picture")
        return found.traits

    def _tile(self, found: Upscaler, tile: Pixels) -> Pixels | None:
        try:
            return found.run(tile)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            self._memory.free_cache()
            return None


def _file_of(work: PixelWork) -> FileKey:
    match work:
        case Inspect() | Enlarge():
            return UPSCALER, work.upscaler
        case Restore():
            return FACE_RESTORER, work.kind
    return FACE_DETECTOR, ""


def _field(run: Run, work: PixelWork) -> str:
    """The field of the request that asks for the file."""
    return next((one.field for one in needed(run.request) if one.key == _file_of(work)), "")
