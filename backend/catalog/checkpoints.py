"""What a checkpoint tells of itself: its family, and the settings that its author or its owner wrote down for it.

    <models>/demo                                      the shipped model, a diffusers folder
    <models>/checkpoints/**/*.safetensors, *.ckpt      single files (AUTOMATIC1111's name `Stable-diffusion` works too)
    <models>/checkpoints/**/model_index.json           diffusers folders
    <name>.json beside a file, easel.json in a folder  field values that suit the model
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from backend.catalog import distilled, families
from backend.catalog.description import Description
from backend.catalog.folder_scan import Found
from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.errors import CheckpointError, InvalidRequest
from backend.files.regular_files import read_config
from backend.request.request import FIELDS, Request

DEMO = "demo"
INDEX = "model_index.json"
SIDE_CAR = "easel.json"
MAX_EXAMPLES = 12

log = logging.getLogger(__name__)


def describe(found: Found) -> Description | None:
    """Family, defaults and `example_prompts`; None for adapters, VAEs and other parts. Raises CheckpointError."""
    path = found.path
    family = families.detect_folder(path) if found.is_folder else families.detect(found.header.shapes)
    if family == families.NO_CHECKPOINT:
        return None
    return Description(family, families.why_not(family), defaults(path, family),
                       {"example_prompts": _example_prompts(path)})


def defaults(path: Path, family: str) -> dict[str, Any]:
    """Field values that suit the model: its family's, its method's, then its side-car's as far as they are valid."""
    stored = side_car(path)
    stored = stored["defaults"] if isinstance(stored.get("defaults"), dict) else stored
    values: dict[str, Any] = dict(families.defaults(family))
    values |= distilled.defaults(path.stem) if values else {}
    for name in stored.keys() & FIELDS.keys() - {"checkpoint"}:
        try:
            values[name] = getattr(Request.parse({name: stored[name]}), name)
        except InvalidRequest as error:
            log.warning("the default of %s is ignored: %s", path.name, error)
    return values


def side_car(path: Path) -> dict[str, Any]:
    """What the JSON file beside a model says; {} when there is none or it is broken."""
    file = side_car_file(path)
    try:
        return read_config(file) if os.path.lexists(file) else {}
    except CheckpointError as error:
        log.warning("%s is ignored: %s", file, error)
        return {}


def side_car_file(path: Path) -> Path:
    """Where a model's own JSON file lies, or would lie."""
    return path / SIDE_CAR if path.is_dir() else path.with_suffix(".json")


def tokenizer_folder(checkpoint: ModelFile) -> Path | None:
    """Where a diffusers folder has a tokenizer of its own; None = CLIP's."""
    folder = Path(checkpoint.path) / "tokenizer"
    return folder if any((folder / name).is_file() for name in ("vocab.json", "tokenizer.json")) else None


def default_of(files: tuple[ModelFile, ...]) -> ModelFile | None:
    """The checkpoint that is taken where none is named: the first that can be used, then the demo, a refiner last."""
    usable = [file for file in files if file.kind == CHECKPOINT and not file.problem]
    return min(usable, key=lambda file: (not families.begins(file.family), file.key == DEMO), default=None)


def _example_prompts(path: Path) -> tuple[str, ...]:
    stored = side_car(path).get("example_prompts")
    texts = stored if isinstance(stored, list) else ()
    return tuple(text for text in texts if isinstance(text, str))[:MAX_EXAMPLES]
