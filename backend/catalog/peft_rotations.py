"""How PEFT makes rotations of the numbers of its OFT: kept in a file's metadata, as diffusers writes it,
or beside the file, as PEFT does.

By `use_cayley_neumann` it is a series of `num_cayley_neumann_terms`, which turns the other way than the exact
transform that stands there otherwise; by `coft` no block turns further than `eps` allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.catalog.headers import Shapes, read_header
from backend.catalog.network_names import split_name
from backend.catalog.peft_alphas import of_component, told_by_peft, with_settings_beside

MOST_TERMS = 100


def peft_rotations(metadata: Mapping[str, str], shapes: Shapes) -> dict[str, float]:
    """Of each module with an OFT by PEFT: `cayley_terms`, 0 for the exact transform, and `cayley_bound` if it has one.

    By the names that tensors of them would have. None where the metadata does not tell them.
    """
    told = told_by_peft(metadata)
    modules = [split[0] for name in shapes if (split := split_name(name)) and split[1] == "oft_R"] if told else []
    return {f"{module}.{part}": number for module in modules for part, number in _numbers(told, module)}


def shapes_told(path: Path) -> Shapes:
    """The tensors of a network file, with those that only its metadata tells. Raises CheckpointError."""
    header = read_header(path)
    metadata = with_settings_beside(path, header.metadata)
    return header.shapes | dict.fromkeys(peft_rotations(metadata, header.shapes), ())


def _numbers(told: Mapping[str, Any], module: str) -> Iterator[tuple[str, float]]:
    own = of_component(told, module, "use_cayley_neumann")
    series, terms = own.get("use_cayley_neumann"), own.get("num_cayley_neumann_terms")
    bounded, bound = own.get("coft", False), own.get("eps")
    if bounded and not _is_number(bound) or series is not False and not (series is True and _is_number(terms)):
        return
    yield "cayley_terms", float(min(int(terms), MOST_TERMS)) if series else 0.0
    if bounded:
        yield "cayley_bound", float(bound)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
