"""Weight types of picture prompts, block by block, against ComfyUI's IP-Adapter nodes, and numbers of one's own."""

from __future__ import annotations

import pytest

from backend.request.ip_adapter_weight_types import WEIGHT_TYPES, in_order, own_weights, read_weights, turned, weights

SD1 = ["IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{number:02}" for number in range(3, 12))]
SDXL = ["IN04", "IN05", "IN07", "IN08", "MID", *(f"OUT{number:02}" for number in range(6))]
STYLE = {16: dict.fromkeys([0, 1, 2, 3, *range(9, 16)], 1.0), 11: {6: 1.0}}                  # by the nodes' number of a block
COMPOSITION = {16: {4: 0.25, 5: 1.0}, 11: {3: 1.0}}


def comfy(kind: str, place: int, count: int) -> float:
    """The nodes' formulas, of weight 1."""
    half, side = count / 2, "IN" if place < (6 if count == 16 else 4) else "MID" if place == (6 if count == 16 else 4) else "OUT"
    formulas = {
        "linear": 1.0, "ease in": 0.05 + 0.95 * (1 - place / count), "ease out": 0.05 + 0.95 * (place / count),
        "ease in-out": 0.05 + 0.95 * (1 - abs(place - half) / half), "reverse in-out": 0.05 + 0.95 * (abs(place - half) / half),
        "weak input": 0.2 if side == "IN" else 1.0, "weak middle": 0.2 if side == "MID" else 1.0, "weak output": 0.2 if side == "OUT" else 1.0,
        "strong middle": 0.2 if side in ("IN", "OUT") else 1.0, "style transfer": STYLE[count].get(place, 0.0), "composition": COMPOSITION[count].get(place, 0.0),
        "strong style transfer": float(place not in COMPOSITION[count]), "style and composition": {**STYLE[count], **COMPOSITION[count]}.get(place, 0.0),
        "style transfer precise": STYLE[count].get(place, 0.0), "composition precise": COMPOSITION[count].get(place, 0.0),
    }
    return formulas[kind]


@pytest.mark.parametrize("blocks", [SD1, SDXL], ids=["sd1", "sdxl"])
@pytest.mark.parametrize("kind", WEIGHT_TYPES)
def test_every_kind_weighs_each_block_as_the_nodes_do(kind: str, blocks: list[str]) -> None:
    found = weights(kind, in_order(reversed(blocks)), blocks is SDXL)
    assert [found.get(block, 0.0) for block in blocks] == pytest.approx([comfy(kind, place, len(blocks)) for place in range(len(blocks))])


@pytest.mark.parametrize("blocks", [SD1, SDXL], ids=["sd1", "sdxl"])
def test_precise_kinds_keep_out_what_the_other_one_takes(blocks: list[str]) -> None:
    def other(table: dict[int, dict[int, float]]) -> dict[str, float]:
        return {blocks[place]: weight for place, weight in table[len(blocks)].items()}

    assert turned("style transfer precise", blocks, blocks is SDXL) == other(COMPOSITION)
    assert turned("composition precise", blocks, blocks is SDXL) == other(STYLE)
    assert not any(turned(kind, blocks, blocks is SDXL) for kind in WEIGHT_TYPES if "precise" not in kind)


def test_numbers_of_ones_own() -> None:
    assert own_weights("6:1, 3:0.5", SDXL) == {"OUT01": 1.0, "IN08": 0.5}
    assert list(own_weights(",".join(["0.5"] * 11), SDXL).values()) == [0.5] * 11
    for wrong, why in (("1, 2", "has 2 numbers; this model has 11"), ("11:1", "names block 11"), ("0:x", "is no number"), ("0:nan", "is no number"), ("0:11", "is no number")):
        with pytest.raises(ValueError, match=why):
            own_weights(wrong, SDXL)
    assert read_weights("") == []
