"""How a CLIP's pictures are prepared: what its folder says of it, or OpenAI's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import CLIPImageProcessor

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.files.regular_files import read_config

PROCESSOR = "preprocessor_config.json"
_KEPT = ("image_mean", "image_std", "resample", "rescale_factor")
_UNUSABLE = (TypeError, ValueError, AttributeError, KeyError)


def picture_processor(file: ModelFile, side: int) -> CLIPImageProcessor:
    """For towers that see `side` pixels; a single file tells nothing of its own. Raises CheckpointError."""
    beside = Path(file.path) / PROCESSOR
    told = read_config(beside) if beside.exists() else {}
    kept: dict[str, Any] = {name: told[name] for name in _KEPT if name in told}
    try:
        return CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side}, **kept)
    except _UNUSABLE as error:
        raise CheckpointError(f"{PROCESSOR} of {file.key} cannot be used: {error}") from error
