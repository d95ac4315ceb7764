"""The alphas that PEFT keeps in a file's metadata in place of tensors beside the factors, as diffusers writes them.

The text is JSON: `unet.lora_alpha`, `unet.alpha_pattern` (alpha by the end of a module's path), `unet.use_rslora`, and
the same of each text encoder; without the component's name where the file is of one alone. PEFT itself writes such a
text into a file beside.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.catalog.fingerprints import PEFT_SETTINGS, PEFT_WEIGHTS
from backend.catalog.headers import Shapes
from backend.catalog.network_names import split_name
from backend.files.regular_files import MAX_CONFIG, read_json, read_regular

KEY = "lora_adapter_metadata"
WRAPPER = "base_model.model."


def peft_alphas(metadata: Mapping[str, str], shapes: Shapes) -> dict[str, float]:
    """By the names that tensors of alpha would have, what the metadata says for modules whose file holds none."""
    told = told_by_peft(metadata)
    return {f"{module}.alpha": alpha for module, rank in _modules(shapes)
            if (alpha := _alpha(told, module, rank)) is not None}


def with_settings_beside(path: Path, metadata: Mapping[str, str]) -> Mapping[str, str]:
    """The metadata of a network file, and what lies beside it where PEFT has saved both."""
    if path.name != PEFT_WEIGHTS or KEY in metadata:
        return metadata
    try:
        return {**metadata, KEY: read_regular(path.with_name(PEFT_SETTINGS), MAX_CONFIG).decode()}
    except (OSError, UnicodeDecodeError):
        return metadata


def told_by_peft(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file's metadata says of its adapter; nothing where it is no such text."""
    try:
        told = read_json(metadata.get(KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def of_component(told: Mapping[str, Any], module: str, known: str) -> dict[str, Any]:
    """What is told of the component that a module is in, by plain names. `known`: a name that is always told."""
    prefix = f"{module.removeprefix(WRAPPER).partition('.')[0]}."
    if f"{prefix}{known}" not in told:
        prefix = ""             # written for one component alone
    return {name.removeprefix(prefix): value for name, value in told.items() if name.startswith(prefix)}


def _modules(shapes: Shapes) -> Iterator[tuple[str, int]]:
    """Name and rank of each module with low-rank factors and no alpha."""
    parts = {split: shape for name, shape in shapes.items() if (split := split_name(name))}
    for (module, part), shape in parts.items():
        if part == "lora_down" and shape and not {(module, "alpha"), (module, "scale")} & parts.keys():
            yield module, shape[0]


def _alpha(told: Mapping[str, Any], module: str, rank: int) -> float | None:
    path, own = module.removeprefix(WRAPPER), of_component(told, module, "lora_alpha")
    patterns = own.get("alpha_pattern")
    ends = patterns.items() if isinstance(patterns, dict) else ()
    by_end = (alpha for end, alpha in ends if f".{path}".endswith(f".{end.removeprefix('^')}"))
    alpha = next(by_end, own.get("lora_alpha"))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        return None
    return float(alpha) * (math.sqrt(rank) if own.get("use_rslora") is True else 1.0)
