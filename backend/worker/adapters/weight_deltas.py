"""What each kind of layer makes of a module's weights. Formulas are LyCORIS' and PEFT's, under the names of
`catalog/network_kinds`.

Everything is computed in float32. `weight` (out, in, kernel...) is what the module has at that moment: where several
networks change one module each starts from what the one before it has made, as in AUTOMATIC1111.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.catalog.network_kinds import MAGNITUDES, ia3_side, is_new_glora, side_of

Parts = Mapping[str, Tensor]
"""The tensors of one layer by part, float32, on the module's device."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is added at strength 1: to the weight, in its shape or another of as many numbers, and to the bias.

    `bias_factors`: to the bias is added itself times these.
    """

    weight: Tensor | None
    bias: Tensor | None = None
    bias_factors: Tensor | None = None


def change(kind: str, parts: Parts, weight: Tensor, ranks: int = 0) -> Change:
    """The change that a layer of this kind makes; of the first `ranks` ranks only where that is not 0."""
    made = _RULES[kind](parts, weight, ranks)
    if made.weight is None or MAGNITUDES.isdisjoint(parts):
        return made
    return replace(made, weight=_decomposed(weight, made.weight.reshape(weight.shape), parts))


def scale_of(parts: Parts, rank: int) -> float:
    """How strongly a low-rank change counts: `scale` where the file has it, else alpha / rank, else 1."""
    if "scale" in parts:
        return float(parts["scale"])
    return float(parts["alpha"]) / rank if "alpha" in parts else 1.0


def down_kernel(parts: Parts) -> Tensor:
    """What a LoRA puts in front, (rank, in, kernel...): a Tucker core and what is before it are one convolution."""
    down, mid = parts["lora_down"], parts.get("lora_mid")
    return down if mid is None else torch.einsum("mnkl,nj->mjkl", mid, down.flatten(1))


def _lora(parts: Parts, weight: Tensor, ranks: int) -> Change:
    down, up = down_kernel(parts), parts["lora_up"].flatten(1)
    scale = scale_of(parts, parts["lora_down"].shape[0])
    if ranks:
        down, up = down[:ranks], up[:, :ranks]
    return Change(scale * (up @ down.flatten(1)))


def _loha(parts: Parts, weight: Tensor, ranks: int) -> Change:
    factors = [_factor(parts[f"hada_w{i}_a"], parts[f"hada_w{i}_b"], parts.get(f"hada_t{i}")) for i in (1, 2)]
    return Change(scale_of(parts, parts["hada_w1_b"].shape[0]) * factors[0] * factors[1])


def _factor(a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    return a @ b.flatten(1) if core is None else torch.einsum("ijkl,ip,jr->prkl", core, a, b)


def _lokr(parts: Parts, weight: Tensor, ranks: int) -> Change:
    first, second = parts.get("lokr_w1"), parts.get("lokr_w2")
    rank = 0
    if first is None:
        rank = parts["lokr_w1_b"].shape[0]
        first = parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    if second is None:
        rank = parts["lokr_w2_b"].shape[0]
        second = _factor(parts["lokr_w2_a"], parts["lokr_w2_b"], parts.get("lokr_t2"))
    scale = scale_of(parts, rank) if rank else 1.0
    kernel = weight.shape[2:]
    second = second.reshape(second.shape[0], -1, *kernel).contiguous()
    first = first.reshape(*first.shape[:2], *[1] * len(kernel)).contiguous()
    return Change(scale * torch.kron(first, second))


def _ia3(parts: Parts, weight: Tensor, ranks: int) -> Change:
    """Of the side that `on_input` says, or of the other one if only that has as many numbers."""
    shape, factors = [1] * weight.dim(), parts["weight"].flatten()
    side = 1 if bool(parts["on_input"]) else 0
    shape[side if len(factors) == weight.shape[side] else 1 - side] = -1
    return Change(weight * factors.reshape(shape))


def _full(parts: Parts, weight: Tensor, ranks: int) -> Change:
    return Change(parts.get("diff"), parts.get("diff_b"))


def _norm(parts: Parts, weight: Tensor, ranks: int) -> Change:
    return Change(parts["w_norm"], parts.get("b_norm"))


def _oft(parts: Parts, weight: Tensor, ranks: int) -> Change:
    if "oft_diag" in parts:
        turned = parts["oft_diag"]
    else:
        turned = _rotations(parts["oft_blocks"], parts, weight)
    rows = weight.reshape(*turned.shape[:2], -1)
    return _turned(torch.einsum("knm,knp->kmp", turned, rows), parts, weight)


def _boft(parts: Parts, weight: Tensor, ranks: int) -> Change:
    """A butterfly: each stage turns other groups of rows."""
    turns = _rotations(parts["oft_blocks"], parts, weight)
    stages, count, side, _ = turns.shape
    made = weight.flatten(1)
    for stage in range(stages):
        gap = 2**stage * side // 2
        made = made.unflatten(0, (-1, 2, gap)).transpose(1, 2).flatten(0, 2)
        made = torch.einsum("bij,bjp->bip", turns[stage], made.reshape(count, side, -1)).flatten(0, 1)
        made = made.unflatten(0, (-1, gap, 2)).transpose(1, 2).flatten(0, 2)
    return _turned(made, parts, weight)


def _rotations(blocks: Tensor, parts: Parts, weight: Tensor) -> Tensor:
    """Orthogonal matrices from any: Cayley's transform of what is skew in each. `alpha` bounds how far they turn."""
    skew = blocks - blocks.mT
    most = float(parts["alpha"]) * weight.shape[0] if "alpha" in parts else 0.0
    if most > 0:
        norm = skew.norm().clamp_min(1e-30) + 1e-8
        skew = skew * torch.clamp(most / norm, max=1.0)
    return _cayley(-skew)


def _cayley(skew: Tensor) -> Tensor:
    """Orthogonal matrices (..., n, n) from skew ones."""
    one = torch.eye(skew.shape[-1], device=skew.device)
    return (one - skew) @ torch.linalg.inv(one + skew)


def _cayley_neumann(skew: Tensor, terms: int) -> Tensor:
    """PEFT's series for the inverse of the transform, which is cut off: 1 + 2 Q + 2 Q^2 + ... + Q^n."""
    one = torch.eye(skew.shape[-1], device=skew.device).expand_as(skew)
    last, power, made = max(terms - 1, 3), one, one
    for degree in range(1, last + 1 if terms > 2 else terms):
        power = power @ skew
        made = made + power * (1 if degree == last else 2)
    return made


def _peft_oft(parts: Parts, weight: Tensor, ranks: int) -> Change:
    numbers = parts["oft_R"]
    side = side_of(numbers.shape[1])
    above = torch.zeros(len(numbers), side, side, device=numbers.device)
    above[:, *torch.triu_indices(side, side, 1, device=numbers.device)] = numbers
    skew = above - above.mT
    if "cayley_bound" in parts:
        most = float(parts["cayley_bound"]) / len(numbers) ** 0.5
        skew = skew * torch.clamp(most / skew.norm(dim=(1, 2), keepdim=True).clamp_min(1e-30), max=1.0)
    terms = int(parts["cayley_terms"])
    turned = _columns_turned(weight.flatten(1), _cayley_neumann(skew, terms) if terms else _cayley(skew))
    return Change(turned.reshape(weight.shape) - weight)


def _columns_turned(weight: Tensor, turns: Tensor) -> Tensor:
    """Each block of the columns of a matrix, by its own of `turns` (blocks, side, side) or by the one that there is."""
    blocks = weight.unflatten(1, (-1, turns.shape[-1]))
    return torch.einsum("onj,nij->oni", blocks, turns.expand(blocks.shape[1], -1, -1)).flatten(1)


def _peft_boft(parts: Parts, weight: Tensor, ranks: int) -> Change:
    """A butterfly of columns: each stage brings other halves of blocks together."""
    blocks = parts["boft_R"]
    made, half = weight.flatten(1), blocks.shape[-1] // 2
    for stage, turns in enumerate(_cayley((blocks - blocks.mT) / 2)):
        apart = 2**stage
        made = made.unflatten(1, (-1, 2, apart, half)).transpose(2, 3).flatten(1) if stage else made
        made = _columns_turned(made, turns)
        made = made.unflatten(1, (-1, apart, 2, half)).transpose(2, 3).flatten(1) if stage else made
    made = made * parts["boft_s"].reshape(-1, 1)
    return Change(made.reshape(weight.shape) - weight)


def _peft_ia3(parts: Parts, weight: Tensor, ranks: int) -> Change:
    """Factors of outputs, with the bias, or of inputs."""
    shape, factors = [1] * weight.dim(), parts["ia3_l"].flatten() - 1
    side = ia3_side(tuple(parts["ia3_l"].shape), tuple(weight.shape))
    shape[side] = -1
    return Change(weight * factors.reshape(shape), bias_factors=None if side else factors)


def _turned(turned: Tensor, parts: Parts, weight: Tensor) -> Change:
    made = turned.reshape(weight.shape)
    if "rescale" in parts:
        made = made * parts["rescale"].reshape(-1, *[1] * (weight.dim() - 1))
    return Change(made - weight)


def _glora(parts: Parts, weight: Tensor, ranks: int) -> Change:
    a1, a2, b1, b2 = (parts[name] for name in ("a1", "a2", "b1", "b2"))
    if not is_new_glora({name: tuple(tensor.shape) for name, tensor in parts.items()}, tuple(weight.shape)):
        a1, a2, b1, b2 = a2, a1, b2, b1
    if "bm" in parts:
        own = torch.einsum("mn...,im,nj->ij...", parts["bm"], b1.flatten(1), b2.flatten(1)).reshape(weight.shape)
    else:
        own = (b1.flatten(1) @ b2.flatten(1)).reshape(weight.shape)
    of_weight = torch.einsum("oi...,ij->oj...", weight, a1.flatten(1) @ a2.flatten(1))
    return Change(scale_of(parts, a2.shape[0]) * (own + of_weight))


def _decomposed(weight: Tensor, change: Tensor, parts: Parts) -> Tensor:
    """DoRA: the changed weight with the magnitudes that were learnt, of its rows or of its columns."""
    made = weight + change
    magnitude = parts["magnitude"] if "magnitude" in parts else parts["dora_scale"]
    stands = magnitude.dim() < 2 or magnitude.shape[0] == weight.shape[0] or magnitude.numel() != weight.shape[1]
    by_row = "magnitude" in parts or magnitude.numel() == weight.shape[0] and stands
    axes = range(1, weight.dim()) if by_row else (0, *range(2, weight.dim()))
    norm = made.pow(2).sum(dim=tuple(axes), keepdim=True).sqrt()
    return made * (magnitude.reshape(norm.shape) / norm) - weight


_RULES: Mapping[str, Callable[[Parts, Tensor, int], Change]] = {
    "lora": _lora, "loha": _loha, "lokr": _lokr, "ia3": _ia3, "full": _full, "norm": _norm, "oft": _oft, "boft": _boft,
    "glora": _glora, "peft_oft": _peft_oft, "peft_boft": _peft_boft, "peft_ia3": _peft_ia3,
}
