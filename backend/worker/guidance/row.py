"""What one evaluation of a network is made of, and what it answers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from backend.sampling.parametrisation import Parametrisation
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.hypernetwork import HypernetworkUse
from backend.worker.adapters.lora_branches import Branches
from backend.worker.models.encoded_text import Encoded, Role
from backend.worker.models.model_base import Model


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Rows that name one group need each other in the network: they stand side by side and are never parted."""

    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One evaluation of a network.

    `channels` (K, h, w) is what inpainting and edit networks are shown beside the latent. `tiling`: opposite edges are
    neighbours. `watch`: what adapters see inside the network is wanted, too. `branches` are low-rank changes beside the
    network's layers: each row of a call may have its own. `steady`: networks of adapters run for all rows of its call,
    so that no rounding hangs on how many use them.
    """

    x: Tensor                           # (C, h, w) float32: the latent plus `sigma` times unit noise
    sigma: float
    encoded: Encoded
    model: Model
    parametrisation: Parametrisation    # the model's own, or what a sampler makes of it
    role: Role = "cond"
    uses: tuple[Use, ...] = ()
    branches: tuple[Branches | HypernetworkUse, ...] = ()
    channels: Tensor | None = None
    tiling: bool = False
    watch: bool = False
    steady: bool = False
    group: Group | None = None

    @property
    def key(self) -> tuple[Hashable, ...]:
        """Rows with one key fit into one call: the loaded model, all shapes, and the structure of what is used."""
        shown = 0 if self.channels is None else len(self.channels)
        uses = tuple(use.structure for use in self.uses if use.by_all)
        grouped = self.group.size if self.group else 0
        shapes = tuple(self.x.shape), self.encoded.kind, shown
        return self.model.identity, shapes, self.tiling, uses, self.watch, grouped

    @property
    def words_key(self) -> Hashable:
        """Rows of one key and model are alike in what attentions make of their words; None where nobody can tell."""
        changes = tuple(each.words_key for each in (*self.uses, *self.branches))
        return None if None in changes else (self.encoded.identity, changes)

    @property
    def cost_key(self) -> tuple[Hashable, ...]:
        """Rows with one key cost the same: they share calls, and use the same."""
        return *self.key, *(use.structure for use in self.uses if not use.by_all)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the network says to a row: the denoised latent (C, h, w), float32, and what was watched."""

    denoised: Tensor
    watched: Mapping[str, Tensor] = field(default_factory=dict)


def whole(rows: Sequence[Row], most: int) -> int:
    """How many of the first rows to take so that nothing is cut: at most `most`, but all of the first group."""
    taken = 0
    for length in units(rows):
        if taken and taken + length > most:
            break
        taken += length
    return taken


def units(rows: Sequence[Row]) -> list[int]:
    """The lengths of what may not be cut, in order: a group, or a row on its own."""
    lengths: list[int] = []
    before: Group | None = None
    for row in rows:
        if row.group is not None and row.group is before:
            lengths[-1] += 1
        else:
            lengths.append(1)
        before = row.group
    return lengths
