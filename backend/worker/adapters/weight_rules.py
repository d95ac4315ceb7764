"""What each kind of layer makes of a module's weights. Formulas are LyCORIS', names as in `catalog/network_kinds`.

Everything is computed in float32. `weight` (out, in, kernel...) is what the module has at that moment: where several
networks change one module each starts from what the one before it has made, as in AUTOMATIC1111.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.catalog.network_kinds import MAGNITUDES, is_new_glora

Parts = Mapping[str, Tensor]
"""The tensors of one layer by part, float32, on the module's device."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is added at strength 1: to the weight, in its shape or another of as many numbers, and to the bias."""

    weight: Tensor | None
    bias: Tensor | None = None


def change(kind: str, parts: Parts, weight: Tensor, ranks: int = 0) -> Change:
    """The change that a layer of this kind makes; of the first `ranks` ranks only where that is not 0."""
    made = _RULES[kind](parts, weight, ranks)
    if made.weight is None or MAGNITUDES.isdisjoint(parts):
        return made
    return Change(_decomposed(weight, made.weight.reshape(weight.shape), parts), made.bias)


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
    one = torch.eye(blocks.shape[-1], device=blocks.device)
    return (one + skew) @ torch.linalg.inv(one - skew)


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
    "glora": _glora,
}
