"""ReActor's face models: one person's face as numbers, kept from a picture or blended from several.

    models/reactor/faces/<name>.safetensors     the tensor `embedding` (512,), beside others of insightface's face
"""

from __future__ import annotations

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found

IDENTITY, GENDER = "embedding", "gender"
LENGTH = 512


def describe_face_model(found: Found) -> Description:
    """Raises CheckpointError where the file cannot be read."""
    whole = found.header.shapes.get(IDENTITY) == (LENGTH,)
    return Description(problem="" if whole else "it is no face model as ReActor saves one")
