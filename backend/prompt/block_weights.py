"""Weights of single blocks of a network (`lbw=`), in the words of the extension that brought them to AUTOMATIC1111.

Blocks are counted as Stable Diffusion's authors count them: BASE is the text encoder, IN00 the first convolution, MID
the middle, OUT00 the deepest block that grows again.
"""

from __future__ import annotations

from collections.abc import Mapping

from backend.prompt.network_numbers import number

Blocks = tuple[tuple[str, float], ...]
"""(block, weight); blocks that are not named count nothing, layers outside of all blocks whole. () = no weights."""

BASE, MIDDLE = "BASE", "MID"


def _numbered(side: str, numbers: range | tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{side}{number:02}" for number in numbers)


_ATTENTIVE = (1, 2, 4, 5, 7, 8)         # SD1's blocks with attention on the way in
_LISTS: Mapping[int, tuple[str, ...]] = {
    12: (BASE, *_numbered("IN", (4, 5, 7, 8)), MIDDLE, *_numbered("OUT", range(6))),
    17: (BASE, *_numbered("IN", _ATTENTIVE), MIDDLE, *_numbered("OUT", range(3, 12))),
    20: (BASE, *_numbered("IN", range(9)), MIDDLE, *_numbered("OUT", range(9))),
    26: (BASE, *_numbered("IN", range(12)), MIDDLE, *_numbered("OUT", range(12))),
}
"""By how many weights there are: SDXL's and SD1's blocks with attention, all of SDXL's and all of SD1's."""

_PRESETS = {
    "NONE": (), "ALL": (*range(17),), "INS": (0, 1, 2, 3), "IND": (0, 4, 5, 6), "INALL": (*range(7),),
    "MIDD": (0, *range(4, 12)), "OUTD": (0, *range(8, 12)), "OUTS": (0, *range(12, 17)), "OUTALL": (0, *range(8, 17)),
}
"""The usual sets of SD1's 17, by the places that are 1."""


def read_blocks(text: str) -> Blocks:
    """The weights that `lbw=` names. Raises ValueError saying what can stand there."""
    name = text.strip().upper()
    if name in _PRESETS or name == "ALL0.5":
        weight = 0.5 if name == "ALL0.5" else 1.0
        taken = _PRESETS.get(name, _PRESETS["ALL"])
        return tuple((block, weight if place in taken else 0.0) for place, block in enumerate(_LISTS[17]))
    values = text.split(",")
    if len(values) not in _LISTS:
        raise ValueError(f"takes {', '.join(map(str, _LISTS))} weights or one of {', '.join((*_PRESETS, 'ALL0.5'))}")
    return tuple(zip(_LISTS[len(values)], map(number, values), strict=True))


def block_of(module: str, resnets: int) -> str:
    """The block of a UNet's module, by its flat diffusers name; "" outside of all. `resnets`: layers of each block."""
    words = module.split("_")
    if module.startswith("mid_block"):
        return MIDDLE
    if module == "conv_in":
        return "IN00"
    if words[0] not in ("down", "up") or not words[2].isdigit() or not words[4].isdigit():
        return ""
    down, block, layer = words[0] == "down", int(words[2]), int(words[4])
    if words[3] in ("downsamplers", "upsamplers"):
        layer = resnets
    return f"IN{1 + block * (resnets + 1) + layer:02}" if down else f"OUT{block * (resnets + 1) + layer:02}"


def weight_of(blocks: Blocks, block: str) -> float:
    """How much of a network counts in a block; "" is outside of all."""
    return dict(blocks).get(block, 0.0) if blocks and block else 1.0
