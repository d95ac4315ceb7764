"""The alphas that PEFT keeps in a file's metadata in place of tensors beside the factors, as diffusers writes them.

The text is JSON: `unet.lora_alpha`, `unet.alpha_pattern` (alpha by the end of a module's path), `unet.use_rslora`, and
the same of each text encoder; without the component's name where the file is of one alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from backend.catalog.headers import Shapes
from backend.catalog.network_names import split_name

KEY = "lora_adapter_metadata"
WRAPPER = "base_model.model."


def peft_alphas(metadata: Mapping[str, str], shapes: Shapes) -> dict[str, float]:
    """By the names that tensors of alpha would have, what the metadata says for modules whose file holds none."""
    try:
        told = json.loads(metadata.get(KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {f"{module}.alpha": alpha for module, rank in _modules(shapes)
            if (alpha := _alpha(told, module, rank)) is not None}


def _modules(shapes: Shapes) -> Iterator[tuple[str, int]]:
    """Name and rank of each module with low-rank factors and no alpha."""
    parts = {split: shape for name, shape in shapes.items() if (split := split_name(name))}
    for (module, part), shape in parts.items():
        if part == "lora_down" and shape and not {(module, "alpha"), (module, "scale")} & parts.keys():
            yield module, shape[0]


def _alpha(told: Mapping[str, Any], module: str, rank: int) -> float | None:
    path = module.removeprefix(WRAPPER)
    prefix = f"{path.partition('.')[0]}."
    if f"{prefix}lora_alpha" not in told:
        prefix = ""             # written for one component alone
    patterns = told.get(f"{prefix}alpha_pattern")
    ends = patterns.items() if isinstance(patterns, dict) else ()
    own = (alpha for end, alpha in ends if f".{path}".endswith(f".{end.removeprefix('^')}"))
    alpha = next(own, told.get(f"{prefix}lora_alpha"))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        return None
    return float(alpha) * (math.sqrt(rank) if told.get(f"{prefix}use_rslora") is True else 1.0)
