"""What a CLIP tells of itself: a folder as transformers saves one, with both towers.

    <models>/clip/<name>/config.json, model.safetensors, vocab.json and merges.txt (or tokenizer.json)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.headers import read_shapes
from backend.files.regular_files import read_config

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
VOCABULARIES = ("vocab.json", "tokenizer.json")
PROJECTIONS = ("text_projection.weight", "visual_projection.weight")


def describe(found: Found) -> Description:
    """Raises CheckpointError where a file of the folder cannot be read."""
    return Description(problem=_problem(found.path, read_config(found.path / CONFIG)))


def weights_of(folder: Path) -> Path | None:
    """The one file with a CLIP's tensors; None where there is none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def _problem(folder: Path, config: Mapping[str, Any]) -> str:
    towers = [config.get("text_config"), config.get("vision_config")]
    if config.get("model_type") != "clip" or not all(isinstance(tower, dict) for tower in towers):
        return "it is no CLIP with a text tower and a picture tower, as transformers saves one"
    weights = weights_of(folder)
    if weights is None:
        return f"its folder lacks {WEIGHTS[0]}"
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return "its folder lacks the words of its tokenizer: vocab.json and merges.txt, or tokenizer.json"
    missing = [name for name in PROJECTIONS if name not in read_shapes(weights)]
    return f"it lacks the tensor {missing[0]}" if missing else ""
