"""How much a picture prompt counts in each block of a network: the usual kinds, and numbers of one's own.

Blocks are named as in `block_weights`. The kinds and their numbers are those of ComfyUI's IP-Adapter nodes, which
sd-webui-controlnet's users know: SD1 has 16 blocks with attention to words, SDXL 11, in the order in which they work.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

LINEAR, STYLE_PRECISE, COMPOSITION_PRECISE = "linear", "style transfer precise", "composition precise"
WEIGHT_TYPES = (
    LINEAR, "ease in", "ease out", "ease in-out", "reverse in-out", "weak input", "weak middle", "weak output",
    "strong middle", "style transfer", "composition", "strong style transfer", "style and composition", STYLE_PRECISE,
    COMPOSITION_PRECISE,
)
WEAK, SLIGHT = 0.2, 0.25
_ORDER = ("IN", "MID", "OUT")
_IN_STYLE = ("IN01", "IN02", "IN04", "IN05", *(f"OUT{number:02}" for number in range(5, 12)))
_STYLE = {False: dict.fromkeys(_IN_STYLE, 1.0), True: {"OUT01": 1.0}}              # by whether it is SDXL
_COMPOSITION = {False: {"IN07": SLIGHT, "IN08": 1.0}, True: {"IN08": 1.0}}
_PAIR = re.compile(r"\s*(\d{1,2})\s*:\s*([^:]+)")


def in_order(blocks: Iterable[str]) -> list[str]:
    """Each block once, in the order in which a network works through them."""
    return sorted(set(blocks), key=lambda block: (_ORDER.index(block.rstrip("0123456789")), block))


def weights(kind: str, blocks: Sequence[str], is_xl: bool) -> dict[str, float]:
    """The weight of each of `blocks`, which are in order. Those that are not there count nothing."""
    style, composition = _STYLE[is_xl], _COMPOSITION[is_xl]
    chosen = {
        "style transfer": style, STYLE_PRECISE: style,
        "composition": composition, COMPOSITION_PRECISE: composition,
        "style and composition": style | composition,
        "strong style transfer": dict.fromkeys(set(blocks) - composition.keys(), 1.0),
    }
    if kind in chosen:
        return {block: weight for block, weight in chosen[kind].items() if block in blocks}
    return {block: _by_place(kind, block, place, len(blocks)) for place, block in enumerate(blocks)}


def turned(kind: str, blocks: Sequence[str], is_xl: bool) -> dict[str, float]:
    """Of the precise kinds: the weights of the blocks in which the picture is what shall be kept out."""
    other = {STYLE_PRECISE: _COMPOSITION[is_xl], COMPOSITION_PRECISE: _STYLE[is_xl]}.get(kind, {})
    return {block: weight for block, weight in other.items() if block in blocks}


def read_weights(text: str) -> dict[int, float] | list[float]:
    """Numbers of one's own: one for each block in order, or single ones as "place: weight". Raises ValueError."""
    parts = [part for part in text.split(",") if part.strip()]
    pairs = [_PAIR.fullmatch(part) for part in parts]
    if all(pairs) and pairs:
        return {int(pair[1]): _number(pair[2]) for pair in pairs if pair}
    return [_number(part) for part in parts]


def own_weights(text: str, blocks: Sequence[str]) -> dict[str, float]:
    """By block; those without a number count nothing. Raises ValueError where they are not as many as the blocks."""
    found = read_weights(text)
    if isinstance(found, list):
        if len(found) != len(blocks):
            raise ValueError(f"has {len(found)} numbers; this model has {len(blocks)} blocks")
        return dict(zip(blocks, found, strict=True))
    if beyond := [place for place in found if place >= len(blocks)]:
        raise ValueError(f"names block {beyond[0]}; this model has {len(blocks)}, counted from 0")
    return {blocks[place]: weight for place, weight in found.items()}


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > 10:
        raise ValueError(f"'{text.strip()[:20]}' is no number from -10 to 10")
    return number


def _by_place(kind: str, block: str, place: int, count: int) -> float:
    half = count / 2
    near = {"ease in": 1 - place / count, "ease out": place / count, "ease in-out": 1 - abs(place - half) / half,
            "reverse in-out": abs(place - half) / half}
    if kind in near:
        return 0.05 + 0.95 * near[kind]
    side = block.rstrip("0123456789")
    weak = {"weak input": ("IN",), "weak middle": ("MID",), "weak output": ("OUT",), "strong middle": ("IN", "OUT")}
    return WEAK if side in weak.get(kind, ()) else 1.0
