"""Low-rank changes as branches beside the layers of a network, each row of a call with its own and its own strengths.

What is computed for a row never depends on the rows beside it: its factors are padded to one of a few ranks, and a
product of matrices runs over all rows of the call, with zeros where a row has nothing of that rank. So at one row
count a row's bits are the same whoever shares its call, and a row without branches keeps those of the bare network.
What was laid side by side for one call is kept for the next ones; strengths are numbers beside it.
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

    Only the first `ranks` ranks count where that is not 0, and `blocks` weigh single blocks. Those of equal `key` are
    the same but for their strength; `kept` holds what is made of them, nothing where there is none.
    """

    layers: Mapping[str, FittedLayer]
    strength: float
    ranks: int = 0
    blocks: Blocks = ()
    key: Hashable = None
    kept: ResultCache[Stacks | Strengths] | None = None

    def weight(self, path: str) -> float:
        """The strength in one layer."""
        return self.strength * weight_of(self.blocks, self.layers[path].block)


Part = tuple[int, float, int]
"""Of a row's factors at a layer: which of its uses it is of, what the strength of that is multiplied with, its rank."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The factors of one rank at one layer for all rows of a call, or for one row that stands for all of them.

    `down` (B, rank, in) or (B, rank, in, h, w), `up` (B, out, rank). `parts`: by row what they are made of. Where not
    all rows have any, the others have zeros, and `rows` (B, 1, 1) says which on the device.
    """

    down: Tensor
    up: Tensor
    parts: tuple[tuple[Part, ...], ...]
    rows: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """By the path of a layer, its stacks. A result of `Memory`'s."""

    by_path: Mapping[str, Sequence[Stack]]

    @property
    def nbytes(self) -> int:
        """Memory that they take at most: a single row's may be a network's own."""
        return sum(stack.down.nbytes + stack.up.nbytes for stack in self)

    def __iter__(self) -> Iterator[Stack]:
        return (stack for found in self.by_path.values() for stack in found)


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """(B, 1, rank), float32, for each of some stacks: what goes between its factors. A result of `Memory`'s."""

    each: Sequence[Tensor]

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(tensor.nbytes for tensor in self.each)


@contextmanager
def attached(rows: Sequence[Sequence[object]]) -> Iterator[None]:
    """For one call: row i of the batch uses the branches in `rows[i]`; a single row stands for all of a batch.

    Nothing stays.
    """
    uses = [tuple(each for each in row if isinstance(each, Branches)) for row in rows]
    if len({_with_strengths(row) for row in uses}) == 1:
        uses = uses[:1]
    modules = {path: layer.module for row in {id(row): row for row in uses}.values() for use in row
               for path, layer in use.layers.items()}
    handles = [modules[path].register_forward_hook(hook) for path, hook in (_hooks(uses) if modules else ())]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(rows: Sequence[tuple[Branches, ...]]) -> list[tuple[str, Hook]]:
    """By path; what was made for an earlier call is used where it is kept."""
    kept = next(use.kept for row in rows for use in row)
    if kept is None:
        stacks = _stacked(rows)
        strengths = _strengths(rows, stacks)
    else:
        stacks = kept.get(tuple(_keys(row) for row in rows), lambda: _stacked(rows))
        strengths = kept.get(tuple(_with_strengths(row) for row in rows), lambda: _strengths(rows, stacks))
    paths = [path for path, found in stacks.by_path.items() for _ in found]
    return [(path, _hook(stack, strength)) for path, stack, strength in zip(paths, stacks, strengths.each, strict=True)]


def _keys(row: Sequence[Branches]) -> tuple[Hashable, ...]:
    return tuple(id(use) if use.key is None else use.key for use in row)


def _with_strengths(row: Sequence[Branches]) -> tuple[Hashable, ...]:
    return _keys(row), tuple(use.strength for use in row)


def _strengths(rows: Sequence[tuple[Branches, ...]], stacks: Stacks) -> Strengths:
    """In one piece, because every transfer to a card takes its time."""
    numbers: list[float] = []
    ranks: list[int] = []                   # so many of each number
    for stack in stacks:
        for row, parts in zip(rows, stack.parts, strict=True):
            numbers += [row[use].strength * factor for use, factor, _ in parts] + [0.0]
            ranks += [rank for *_, rank in parts] + [stack.down.shape[1] - sum(rank for *_, rank in parts)]
    if not numbers:
        return Strengths(())
    spread = torch.tensor(numbers).repeat_interleave(torch.tensor(ranks)).to(next(iter(stacks)).down.device)
    pieces = spread.split([len(rows) * stack.down.shape[1] for stack in stacks])
    return Strengths([piece.view(len(rows), 1, -1) for piece in pieces])


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
    parts: tuple[Part, ...]


def _factors(row: Sequence[Branches]) -> dict[str, _Factors]:
    """By path, in the number format in which the layer computes."""
    found: dict[str, list[tuple[LowRank, Part]]] = {}
    kinds: dict[str, torch.dtype] = {}
    for number, use in enumerate(row):
        for path, layer in use.layers.items():
            if layer.branch and (factor := weight_of(use.blocks, layer.block) * layer.branch.scale):
                branch = _cut(layer.branch, use.ranks)
                found.setdefault(path, []).append((branch, (number, factor, len(branch.down))))
                kinds[path] = layer.module.weight.dtype
    return {path: _padded(branches, kinds[path]) for path, branches in found.items()}


def _cut(branch: LowRank, ranks: int) -> LowRank:
    return LowRank(branch.down[:ranks], branch.up[:, :ranks], branch.scale) if ranks else branch


def _padded(branches: Sequence[tuple[LowRank, Part]], kind: torch.dtype) -> _Factors:
    """To a rank that is a power of two."""
    downs, ups = [branch.down.to(kind) for branch, _ in branches], [branch.up.to(kind) for branch, _ in branches]
    down, up = (downs[0], ups[0]) if len(branches) == 1 else (torch.cat(downs), torch.cat(ups, dim=1))
    rank = max(SMALLEST_RANK, 1 << (up.shape[1] - 1).bit_length())
    if missing := rank - up.shape[1]:
        down = functional.pad(down, (0, 0) * (down.dim() - 1) + (0, missing))
        up = functional.pad(up, (0, missing))
    # Another layout in memory can be rounded in another way.
    return _Factors(down.contiguous(), up.contiguous(), tuple(part for _, part in branches))


def _by_rank(rows: Sequence[_Factors | None]) -> list[Stack]:
    ranks = sorted({len(row.down) for row in rows if row})
    return [_side_by_side([row if row and len(row.down) == rank else None for row in rows]) for rank in ranks]


def _side_by_side(rows: Sequence[_Factors | None]) -> Stack:
    some = next(row for row in rows if row)
    parts = tuple(row.parts if row else () for row in rows)
    if len(rows) == 1:
        return Stack(some.down[None], some.up[None], parts)
    empty = _Factors(torch.zeros_like(some.down), torch.zeros_like(some.up), ())
    each = [row or empty for row in rows]
    down, up = torch.stack([row.down for row in each]), torch.stack([row.up for row in each])
    has = None if all(rows) else torch.tensor([bool(part) for part in parts], device=up.device).view(-1, 1, 1)
    return Stack(down, up, parts, has)


def _hook(stack: Stack, strengths: Tensor) -> Hook:
    """Adds to what a module gives for a batch what the branches of its rows give."""

    def added(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = given[0]
        if isinstance(module, nn.Conv2d) and (max(module.kernel_size) > 1 or max(module.stride) > 1):
            return _convolved(module, x, output, stack, strengths)
        if x.dim() < 4:
            return _multiplied(x, output, stack, strengths)
        along_channels = _multiplied(x.movedim(1, -1), output.movedim(1, -1), stack, strengths)
        return along_channels.movedim(-1, 1)

    return added


def _multiplied(x: Tensor, output: Tensor, stack: Stack, strengths: Tensor) -> Tensor:
    """x (B, ..., in), output (B, ..., out), which nobody but the layer has and may be changed."""
    rows = len(x)
    down, up = (each.expand(rows, -1, -1).contiguous().mT for each in (stack.down.flatten(2), stack.up))
    inner = torch.bmm(x.reshape(rows, -1, x.shape[-1]), down).mul_(strengths)       # (B, positions, rank)
    flat = output.reshape(rows, -1, output.shape[-1])
    if stack.rows is None:
        return flat.baddbmm_(inner, up).view(output.shape)
    return torch.where(stack.rows, torch.baddbmm(flat, inner, up), flat).view(output.shape)


def _convolved(module: nn.Conv2d, x: Tensor, output: Tensor, stack: Stack, strengths: Tensor) -> Tensor:
    """Row by row, so that none depends on its neighbours."""
    padding = module.padding
    if module.padding_mode != "zeros":
        x = functional.pad(x, module._reversed_padding_repeated_twice, mode=module.padding_mode)
        padding = (0, 0)
    made = []
    for number in range(len(x)):
        own, row = output[number : number + 1], number if len(stack.parts) > 1 else 0
        if stack.parts[row]:
            inner = functional.conv2d(x[number : number + 1], stack.down[row], None, module.stride, padding,
                                      module.dilation)
            inner = inner.mul_(strengths[row].view(1, -1, 1, 1))
            own = own + functional.conv2d(inner, stack.up[row][..., None, None])
        made.append(own)
    return torch.cat(made)
