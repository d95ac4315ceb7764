"""Pictures shown to IP-Adapters, and faces found in them, each once for equal pictures and files."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from backend.catalog.face_files import PACKS
from backend.catalog.guide_files import GUIDE, GUIDE_FACES, KNOWS_FACES
from backend.catalog.ip_adapters import FACE_PLUS
from backend.catalog.model_file import CLIP_VISION, ModelFile
from backend.errors import CheckpointError, InvalidRequest, OutOfMemory
from backend.request.record import place
from backend.worker.adapters.ip_adapter_attention_weights import attention_weights, turned_weights
from backend.worker.adapters.ip_adapter_projection import PicturePrompt, Shown
from backend.worker.adapters.style_adapter import StyleAdapter
from backend.worker.draw.guide_hint import key_of, opened
from backend.worker.draw.work_items import ShowPicture
from backend.worker.engine.program import Program
from backend.worker.faces import key_points
from backend.worker.faces.analysis import Face, Faces, upright
from backend.worker.faces.loading import analysis_in
from backend.worker.faces.selection import chosen
from backend.worker.models import clip_vision
from backend.worker.models.clip_vision import ClipVision
from backend.worker.models.memory import Memory
from backend.worker.models.run_errors import running
from backend.worker.pixels import Pixels

CROP = 224              # side of the upright face that FaceID-Plus looks at
ANALYSIS = "face analysis"


def shown(memory: Memory, program: Program, work: ShowPicture) -> PicturePrompt:
    """What an IP-Adapter makes of pictures. Raises InvalidRequest naming the unit's model or picture."""
    file = program.task.run.files[GUIDE, work.unit["model"]]
    eyes = _Eyes(memory, program, work, file)
    program.note(eyes.told())
    program.note(_acts_nowhere(program, work))
    try:
        return memory.hints.get(eyes.key, lambda: memory.attempt(eyes.prompt))
    except InvalidRequest as error:
        raise InvalidRequest(problems=error.about(place("guides", work.number, "image"))) from error
    except (CheckpointError, OutOfMemory) as error:
        raise InvalidRequest(problems=error.about(place("guides", work.number, "model"))) from error


def _acts_nowhere(program: Program, work: ShowPicture) -> str:
    """Said where no block of the network has a weight, since small ones lack those of some weight types; else ""."""
    kind, own = work.unit["weight_type"], work.unit["block_weights"]
    if isinstance(work.network, StyleAdapter):
        return ""
    if attention_weights(program.model, kind, own).any() or turned_weights(program.model, kind).any():
        return ""
    lacking, zero = f"this model has none of the blocks in which '{kind}' acts", "the weights of its blocks are all 0"
    return f"Guide {work.number + 1} changes nothing: {zero if own.strip() else lacking}"


def points_in(
    memory: Memory, file: ModelFile, unit: Mapping[str, Any], pixels: Pixels, resolution: int, a: float, b: float
) -> Pixels:
    """The points of the face that a unit means, as a preprocessor makes them. Raises InvalidRequest for no such face.

    Raises CheckpointError, OutOfMemory.
    """
    found = faces_in(memory, file, pixels, pixels)
    return key_points.drawn(chosen(found, unit["face_order"], unit["face_index"]), pixels.shape[:2])


def faces_in(memory: Memory, file: ModelFile, picture: str | Pixels, pixels: Pixels) -> Faces:
    """All faces of a picture. Raises CheckpointError, OutOfMemory."""
    network = analysis_in(memory, file)
    key = ANALYSIS, file.path, file.fingerprint, key_of(picture)
    with running(file.key):
        return memory.hints.get(key, lambda: memory.attempt(lambda: network.faces(pixels)))


@dataclass(frozen=True, slots=True, eq=False)
class _Eyes:
    """What an IP-Adapter looks at pictures through."""

    memory: Memory
    program: Program
    work: ShowPicture
    file: ModelFile

    @property
    def _tower(self) -> ModelFile | None:
        return self.program.task.run.files.get((CLIP_VISION, self.file.key))

    @property
    def _face_network(self) -> ModelFile | None:
        return self.program.task.run.files.get((GUIDE_FACES, self.file.key))

    def told(self) -> str:
        """A sentence where faces are seen by another network than the file was made with; else ""."""
        found, wanted = self._face_network, KNOWS_FACES.get(self.file.facts.get("sees", ""), "")
        if found is None or found.facts["only_for"] or Path(found.path).stem.lower().startswith(wanted):
            return ""
        return f"{self.file.key} saw faces through {found.key}; it was made with insightface's {PACKS[wanted][0]}"

    @property
    def key(self) -> Hashable:
        """Equal ones make equal prompts."""
        unit = self.work.unit
        files = tuple((file.path, file.fingerprint) for file in (self.file, self._tower, self._face_network) if file)
        settings = tuple(unit[name] for name in ("combine", "uncond_noise", "face_order", "face_index"))
        return files, tuple(key_of(picture) for picture in self.work.pictures), settings

    def prompt(self) -> PicturePrompt:
        """Made anew. Raises CheckpointError; InvalidRequest where no such face is in a picture."""
        if isinstance(self.work.network, StyleAdapter):
            pixels = opened(self.work.pictures[0], self.program.task.run.pictures)
            vectors = self.work.network.vectors(self._loaded_tower().seen(pixels).last)
            return PicturePrompt(vectors, torch.zeros_like(vectors))
        return self.work.network.projection.prompt(list(self._each()), self.work.unit["combine"])

    def _each(self) -> Iterator[Shown]:
        noise = self.work.unit["uncond_noise"]
        for picture in self.work.pictures:
            pixels = opened(picture, self.program.task.run.pictures)
            face = self._face(picture, pixels)
            if face is not None and self.work.network.projection.sees == FACE_PLUS:
                pixels = upright(pixels, face, CROP)
            tower = self._loaded_tower()
            yield Shown(tower.seen(pixels) if tower else None, tower.nothing(noise) if tower else None,
                        torch.from_numpy(face.identity)[None] if face else None, bool(noise))

    def _face(self, picture: str | Pixels, pixels: Pixels) -> Face | None:
        file, unit = self._face_network, self.work.unit
        if file is None:
            return None
        return chosen(faces_in(self.memory, file, picture, pixels), unit["face_order"], unit["face_index"])

    def _loaded_tower(self) -> ClipVision | None:
        file, memory = self._tower, self.memory
        if file is None:
            return None
        return memory.fetch(CLIP_VISION, file.key, file.path, lambda: clip_vision.load(file, memory.placement))
