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
from backend.request.face_swap import numbers
from backend.worker.device import Placement
from backend.worker.faces.analysis import Face, Numbers, read_network
from backend.worker.faces.face_mask import covered
from backend.worker.faces.selection import chosen, in_order, is_of_gender, of_gender
from backend.worker.models.onnx_session import OnCPU
from backend.worker.pixels import Pixels
from backend.worker.pixels.face_restoration import NO_FACES, SwapFaces, Swapped


@dataclass(frozen=True, slots=True, eq=False)
class Swapper(OnCPU):
    """INSwapper in memory; onnxruntime runs it on the CPU. Owned by `Memory`."""

    network: Any
    bytes: int

    def swapped(self, pixels: Pixels, target: Face, source: Numbers) -> Pixels:
        """The picture (H, W, 3), RGB, with who `source` is, of length 1, in the place of `target`, blended in."""
        bgr = np.ascontiguousarray(pixels[..., ::-1])
        given, wanted = SimpleNamespace(kps=target.points), SimpleNamespace(normed_embedding=source)
        return np.ascontiguousarray(self.network.get(bgr, given, wanted, paste_back=True)[..., ::-1])


def load(file: ModelFile, placement: Placement) -> Swapper:
    """Raises CheckpointError when the file is gone, broken or another's."""
    path = Path(file.path)
    with contextlib.redirect_stdout(io.StringIO()):         # the class prints the shape of its input
        return Swapper(read_network(path), path.stat().st_size)


def people(sources: Sequence[Face], work: SwapFaces) -> list[Numbers]:
    """Who of a picture's faces is put in, each of length 1: one for all, or one for each that is replaced.

    Raises InvalidRequest where the picture has no such face.
    """
    there = of_gender(sources, work.source_gender, everybody=work.count_all)
    found = []
    for number in numbers(work.source_faces) or [work.source_face]:
        face = chosen(there, work.order, number)
        if not is_of_gender(face, work.source_gender):
            raise InvalidRequest(f"shows a face number {number} that is not of the chosen gender")
        found.append(face.normed)
    return found


def put_in(
    swapper: Swapper, pixels: Pixels, faces: Sequence[Face], given: Sequence[Numbers], work: SwapFaces
) -> Swapped:
    """The picture with those who are `given` in the place of those of `faces` that the work means."""
    meant = _meant(of_gender(faces, work.gender, everybody=work.count_all), work)
    for place, target in meant:
        made = swapper.swapped(pixels, target, given[place] if len(given) > 1 else given[0])
        pixels = _within(pixels, made, target) if work.mask else made
    return Swapped(pixels, len(meant), _note(faces, len(meant), work))


def _within(before: Pixels, after: Pixels, face: Face) -> Pixels:
    """What was put in for a face, no farther than the face goes."""
    share = covered(face, before.shape[:2])[..., None]
    return np.rint(before + (after.astype(np.float32) - before) * share).astype(np.uint8)


def _note(faces: Sequence[Face], replaced: int, work: SwapFaces) -> str:
    """What a person should know of faces that stay as they are."""
    wanted = numbers(work.targets)
    if not faces:
        return NO_FACES
    if replaced and (wanted is None or replaced == len(wanted)):
        return ""
    if replaced:
        return f"Faces were replaced: {replaced} of {len(wanted or [])} that were asked for."
    return f"No face was replaced: none of the {len(faces)} in the picture is one of those that were asked for."


def _meant(faces: Sequence[Face], work: SwapFaces) -> list[tuple[int, Face]]:
    """In order, each with its place among those that are named; numbers beyond the last are nobody."""
    ordered = in_order(faces, work.order)
    wanted = numbers(work.targets)
    places = range(len(ordered)) if wanted is None else wanted
    return [(place, ordered[number]) for place, number in enumerate(places)
            if number < len(ordered) and is_of_gender(ordered[number], work.gender)]
