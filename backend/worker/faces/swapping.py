"""One person's face in the place of others, by INSwapper, which insightface's class runs from a local file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from backend.catalog.model_file import ModelFile
from backend.errors import InvalidRequest
from backend.request.face_swap import EVERYBODY, FEMALE, MALE, numbers
from backend.worker.device import Placement
from backend.worker.faces.analysis import Face, read_network
from backend.worker.faces.selection import chosen, in_order
from backend.worker.models.onnx_session import OnCPU
from backend.worker.pixels import Pixels
from backend.worker.pixels.face_restoration import SwapFaces

_MALE = {FEMALE: False, MALE: True}


@dataclass(frozen=True, slots=True, eq=False)
class Swapper(OnCPU):
    """INSwapper in memory; onnxruntime runs it on the CPU. Owned by `Memory`."""

    network: Any
    bytes: int

    def swapped(self, pixels: Pixels, target: Face, source: Face) -> Pixels:
        """The picture (H, W, 3), RGB, with `source` in the place of `target`, blended in."""
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        given, wanted = SimpleNamespace(kps=target.points), SimpleNamespace(normed_embedding=source.normed)
        return np.ascontiguousarray(self.network.get(bgr, given, wanted, paste_back=True)[..., ::-1])


def load(file: ModelFile, placement: Placement) -> Swapper:
    """Raises CheckpointError when the file is gone, broken or another's."""
    path = Path(file.path)
    with contextlib.redirect_stdout(io.StringIO()):         # the class prints the shape of its input
        return Swapper(read_network(path), path.stat().st_size)


def put_in(swapper: Swapper, pixels: Pixels, faces: Sequence[Face], sources: Sequence[Face], work: SwapFaces) -> Pixels:
    """The picture with those of `sources` in the place of those of `faces` that the work means.

    Raises InvalidRequest where the source has no such face.
    """
    there = _of_gender(sources, work.source_gender)
    own = numbers(work.source_faces) or [work.source_face]
    given = [chosen(there, work.order, number) for number in own]
    for place, target in _meant(_of_gender(faces, work.gender), work):
        pixels = swapper.swapped(pixels, target, given[place] if len(given) > 1 else given[0])
    return pixels


def _meant(faces: Sequence[Face], work: SwapFaces) -> list[tuple[int, Face]]:
    """In order, each with its place among those that are named; numbers beyond the last are nobody."""
    ordered = in_order(faces, work.order)
    wanted = numbers(work.targets)
    if wanted is None:
        return list(enumerate(ordered))
    return [(place, ordered[number]) for place, number in enumerate(wanted) if number < len(ordered)]


def _of_gender(faces: Sequence[Face], gender: str) -> list[Face]:
    """Raises InvalidRequest where nothing tells men from women."""
    if gender == EVERYBODY:
        return list(faces)
    if any(face.male is None for face in faces):
        raise InvalidRequest("needs insightface's genderage.onnx beside its other files to tell men from women")
    return [face for face in faces if face.male == _MALE[gender]]
