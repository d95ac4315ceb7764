"""The networks for faces, brought into memory: what finds faces is one network for all that ask, and read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backend.catalog.model_file import FACE_DETECTOR, ModelFile
from backend.worker.faces import analysis
from backend.worker.faces.analysis import FaceAnalysis
from backend.worker.models import face_detector
from backend.worker.models.face_detector import Detector
from backend.worker.models.memory import Memory


def detector_in(memory: Memory, file: ModelFile) -> Detector:
    """Raises what `Memory.fetch` raises."""
    return memory.fetch(file.kind, file.key, file.path, lambda: face_detector.load(file, memory.placement))


def analysis_in(memory: Memory, file: ModelFile) -> FaceAnalysis:
    """The networks in the folder of a recognition network. Raises what `Memory.fetch` raises."""
    used: list[Detector] = []

    def finder(path: Path) -> Any:
        used.append(detector_in(memory, ModelFile(FACE_DETECTOR, path.stem, str(path))))
        return analysis.finder(path, used[-1].session)

    def read() -> FaceAnalysis:
        made = analysis.load(file, finder)
        for detector in used:
            memory.pin(detector, made)
        return made

    return memory.fetch(file.kind, file.key, file.path, read)
