"""Low-rank changes as branches beside the layers of a network, each row of a call with its own and its own strengths.

What is computed for a row never depends on the rows beside it: its factors are padded to one of a few ranks, and a
product of matrices runs over all rows of the call, with zeros where a row has nothing of that rank. So at one row
count a row's bits are the same whoever shares its call, and a row without branches keeps those of the bare network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.prompt.block_weights import Blocks, weight_of
from backend.worker.adapters.network_file import FittedLayer, LowRank

SMALLEST_RANK = 4


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """A network's layers in one component of a model by path, and how strongly a row uses them.

    Only the first `ranks` ranks count where that is not 0, and `blocks` weigh single blocks.
    """

    layers: Mapping[str, FittedLayer]
    strength: float
    ranks: int = 0
    blocks: Blocks = ()

    def weight(self, path: str) -> float:
        """The strength in one layer."""
        return self.strength * weight_of(self.blocks, self.layers[path].block)


@dataclass(frozen=True, slots=True, eq=False)
class _Factors:
    """All branches of one row at one layer as one, at the strength that they are multiplied with."""

    down: Tensor                # (rank, in) or (rank, in, h, w)
    up: Tensor                  # (out, rank)
    strength: float

    @property
    def rank(self) -> int:
        """The rank that it is padded to: a power of two."""
        return max(SMALLEST_RANK, 1 << (self.up.shape[1] - 1).bit_length())

    def padded(self) -> tuple[Tensor, Tensor]:
        missing = self.rank - self.up.shape[1]
        if not missing:
            return self.down, self.up
        behind = (0, 0) * (self.down.dim() - 1) + (0, missing)
        return functional.pad(self.down, behind), functional.pad(self.up, (0, missing))


@contextmanager
def attached(rows: Sequence[Sequence[object]]) -> Iterator[None]:
    """For one call: row i of the batch uses the branches in `rows[i]`; a single row stands for all of a batch.

    Nothing stays.
    """
    changed = _by_module(rows)
    groups = [_Group(module, rank, _of_rank(factors, rank))
              for module, factors in changed.items() for rank in sorted({each.rank for each in factors if each})]
    handles = [group.module.register_forward_hook(_hook(group, strengths))
               for group, strengths in zip(groups, _strengths(groups, len(rows)), strict=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """The rows that have branches of one rank beside one module; None for the others."""

    module: nn.Module
    rank: int
    rows: Sequence[_Factors | None]


def _of_rank(factors: Sequence[_Factors | None], rank: int) -> list[_Factors | None]:
    return [each if each and each.rank == rank else None for each in factors]


def _strengths(groups: Sequence[_Group], rows: int) -> Sequence[Tensor]:
    """(B, 1, 1) float32 for each group, in one piece because every transfer to a card takes its time."""
    if not groups:
        return ()
    numbers = torch.tensor([row.strength if row else 0.0 for group in groups for row in group.rows])
    device = groups[0].module.weight.device
    return numbers.to(device).view(len(groups), rows, 1, 1).unbind(0)


def _by_module(rows: Sequence[Sequence[object]]) -> dict[nn.Module, list[_Factors | None]]:
    """For each module that anybody changes, what each row does there. Rows with the same uses share their factors."""
    known = {id(row): _factors(row) for row in rows}
    made: dict[nn.Module, list[_Factors | None]] = {}
    for number, row in enumerate(rows):
        for module, factors in known[id(row)].items():
            made.setdefault(module, [None] * len(rows))[number] = factors
    return made


def _factors(row: Sequence[object]) -> dict[nn.Module, _Factors]:
    found: dict[nn.Module, list[tuple[LowRank, float]]] = {}
    for use in (each for each in row if isinstance(each, Branches)):
        for path, layer in use.layers.items():
            if layer.branch and (strength := use.weight(path) * layer.branch.scale):
                found.setdefault(layer.module, []).append((_cut(layer.branch, use.ranks), strength))
    return {module: _together(branches) for module, branches in found.items()}


def _cut(branch: LowRank, ranks: int) -> LowRank:
    return LowRank(branch.down[:ranks], branch.up[:, :ranks], branch.scale) if ranks else branch


def _together(branches: Sequence[tuple[LowRank, float]]) -> _Factors:
    if len(branches) == 1:
        (branch, strength), = branches
        return _Factors(branch.down, branch.up, strength)
    downs = torch.cat([branch.down for branch, _ in branches])
    return _Factors(downs, torch.cat([branch.up * strength for branch, strength in branches], dim=1), 1.0)


def _hook(group: _Group, strengths: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """Adds to what a module gives for a batch what the branches of its rows give."""

    def added(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        x = given[0]
        rows = group.rows if len(group.rows) > 1 else [group.rows[0]] * len(x)
        if isinstance(module, nn.Conv2d) and (max(module.kernel_size) > 1 or max(module.stride) > 1):
            return _convolved(module, x, output, rows)
        return _multiplied(x, output, rows, strengths)

    return added


def _multiplied(x: Tensor, output: Tensor, rows: Sequence[_Factors | None], strengths: Tensor) -> Tensor:
    """`output` with the branches of one rank; a convolution without a kernel multiplies along its channels."""
    down, up = _stacked(rows, x.dtype)                                              # (B, rank, in), (B, out, rank)
    if x.dim() == 4:
        inner = torch.bmm(down, x.flatten(2))                                       # (B, rank, cells)
        added = torch.bmm(up, (inner * strengths).to(x.dtype)).view(output.shape)
    else:
        inner = torch.bmm(x.reshape(len(x), -1, x.shape[-1]), down.mT)              # (B, positions, rank)
        added = torch.bmm((inner * strengths).to(x.dtype), up.mT).view(output.shape)
    if all(rows):
        return output + added
    return torch.where((strengths != 0).view(-1, *[1] * (x.dim() - 1)), output + added, output)


def _stacked(rows: Sequence[_Factors | None], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The padded factors of all rows; zeros for a row without."""
    some = next(row for row in rows if row)
    if all(row is some for row in rows):
        return tuple(each.flatten(1).to(dtype).expand(len(rows), -1, -1) for each in some.padded())
    empty = tuple(torch.zeros_like(each.flatten(1), dtype=dtype) for each in some.padded())
    both = [tuple(each.flatten(1).to(dtype) for each in row.padded()) if row else empty for row in rows]
    return torch.stack([down for down, _ in both]), torch.stack([up for _, up in both])


def _convolved(module: nn.Conv2d, x: Tensor, output: Tensor, rows: Sequence[_Factors | None]) -> Tensor:
    padding = module.padding
    if module.padding_mode != "zeros":
        x = functional.pad(x, module._reversed_padding_repeated_twice, mode=module.padding_mode)
        padding = (0, 0)
    made = []
    for number, row in enumerate(rows):
        own = output[number : number + 1]
        if row:
            inner = functional.conv2d(x[number : number + 1], row.down.to(x.dtype), None, module.stride, padding,
                                      module.dilation)
            own = own + functional.conv2d(inner * row.strength, row.up.to(x.dtype)[..., None, None])
        made.append(own)
    return torch.cat(made)
