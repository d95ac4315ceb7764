"""Measures pictures between the engine's steps: a picture, or a part of a large comparison, at a time."""

from __future__ import annotations

import hashlib
import io
import logging
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image
from torch import Tensor

from backend.catalog.model_file import ModelFile
from backend.errors import EaselError
from backend.messages import Event, MeasureDistance, Score, Scored, ScoreKind
from backend.worker.device import Placement
from backend.worker.engine.current_work import CurrentWork
from backend.worker.models import clip_dual_encoder, inception
from backend.worker.models.clip_dual_encoder import ClipEncoder
from backend.worker.models.memory import Loaded, Memory
from backend.worker.pixels import Pixels
from backend.worker.scores.frechet_distance import distance
from backend.worker.scores.sharpness import sharpness
from backend.worker.scores.similarity import WINDOW, psnr, ssim
from backend.worker.scores.spread import spread

KEPT_BYTES = 8 << 20        # of pictures' vectors; a row of seeds asks for those of its cells again
UNREADABLE = "the picture's file cannot be read"
NO_REFERENCE = "there is no reference to compare with"

log = logging.getLogger(__name__)


class _Use:
    """Who needs a network over many steps: memory keeps it for as long as this lives."""


class Scorer:
    """Takes commands in and does one part of the oldest at each `step`. Networks are `memory`'s."""

    def __init__(self, memory: Memory, current: CurrentWork, emit: Callable[[Event], None]) -> None:
        self._memory, self._current, self._emit = memory, current, emit
        self._waiting: deque[tuple[Score | MeasureDistance, Iterator[None]]] = deque()
        self._vectors = memory.cache(KEPT_BYTES)

    def add(self, command: Score | MeasureDistance) -> None:
        work = self._score(command) if isinstance(command, Score) else self._measure(command)
        self._waiting.append((command, work))

    def step(self, idle: bool) -> bool:
        """Do a part; whether there is more. While pictures are drawn (not `idle`) only single pictures are measured."""
        ready = next((one for one in self._waiting if idle or isinstance(one[0], Score)), None)
        if ready is None:
            return False
        with self._current.doing("scoring", ()):
            self._part(*ready)
        return bool(self._waiting)

    def _part(self, command: Score | MeasureDistance, work: Iterator[None]) -> None:
        try:
            next(work)
            return
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - the border of one measurement
            self._refuse(command, error)
        self._waiting.remove((command, work))

    def _refuse(self, command: Score | MeasureDistance, error: BaseException) -> None:
        known = isinstance(error, EaselError)
        if not known:
            log.error("measuring failed", exc_info=error)
        told = str(error) if known else f"{type(error).__name__}: {error}"[:300]
        kinds = command.kinds if isinstance(command, Score) else ("fid",)
        self._emit(Scored(command.task, problems=dict.fromkeys(kinds, told)))

    # ---- one picture ----

    def _score(self, command: Score) -> Iterator[None]:
        pictures = [_read(file) for file in command.pictures]
        reference = _read(command.reference) if command.reference else None
        values: dict[str, float] = {}
        problems: dict[str, str] = {}
        for kind in command.kinds:
            told = self._value(kind, command, pictures, reference)
            if isinstance(told, str):
                problems[kind] = told
            else:
                values[kind] = told
        self._emit(Scored(command.task, values, problems))
        yield from ()

    def _value(self, kind: ScoreKind, command: Score, pictures: list[Pixels], reference: Pixels | None) -> float | str:
        """The value, or a sentence that says why there is none."""
        match kind:
            case "sharpness":
                return sharpness(pictures[0])
            case "ssim" | "psnr":
                return _compared(kind, pictures[0], reference)
            case "clip_t":
                return self._to_prompt(command, pictures[0])
            case "clip_i":
                if reference is None:
                    return NO_REFERENCE
                other = self._vector(command, command.reference, reference)
                return float(self._vector(command, command.pictures[0], pictures[0]) @ other)
            case "spread":
                if len(pictures) < 2:
                    return "a spread needs two pictures that differ in their seed only"
                return spread([self._vector(command, *each) for each in zip(command.pictures, pictures, strict=True)])

    def _to_prompt(self, command: Score, picture: Pixels) -> float | str:
        if not command.prompt:
            return "the prompt says nothing"
        seen = self._vector(command, command.pictures[0], picture)
        return float(seen @ self._encoder(command).of_text(command.prompt))

    def _vector(self, command: Score, file: bytes, pixels: Pixels) -> Tensor:
        encoder = self._encoder(command)
        key = encoder.file.path, encoder.file.fingerprint, hashlib.sha256(file).digest()
        return self._vectors.get(key, lambda: self._memory.attempt(lambda: encoder.of_picture(pixels)))

    def _encoder(self, command: Score) -> ClipEncoder:
        if command.encoder is None:
            raise EaselError("no CLIP was named")
        return self._network(command.encoder, clip_dual_encoder.load)

    # ---- two sets of pictures ----

    def _measure(self, command: MeasureDistance) -> Iterator[None]:
        network, use = self._network(command.network, inception.load), _Use()
        self._memory.pin(network, use)
        sets: list[list[Tensor]] = [[], []]
        for features, paths in zip(sets, (command.first, command.second), strict=True):
            for path in paths:
                with open(path, "rb") as file:
                    features.append(network.features([_read(file.read())]))
                yield
        self._memory.unpin(use)
        self._emit(Scored(command.task, {"fid": distance(*sets)}))

    def _network(self, file: ModelFile, load: Callable[[ModelFile, Placement], Loaded]) -> Loaded:
        return self._memory.fetch(file.kind, file.key, file.path, lambda: load(file, self._memory.placement))


def _compared(kind: ScoreKind, picture: Pixels, reference: Pixels | None) -> float | str:
    if reference is None:
        return NO_REFERENCE
    (height, width), (other_height, other_width) = picture.shape[:2], reference.shape[:2]
    if (height, width) != (other_height, other_width):
        return f"the reference has {other_width} x {other_height} pixels and this picture {width} x {height}"
    if min(height, width) < WINDOW:
        return f"pictures of less than {WINDOW} pixels cannot be compared"
    return (ssim if kind == "ssim" else psnr)(picture, reference)


def _read(file: bytes) -> Pixels:
    """RGB of a picture file; what is see-through keeps its colour. EaselError when it is none."""
    try:
        with Image.open(io.BytesIO(file)) as opened:
            return np.array(opened.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise EaselError(UNREADABLE) from error
