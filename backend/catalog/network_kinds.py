"""The kinds of changes that a network file can hold for one module: told by their tensors, checked by their shapes.

The names of tensors are LyCORIS', those of the kinds `peft_...` PEFT's; the formulas are in
`worker/adapters/weight_deltas.py` under the same kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt, prod

Shape = tuple[int, ...]
Parts = Mapping[str, Shape]
Size = tuple[int, int]
"""Of a change as a matrix: rows out, and columns for all that goes in (for a convolution channels times kernel)."""


SINGLE = ("alpha", "scale", "on_input", "cayley_terms", "cayley_bound")     # parts that are one number
MAGNITUDES = frozenset({"dora_scale", "magnitude"})  # DoRA's: LyCORIS' of rows or of columns, PEFT's of rows


class Misshapen(ValueError):
    """Tensors that do not fit to each other."""


class Ambiguous(Misshapen):
    """A layer that may be meant in several ways, and the file does not tell which. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class LayerKind:
    """`holds` tells whether these tensors are of this kind; `size(parts, weight)` gives the size of what they change.

    `weight` is the shape of the module's weights. `size` raises Misshapen or an error of missing tensors.
    """

    name: str
    holds: Callable[[Parts], bool]
    size: Callable[[Parts, Shape], Size]


def matrix(shape: Shape) -> Size:
    """A weight's size as a matrix; a norm's weights are a column."""
    return shape[0], prod(shape[1:])


def check_numbers(parts: Parts, weight: Shape) -> None:
    """Of what can stand beside any kind: single numbers are single, and magnitudes are those of rows or columns.

    Raises Misshapen.
    """
    _check(all(prod(parts[name]) == 1 for name in SINGLE if name in parts))
    _check(prod(parts.get("rescale", weight[:1])) == weight[0])
    _check(len(weight) > 1 or MAGNITUDES.isdisjoint(parts))
    _check(prod(parts.get("magnitude", weight[:1])) == weight[0])
    _check(prod(parts.get("dora_scale", weight[:1])) in weight[:2])


def kind_of(parts: Parts) -> LayerKind | None:
    """The first kind that knows these tensors."""
    return next((kind for kind in LAYER_KINDS if kind.holds(parts)), None)


def _low_rank(parts: Parts, weight: Shape) -> Size:
    up, down, mid = parts["lora_up"], parts["lora_down"], parts.get("lora_mid")
    _check(len(up) > 1 < len(down))
    rank, kernel = down[0], prod(down[1:])
    if mid is not None:
        kernel = down[1] * prod(mid[2:])
        _check(len(mid) == len(weight) == 4 and mid[1] == down[0] and prod(down[2:]) == 1)
        rank = mid[0]
    _check(rank > 0 and prod(up[1:]) == rank)
    return up[0], kernel


def _loha(parts: Parts, weight: Shape) -> Size:
    pairs = [(parts[f"hada_w{i}_a"], parts[f"hada_w{i}_b"], parts.get(f"hada_t{i}")) for i in (1, 2)]
    sizes = [_product(a, b, core) for a, b, core in pairs]
    _check(sizes[0] == sizes[1] and len({core is None for *_, core in pairs}) == 1)
    return sizes[0]


def _product(a: Shape, b: Shape, core: Shape | None) -> Size:
    """Of two factors, or of two with a core between them, which come the other way round."""
    _check(len(a) == 2)
    if core is not None:
        _check(len(core) == 4 and core[:2] == (a[0], b[0]) and a[0] > 0 and len(b) == 2)
        return a[1], b[1] * prod(core[2:])
    _check(a[1] == b[0] and b[0] > 0)
    return a[0], prod(b[1:])


def _lokr(parts: Parts, weight: Shape) -> Size:
    first = matrix(parts["lokr_w1"]) if "lokr_w1" in parts else _product(parts["lokr_w1_a"], parts["lokr_w1_b"], None)
    if "lokr_w2" in parts:
        second = matrix(parts["lokr_w2"])
    else:
        second = _product(parts["lokr_w2_a"], parts["lokr_w2_b"], parts.get("lokr_t2"))
    _check(prod(parts.get("lokr_w1", ())[2:]) == 1 and second[1] % prod(weight[2:]) == 0)
    return first[0] * second[0], first[1] * second[1]


def _ia3(parts: Parts, weight: Shape) -> Size:
    _check(len(weight) > 1 and prod(parts["weight"]) in weight[:2])
    return matrix(weight)


def _full(parts: Parts, weight: Shape) -> Size:
    _check(prod(parts.get("diff_b", (weight[0],))) == weight[0])
    return matrix(parts["diff"]) if "diff" in parts else matrix(weight)


def _norm(parts: Parts, weight: Shape) -> Size:
    _check(len(weight) == 1 and prod(parts.get("b_norm", weight)) == weight[0])
    return prod(parts["w_norm"]), 1


def _rotation(parts: Parts, weight: Shape) -> Size:
    blocks = parts["oft_diag" if "oft_diag" in parts else "oft_blocks"]
    _check(len(blocks) == 3 and blocks[1] == blocks[2])
    return blocks[0] * blocks[2], matrix(weight)[1]


def _butterfly(parts: Parts, weight: Shape) -> Size:
    """Each stage turns blocks of rows that stand twice as far apart as those before."""
    stages, count, side, other = parts["oft_blocks"]
    _check(len(weight) > 1 and side == other > 0 < stages and side % 2 == 0)
    _check(weight[0] % (2 ** (stages - 1) * side) == 0)
    return count * side, matrix(weight)[1]


def _peft_oft(parts: Parts, weight: Shape) -> Size:
    """Blocks of columns are turned; one block for all where they share it."""
    (blocks, numbers), size = parts["oft_R"], matrix(weight)
    side = side_of(numbers)
    _check(len(weight) > 1 and side * (side - 1) // 2 == numbers > 0)
    if prod(weight[2:]) > 1:
        raise Ambiguous("PEFT's OFT of a convolution, which PEFT itself merges in another way than it runs it")
    if "cayley_terms" not in parts:
        raise Ambiguous("PEFT's OFT without its settings in the file: use_cayley_neumann decides which way it turns")
    _check(size[1] % side == 0 and blocks in (1, size[1] // side))
    return size


def side_of(numbers: int) -> int:
    """How many rows a skew matrix has that is made of so many numbers."""
    return (1 + isqrt(1 + 8 * numbers)) // 2


def _older_peft_oft(parts: Parts, weight: Shape) -> Size:
    raise Ambiguous("PEFT's OFT of a version before oft_R, which turned rows or columns")


def _peft_boft(parts: Parts, weight: Shape) -> Size:
    """Each stage turns blocks of columns, half a block of which stands twice as far apart as before."""
    stages, count, side, other = parts["boft_R"]
    _check(len(weight) > 1 and side == other > 0 < stages and prod(parts["boft_s"]) == weight[0])
    _check(stages == 1 or side % 2 == 0 and count % 2 ** (stages - 1) == 0)
    return weight[0], count * side


def _peft_ia3(parts: Parts, weight: Shape) -> Size:
    ia3_side(parts["ia3_l"], weight)
    return matrix(weight)


def ia3_side(factors: Shape, weight: Shape) -> int:
    """0 where PEFT's factors are those of the outputs, 1 for inputs. Raises Misshapen, Ambiguous."""
    _check(len(factors) == len(weight) > 1)
    if len(weight) == 2:
        _check(factors in ((weight[0], 1), (1, weight[1])))
        return 0 if factors == (weight[0], 1) else 1
    _check(factors[1] == prod(factors) and factors[1] in weight[:2])
    if weight[0] == weight[1]:
        raise Ambiguous("PEFT's (IA)3 of a convolution with as many inputs as outputs: nothing tells which it means")
    return weight.index(factors[1])


def _glora(parts: Parts, weight: Shape) -> Size:
    """b makes a change of its own, a one of the weight's input channels; older files name each pair the other way."""
    _check(all(len(parts[name]) > 1 for name in ("a1", "a2", "b1", "b2")) and len(weight) > 1)
    a1, a2, b1, b2 = (matrix(parts[name]) for name in ("a1", "a2", "b1", "b2"))
    core = parts.get("bm")
    if not is_new_glora(parts, weight):
        a1, a2, b1, b2 = a2, a1, b2, b1
    _check(a1[1] == a2[0] and a1[0] == a2[1] == weight[1] and b1[0] > 0 and a2[0] > 0)
    columns = b2[1] * prod(core[2:]) if core is not None else b2[1]
    _check((b1[1], b2[0]) == (core[:2] if core is not None else (b2[0], b1[1])) and columns == matrix(weight)[1])
    return b1[0], columns


def is_new_glora(parts: Parts, weight: Shape) -> bool:
    """Whether the factors stand as LyCORIS multiplies them now (a1 a2, b1 b2); else as it did before (a2 a1, b2 b1)."""
    first, second = matrix(parts["a1"]), matrix(parts["b1"])
    return first[0] == weight[1] and second[0] == weight[0]


def _check(fits: bool) -> None:
    if not fits:
        raise Misshapen


LAYER_KINDS: tuple[LayerKind, ...] = (
    LayerKind("lora", lambda parts: "lora_up" in parts and "lora_down" in parts, _low_rank),
    LayerKind("loha", lambda parts: "hada_w1_a" in parts, _loha),
    LayerKind("lokr", lambda parts: any(name.startswith("lokr_") for name in parts), _lokr),
    LayerKind("ia3", lambda parts: "on_input" in parts and "weight" in parts, _ia3),
    LayerKind("full", lambda parts: "diff" in parts or "diff_b" in parts, _full),
    LayerKind("norm", lambda parts: "w_norm" in parts, _norm),
    LayerKind("peft_oft", lambda parts: "oft_R" in parts, _peft_oft),
    LayerKind("older_peft_oft", lambda parts: "oft_r" in parts, _older_peft_oft),
    LayerKind("peft_boft", lambda parts: "boft_R" in parts, _peft_boft),
    LayerKind("peft_ia3", lambda parts: "ia3_l" in parts, _peft_ia3),
    LayerKind("boft", lambda parts: len(parts.get("oft_blocks", ())) == 4, _butterfly),
    LayerKind("oft", lambda parts: "oft_blocks" in parts or "oft_diag" in parts, _rotation),
    LayerKind("glora", lambda parts: {"a1", "a2", "b1", "b2"} <= parts.keys(), _glora),
)
