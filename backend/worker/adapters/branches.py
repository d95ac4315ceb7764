"""Low-rank changes as branches beside the layers of a network, each row of a call with its own and its own strengths.

What is computed for a row never depends on the rows beside it: its factors are padded to one of a few ranks, and a
product of matrices runs over all rows of the call, with zeros where a row has nothing of that rank. So at one row
count a row's bits are the same whoever shares its call, and a row without branches keeps those of the bare network.
Strengths are a part of the factors; what was laid side by side for one call is kept for the next ones.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.prompt.block_weights import Blocks, weight_of
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.models.result_cache import ResultCache

SMALLEST_RANK = 4
Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """A network's layers in one component of a model by path, and how strongly a row uses them.

    Only the first `ranks` ranks count where that is not 0, and `blocks` weigh single blocks. Those of equal `key` do
    the same; `kept` holds what is made of them, nothing where there is none.
    """

    layers: Mapping[str, FittedLayer]
    strength: float
    ranks: int = 0
    blocks: Blocks = ()
    key: Hashable = None
    kept: ResultCache[Stacks] | None = None

    def weight(self, path: str) -> float:
        """The strength in one layer."""
        return self.strength * weight_of(self.blocks, self.layers[path].block)


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The factors of one rank at one layer for all rows of a call, or for one row that stands for all of them.

    `down` (B, rank, in) or (B, rank, in, h, w), `up` (B, out, rank) times the strengths. Where not all rows have any,
    `there` says which, the others having zeros, and `rows` says it as (B, 1, 1) on the device.
    """

    down: Tensor
    up: Tensor
    there: tuple[bool, ...] = ()
    rows: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """By the path of a layer, its stacks. A result of `Memory`'s."""

    by_path: Mapping[str, Sequence[Stack]]

    @property
    def nbytes(self) -> int:
        """Memory that they take at most: a single row's may be a network's own."""
        stacks = (stack for found in self.by_path.values() for stack in found)
        return sum(stack.down.nbytes + stack.up.nbytes for stack in stacks)


@contextmanager
def attached(rows: Sequence[Sequence[object]]) -> Iterator[None]:
    """For one call: row i of the batch uses the branches in `rows[i]`; a single row stands for all of a batch.

    Nothing stays.
    """
    uses = [tuple(each for each in row if isinstance(each, Branches)) for row in rows]
    if len({_keys(row) for row in uses}) == 1:
        uses = uses[:1]
    modules = {path: layer.module for row in {id(row): row for row in uses}.values() for use in row
               for path, layer in use.layers.items()}
    handles = [modules[path].register_forward_hook(_hook(stack))
               for path, stacks in (_stacks(uses).by_path if modules else {}).items() for stack in stacks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stacks(rows: Sequence[tuple[Branches, ...]]) -> Stacks:
    """Those that were made for an earlier call, if they are kept."""
    kept = next(use.kept for row in rows for use in row)
    if kept is None:
        return _stacked(rows)
    return kept.get(tuple(_keys(row) for row in rows), lambda: _stacked(rows))


def _keys(row: Sequence[Branches]) -> tuple[Hashable, ...]:
    return tuple(id(use) if use.key is None else use.key for use in row)


def _stacked(rows: Sequence[tuple[Branches, ...]]) -> Stacks:
    known = {id(row): _factors(row) for row in rows}
    each = [known[id(row)] for row in rows]
    paths = dict.fromkeys(path for row in each for path in row)
    return Stacks({path: _by_rank([row.get(path) for row in each]) for path in paths})


@dataclass(frozen=True, slots=True, eq=False)
class _Factors:
    """All branches of one row at one layer as one, padded: `down` (rank, in[, h, w]), `up` (out, rank)."""

    down: Tensor
    up: Tensor


def _factors(row: Sequence[Branches]) -> dict[str, _Factors]:
    """By path, in the number format in which the layer computes."""
    found = [(path, layer, use) for use in row for path, layer in use.layers.items() if layer.branch]
    scales = [use.weight(path) * layer.branch.scale for path, layer, use in found]
    there = [each for each, scale in zip(found, scales, strict=True) if scale]
    if not there:
        return {}
    cut = [_cut(layer.branch, use.ranks) for _, layer, use in there]
    kinds = [layer.module.weight.dtype for _, layer, _ in there]
    ups = torch._foreach_mul([branch.up.to(kind) for branch, kind in zip(cut, kinds, strict=True)],
                             [scale for scale in scales if scale])
    branches: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for (path, _, _), branch, up, kind in zip(there, cut, ups, kinds, strict=True):
        branches.setdefault(path, []).append((branch.down.to(kind), up))
    return {path: _padded(each) for path, each in branches.items()}


def _cut(branch: LowRank, ranks: int) -> LowRank:
    return LowRank(branch.down[:ranks], branch.up[:, :ranks], branch.scale) if ranks else branch


def _padded(branches: Sequence[tuple[Tensor, Tensor]]) -> _Factors:
    """To a rank that is a power of two."""
    (down, up), *others = branches
    if others:
        down, up = torch.cat([each for each, _ in branches]), torch.cat([each for _, each in branches], dim=1)
    rank = max(SMALLEST_RANK, 1 << (up.shape[1] - 1).bit_length())
    if missing := rank - up.shape[1]:
        down = functional.pad(down, (0, 0) * (down.dim() - 1) + (0, missing))
        up = functional.pad(up, (0, missing))
    return _Factors(down.contiguous(), up.contiguous())     # another layout in memory can be rounded in another way


def _by_rank(rows: Sequence[_Factors | None]) -> list[Stack]:
    ranks = sorted({len(row.down) for row in rows if row})
    return [_side_by_side([row if row and len(row.down) == rank else None for row in rows]) for rank in ranks]


def _side_by_side(rows: Sequence[_Factors | None]) -> Stack:
    some = next(row for row in rows if row)
    if len(rows) == 1:
        return Stack(some.down[None], some.up[None])
    empty = _Factors(torch.zeros_like(some.down), torch.zeros_like(some.up))
    each = [row or empty for row in rows]
    down, up = torch.stack([row.down for row in each]), torch.stack([row.up for row in each])
    if all(rows):
        return Stack(down, up)
    there = tuple(row is not None for row in rows)
    return Stack(down, up, there, torch.tensor(there, device=up.device).view(-1, 1, 1))


def _hook(stack: Stack) -> Hook:
    """Adds to what a module gives for a batch what the branches of its rows give."""

    def added(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = given[0]
        if isinstance(module, nn.Conv2d) and (max(module.kernel_size) > 1 or max(module.stride) > 1):
            return _convolved(module, x, output, stack)
        if x.dim() < 4:
            return _multiplied(x, output, stack)
        return _multiplied(x.movedim(1, -1), output.movedim(1, -1), stack).movedim(-1, 1)   # along its channels

    return added


def _multiplied(x: Tensor, output: Tensor, stack: Stack) -> Tensor:
    """x (B, ..., in), output (B, ..., out), which nobody but the layer has and may be changed."""
    rows = len(x)
    down, up = (each.expand(rows, -1, -1).contiguous().mT for each in (stack.down.flatten(2), stack.up))
    inner = torch.bmm(x.reshape(rows, -1, x.shape[-1]), down)                       # (B, positions, rank)
    flat = output.reshape(rows, -1, output.shape[-1])
    if stack.rows is None:
        return flat.baddbmm_(inner, up).view(output.shape)
    return torch.where(stack.rows, torch.baddbmm(flat, inner, up), flat).view(output.shape)


def _convolved(module: nn.Conv2d, x: Tensor, output: Tensor, stack: Stack) -> Tensor:
    """Row by row, so that none depends on its neighbours."""
    padding = module.padding
    if module.padding_mode != "zeros":
        x = functional.pad(x, module._reversed_padding_repeated_twice, mode=module.padding_mode)
        padding = (0, 0)
    there = stack.there or (True,) * len(x)
    downs, ups = stack.down.expand(len(x), *stack.down.shape[1:]), stack.up.expand(len(x), -1, -1)
    made = []
    for number, has in enumerate(there):
        own = output[number : number + 1]
        if has:
            inner = functional.conv2d(x[number : number + 1], downs[number], None, module.stride, padding,
                                      module.dilation)
            own = own + functional.conv2d(inner, ups[number][..., None, None])
        made.append(own)
    return torch.cat(made)
