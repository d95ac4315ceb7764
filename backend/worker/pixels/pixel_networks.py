"""Answers what programs ask of upscalers, restorers and the face detector: networks on pixels, without a checkpoint."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from backend.catalog.face_files import BUFFALO
from backend.catalog.face_networks import SWAP
from backend.catalog.model_file import (
    FACE_DETECTOR,
    FACE_MODEL,
    FACE_NETWORK,
    FACE_RESTORER,
    UPSCALER,
    FileKey,
    ModelFile,
)
from backend.catalog.request_files import needed
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.messages import Run
from backend.worker.device import Placement
from backend.worker.faces import face_model, swapping
from backend.worker.faces.face_model import FaceModel
from backend.worker.faces.loading import analysis_in, detector_in
from backend.worker.models import upscaler
from backend.worker.models.memory import Loaded, Memory
from backend.worker.models.run_errors import running
from backend.worker.models.upscaler import Upscaler
from backend.worker.pixels import Pixels
from backend.worker.pixels.face_restoration import FindFaces, RestoreFace, SwapFaces, Swapped
from backend.worker.pixels.opaque import opaque
from backend.worker.pixels.upscaling import Enlarge, Inspect, Traits

PixelWork = Inspect | Enlarge | FindFaces | RestoreFace | SwapFaces


class PixelNetworks:
    """Keeps no network itself: `memory` owns them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def answer(self, run: Run, work: PixelWork, user: object) -> Any:
        """What the work item's docstring promises; the network stays in memory for as long as `user` works.

        CheckpointError and OutOfMemory name the field that asked for the file.
        """
        file = run.files[_file_of(work)]
        try:
            with running(file.key):
                return self._swapped(run, work, user) if isinstance(work, SwapFaces) else self._answer(file, work, user)
        except InvalidRequest as error:         # no such face
            raise InvalidRequest(problems=error.about(_field(run, work))) from error
        except (CheckpointError, OutOfMemory) as error:
            raise type(error)(problems=error.about(_field(run, work))) from error

    def _answer(self, file: ModelFile, work: PixelWork, user: object) -> Any:
        if isinstance(work, FindFaces):
            found = self._pinned(detector_in(self._memory, file), user)
            return self._memory.attempt(lambda: found.faces(work.pixels))
        network = self._loaded(file, upscaler.load, user)
        match work:
            case Inspect():
                return self._traits(network)
            case Enlarge():
                return self._tile(network, work.tile)
            case RestoreFace():
                return self._memory.attempt(lambda: network.restore(work.face, work.weight))

    def _swapped(self, run: Run, work: SwapFaces, user: object) -> Swapped:
        faces = self._pinned(analysis_in(self._memory, run.files[FACE_NETWORK, BUFFALO]), user)
        swapper = self._loaded(run.files[FACE_NETWORK, SWAP], swapping.load, user)
        known = self._face_model(run.files[FACE_MODEL, work.model], user) if work.model else None

        def made() -> Swapped:
            there = faces.faces(work.pixels, work.sure, work.most, outlined=work.mask)
            given = [known.normed] if known else swapping.people(faces.faces(source(), work.sure, work.most), work)
            return swapping.put_in(swapper, work.pixels, there, given, work)

        def source() -> Pixels:
            return np.asarray(opaque(Image.open(io.BytesIO(run.pictures[work.source]))))

        return self._memory.attempt(made)

    def _face_model(self, file: ModelFile, user: object) -> FaceModel:
        held = self._memory.fetch(file.kind, file.key, file.path, lambda: face_model.load(file))
        return self._pinned(held, user)

    def _loaded(
        self, file: ModelFile, load: Callable[[ModelFile, Placement], Loaded], user: object
    ) -> Loaded:
        held = self._memory.fetch(file.kind, file.key, file.path, lambda: load(file, self._memory.placement))
        return self._pinned(held, user)

    def _pinned(self, network: Loaded, user: object) -> Loaded:
        self._memory.pin(network, user)
        return network

    @staticmethod
    def _traits(found: Upscaler) -> Traits:
        if found.restores_faces:
            raise CheckpointError(f"{found.file.key} makes faces clean; it cannot enlarge a whole picture")
        return found.traits

    def _tile(self, found: Upscaler, tile: Pixels) -> Pixels | None:
        try:
            return self._memory.attempt(lambda: found.run(tile))
        except OutOfMemory:
            return None


def _file_of(work: PixelWork) -> FileKey:
    match work:
        case Inspect() | Enlarge():
            return UPSCALER, work.upscaler
        case SwapFaces():
            return FACE_NETWORK, SWAP
        case RestoreFace():
            return FACE_RESTORER, work.kind
    return FACE_DETECTOR, ""


def _field(run: Run, work: PixelWork) -> str:
    """The field of the request that asks for the file."""
    return next((one.field for one in needed(run.request) if one.key == _file_of(work)), "")
