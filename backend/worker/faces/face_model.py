"""One person's face from a file that ReActor made of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from backend.catalog.face_models import IDENTITY, LENGTH
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.faces.analysis import Numbers
from backend.worker.models.onnx_session import OnCPU


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class FaceModel(OnCPU):
    """Who it is, (512,) of length 1. Owned by `Memory`."""

    normed: Numbers

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return self.normed.nbytes


def load(file: ModelFile) -> FaceModel:
    """Raises CheckpointError where the file is gone, broken or another's."""
    try:
        identity = load_file(Path(file.path)).get(IDENTITY)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file.key} cannot be loaded: it is broken or no face model") from error
    length = 0.0 if identity is None or identity.shape != (LENGTH,) else float(np.linalg.norm(identity))
    if identity is None or not np.isfinite(length) or length == 0:
        raise CheckpointError(f"{file.key} holds no face")
    return FaceModel((identity / length).astype(np.float32))
