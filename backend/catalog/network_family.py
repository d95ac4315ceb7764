"""The family that a network file is made for, told from its layers where its trainer does not say.

Told by the width of the words that its cross-attentions hear (whatever kind of layers it has), by a second text
encoder, and by attentions with several blocks in a row: of the families that Easel loads only SDXL has either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from backend.catalog.headers import Shapes
from backend.catalog.network_fit import by_module
from backend.catalog.network_kinds import Misshapen, Parts, Shape, kind_of, matrix
from backend.catalog.network_names import flat

_HEARS = re.compile(r"attn2_to_[kv]$")
_ONLY_SDXL = re.compile(r"(^|_)(te2|text_encoder_2|clip_g)_|transformer_blocks_[1-9]")


def family_of_layers(shapes: Shapes, families: Mapping[int, str]) -> str:
    """`families`: by the width of the words. "" where nothing tells it."""
    modules = by_module(shapes)[0]
    for module, tensors in modules.items():
        if _HEARS.search(flat(module)):
            widths = _widths({part: shapes[name] for part, name in tensors.items()})
            if family := next((families[width] for width in widths if width in families), ""):
                return family
    return "sdxl" if any(_ONLY_SDXL.search(flat(module)) for module in modules) else ""


def _widths(parts: Parts) -> Iterator[int]:
    """How wide the input of a layer may be, as far as its tensors tell it without the module."""
    kind = kind_of(parts)
    for weight in _weights(parts) if kind else ():
        try:
            yield kind.size(parts, weight)[1]
        except (Misshapen, LookupError):
            continue


def _weights(parts: Parts) -> Iterator[Shape]:
    """Shapes that the module's weights may have."""
    if "diff" in parts:
        yield matrix(parts["diff"])
    elif {"b1", "b2"} <= parts.keys():
        yield parts["b1"][0], parts["b2"][-1]
        yield parts["b2"][0], parts["b1"][-1]
    elif not {"oft_blocks", "oft_diag", "on_input", "w_norm", "diff_b"} & parts.keys():
        yield ()
