"""Rows that are the same to the bit: cells of a plot that differ only in what comes later ask the network alike."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from backend.worker.adapters.hypernetwork import HypernetworkUse
from backend.worker.adapters.lora_branches import Branches
from backend.worker.guidance.row import Row


def firsts(rows: Sequence[tuple[str, Row]]) -> list[int]:
    """For each row, the position of the first of its plot that is equal to it; its own where none is.

    `rows`: with the plot of each, "" for none: then nothing is compared. All share `Row.key`.
    """
    found = list(range(len(rows)))
    alike: dict[Hashable, list[int]] = {}
    for number, (plot, row) in enumerate(rows):
        if plot and row.group is None and not row.watch:
            alike.setdefault((plot, *_structure(row)), []).append(number)
    several = [numbers for numbers in alike.values() if len(numbers) > 1]
    sums = _sums([rows[number][1].x for numbers in several for number in numbers]) if several else []
    for numbers in several:
        known: dict[int, int] = {}
        for number in numbers:
            first = known.setdefault(sums.pop(0), number)
            if first != number and _is_equal(rows[first][1], rows[number][1]):
                found[number] = first
    return found


def _structure(row: Row) -> tuple[Hashable, ...]:
    """All but the tensors that each picture has of its own."""
    at = row.parametrisation.scalings(row.sigma)
    uses = tuple((id(use.adapter), use.strength, tuple(map(id, use.data))) for use in row.uses)
    return row.role, row.sigma, at, uses, tuple(map(_of, row.branches)), id(row.channels)


def _of(branch: Branches | HypernetworkUse) -> Hashable:
    if isinstance(branch, HypernetworkUse):
        return id(branch.network), branch.strength
    return id(branch) if branch.key is None else branch.key, branch.strength


def _sums(latents: Sequence[Tensor]) -> list[int]:
    """A number for each latent (C, h, w), by one look at the device; equal latents have equal ones."""
    bits = torch.stack(list(latents)).flatten(1).view(torch.int32).to(torch.int64)
    places = torch.arange(1, bits.shape[1] + 1, device=bits.device)
    return (bits * places).sum(1).tolist()


def _is_equal(one: Row, other: Row) -> bool:
    """Whether the tensors are the same to the bit."""
    pairs = [(one.x, other.x), (one.encoded.tokens, other.encoded.tokens), (one.encoded.pooled, other.encoded.pooled)]
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)
