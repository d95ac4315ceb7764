"""Low-rank changes as branches beside the layers of a network, each row of a call with its own and its own strengths.

What is computed for a row never depends on the rows beside it: its factors are padded to one of a few ranks, and a
product of matrices runs over all rows of the call, with zeros where a row has nothing of that rank. So at one row
count a row's bits are the same whoever shares its call, and a row without branches keeps those of the bare network.
What was laid side by side for one call is kept for the next ones; new strengths only scale the second factors anew.
Layers that see one input, such as those of an attention's queries, keys and values, multiply it in one product.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.prompt.block_weights import Blocks, weight_of
from backend.worker.adapters.attachment import NOTHING, Attachment, layout
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.models.device_transfer import on_device
from backend.worker.models.result_cache import ResultCache

SMALLEST_RANK = 4
SIZES_BYTES = 16 << 20      # for what is known of the sizes of rows
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
    kept: ResultCache[Stacks] | None = None

    @property
    def words_key(self) -> Hashable:
        """See `Use.words_key`."""
        return None if self.key is None else (self.key, self.strength)

    def weight(self, path: str) -> float:
        """The strength in one layer."""
        return self.strength * weight_of(self.blocks, self.layers[path].block)


Part = tuple[int, float, int]
"""Of a row's factors at a layer: which of its uses it is of, what the strength of that is multiplied with, its rank."""

TOGETHER = {"attn1": ("to_q", "to_k", "to_v"), "attn2": ("to_k", "to_v"), "self_attn": ("q_proj", "k_proj", "v_proj")}
"""Layers that see one input, by the name of what they are in: diffusers' attentions, and CLIP's."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One layer of a site. `place`: its part of the site's product. `parts`: by row what its factors are made of.

    `rows` (B, 1, 1) says on the device which rows have any, where not all do; the others have zeros.
    """

    path: str
    place: int
    parts: tuple[tuple[Part, ...], ...]
    rows: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """The first factors of one rank at layers that see one input: (B, in, places * rank), or (B, rank, in, h, w)."""

    down: Tensor
    rank: int
    members: tuple[Member, ...]


@dataclass(slots=True, eq=False)
class Stacks:
    """All factors of a call's rows, or of one row that stands for all of them. A result of `Memory`'s.

    `up`: in one piece the second factors of all members in their order, each (B, rank, out); `shapes` are these.
    """

    sites: Sequence[Site]
    up: Tensor
    shapes: Sequence[torch.Size]
    _scaled: _Scaled | None = None
    _structure: Hashable = None

    @property
    def nbytes(self) -> int:
        """Memory that they take at most, with the scaled ones."""
        return sum(site.down.nbytes for site in self.sites) + 2 * self.up.nbytes

    @property
    def members(self) -> list[tuple[Site, Member]]:
        return [(site, member) for site in self.sites for member in site.members]

    @property
    def structure(self) -> Hashable:
        """Which layers there are and how the factors lie: see `Attachment`."""
        if self._structure is None:
            members = tuple((site.rank, *((each.path, each.place, each.rows is None) for each in site.members))
                            for site in self.sites)
            self._structure = members, tuple(self.shapes), layout(self.read(self.up))
        return self._structure

    def read(self, up: Tensor) -> list[Tensor]:
        """All that a call reads, with the second factors of all members as one."""
        rows = (member.rows for _, member in self.members if member.rows is not None)
        return [up, *(site.down for site in self.sites), *rows]

    def scaled(self, rows: Sequence[Sequence[Branches]]) -> Tensor:
        """The second factors of all members times the strengths with which these rows use them."""
        if self._scaled is None:
            self._scaled = _Scaled.room_for(self)
        self._scaled.put(self, rows)
        return self._scaled.whole

    def by_member(self, up: Tensor) -> Sequence[Tensor]:
        """The factors that lie in `up`."""
        if self._scaled is not None and up is self._scaled.whole:
            return self._scaled.members
        return _in_shapes(up, self.shapes)

    def pieces(self) -> list[tuple[int, int]]:
        """Where in `up` the factors of each part begin and end, by member, row and part; behind them are zeros."""
        found: list[tuple[int, int]] = []
        start = 0
        for (_, member), (_, rank, out) in zip(self.members, self.shapes, strict=True):
            for parts in member.parts:
                at = start
                for _, _, own in parts:
                    found.append((at, at + own * out))
                    at += own * out
                start += rank * out
        return found


@dataclass(slots=True, eq=False)
class _Scaled:
    """Room for the second factors of a call times its strengths, written again where these are others.

    `members` and `parts` are views of `whole`.
    """

    whole: Tensor
    members: Sequence[Tensor]
    parts: Sequence[Tensor]
    strengths: Sequence[float] | None = None

    @classmethod
    def room_for(cls, stacks: Stacks) -> _Scaled:
        whole = torch.empty_like(stacks.up)
        return cls(whole, _in_shapes(whole, stacks.shapes), [whole[start:end] for start, end in stacks.pieces()])

    def put(self, stacks: Stacks, rows: Sequence[Sequence[Branches]]) -> None:
        """Nothing to do where the strengths are those of the call before."""
        strengths = [use.strength for row in rows for use in row]
        if self.strengths == strengths or not self.parts:
            return
        factors = [row[use].strength * factor for _, member in stacks.members
                   for row, parts in zip(rows, member.parts, strict=True) for use, factor, _ in parts]
        self.strengths = None       # until all are there
        self.whole = self.whole.view_as(self.whole)     # another object, because it gets another content
        if len(set(factors)) == 1:
            torch.mul(stacks.up, factors[0], out=self.whole)
        else:
            self.whole.copy_(stacks.up)
            torch._foreach_mul_(self.parts, factors)
        self.strengths = strengths


def _in_shapes(whole: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    each = whole.split([shape.numel() for shape in shapes]) if shapes else ()
    return [tensor.view(shape) for tensor, shape in zip(each, shapes, strict=True)]


def attached(rows: Sequence[Sequence[object]]) -> AbstractContextManager[None]:
    """For one call: row i of the batch uses the branches in `rows[i]`; a single row stands for all of a batch.

    Nothing stays.
    """
    found = attachment(rows)
    return found.attach(found.tensors)


def attachment(rows: Sequence[Sequence[object]]) -> Attachment:
    """The same for later."""
    uses = _uses(rows)
    modules = {path: layer.module for row in {id(row): row for row in uses}.values() for use in row
               for path, layer in use.layers.items()}
    if not modules:
        return NOTHING
    stacks = _stacks(uses)
    return Attachment(stacks.read(stacks.scaled(uses)), partial(_attached, stacks, modules), stacks.structure)


def alike(row: Sequence[object]) -> Hashable:
    """Of a row: those that share this value use the same branches, and need only one of their factors in a call."""
    uses = _branches(row)
    return _keys(uses), tuple(use.strength for use in uses)


def stacked_bytes(rows: Sequence[Sequence[object]]) -> int:
    """Memory that the factors of a call with such rows take, laid side by side: `Stacks.nbytes` before there are any.

    Not counted is the byte of a row that says whether it has any.
    """
    uses = _uses(rows)
    found: dict[Hashable, int] = {}
    for row in {_keys(row): row for row in uses}.values():
        found |= _sizes(row)
    return len(uses) * sum(found.values())


def _branches(row: Sequence[object]) -> tuple[Branches, ...]:
    return tuple(each for each in row if isinstance(each, Branches))


def _uses(rows: Sequence[Sequence[object]]) -> list[tuple[Branches, ...]]:
    """By row; of a single one where all are alike."""
    uses = list(map(_branches, rows))
    return uses[:1] if len(set(map(alike, uses))) == 1 else uses


@contextmanager
def _attached(stacks: Stacks, modules: Mapping[str, nn.Module], tensors: Sequence[Tensor]) -> Iterator[None]:
    handles = [modules[path].register_forward_hook(hook) for path, hook in _hooks(stacks, tensors)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stacks(rows: Sequence[tuple[Branches, ...]]) -> Stacks:
    """What was made for an earlier call is used where it is kept."""
    kept = next(use.kept for row in rows for use in row)
    if kept is None:
        return _stacked(rows)
    key = tuple(map(_keys, rows))
    return kept.find(key) or kept.get(key, lambda: _stacked(rows), coming=stacked_bytes(rows))


def _hooks(stacks: Stacks, tensors: Sequence[Tensor]) -> Iterator[tuple[str, Hook]]:
    """By path, over tensors as `Stacks.read` lists them."""
    up, *others = tensors
    ups, downs, rows = iter(stacks.by_member(up)), others[: len(stacks.sites)], iter(others[len(stacks.sites) :])
    for site, down in zip(stacks.sites, downs, strict=True):
        product = _Product(replace(site, down=down))
        for member in site.members:
            has = None if member.rows is None else next(rows)
            yield member.path, _hook(product, replace(member, rows=has), next(ups))


def _keys(row: Sequence[Branches]) -> tuple[Hashable, ...]:
    return tuple(id(use) if use.key is None else use.key for use in row)


# ---- laid side by side ----


@dataclass(frozen=True, slots=True, eq=False)
class _Factors:
    """All branches of one row at one layer as one: `down` (rank, in[, h, w]), `up` (rank, out)."""

    down: Tensor
    up: Tensor
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _RowSite:
    """What one row has at a site: factors by path and place, all of one rank; `places` is how many there could be."""

    rank: int
    places: int
    factors: Mapping[tuple[str, int], _Factors]

    def down(self) -> Tensor:
        """Of all places in their order, with zeros where the row has none."""
        by_place = {place: factors.down for (_, place), factors in self.factors.items()}
        none = torch.zeros_like(next(iter(by_place.values())))
        return torch.cat([by_place.get(place, none) for place in range(self.places)])


def _stacked(rows: Sequence[tuple[Branches, ...]]) -> Stacks:
    known = {id(row): _row_sites(row) for row in rows}
    each = [known[id(row)] for row in rows]
    sites: list[Site] = []
    ups: list[Tensor] = []
    for name in dict.fromkeys(name for row in each for name in row):
        there = [row.get(name) for row in each]
        for rank in sorted({row.rank for row in there if row}):
            of_rank = [row if row and row.rank == rank else None for row in there]
            members = [_member(path, place, of_rank) for path, place in _layers_of(of_rank)]
            sites.append(Site(_downs(of_rank), rank, tuple(member for member, _ in members)))
            ups += [up for _, up in members]
    return Stacks(sites, torch.cat([up.flatten() for up in ups]) if ups else torch.empty(0), [up.shape for up in ups])


def _layers_of(rows: Sequence[_RowSite | None]) -> list[tuple[str, int]]:
    return sorted({layer for row in rows if row for layer in row.factors}, key=lambda layer: layer[1])


def _downs(rows: Sequence[_RowSite | None]) -> Tensor:
    """See `Site.down`. Another layout in memory can be rounded in another way, so there is one for each kind."""
    own = {id(row): row.down() for row in rows if row}
    none = torch.zeros_like(next(iter(own.values())))
    each = [own[id(row)] if row else none for row in rows]
    if none.dim() == 4:
        return torch.stack([down.permute(0, 2, 3, 1) for down in each]).permute(0, 1, 4, 2, 3)
    return torch.stack(each).mT


def _member(path: str, place: int, rows: Sequence[_RowSite | None]) -> tuple[Member, Tensor]:
    """With its second factors (B, rank, out)."""
    each = [row.factors.get((path, place)) if row else None for row in rows]
    none = torch.zeros_like(next(row.up for row in each if row))
    up = torch.stack([row.up if row else none for row in each])
    has = None if all(each) else on_device([bool(row) for row in each], up.device, torch.bool).view(-1, 1, 1)
    return Member(path, place, tuple(row.parts if row else () for row in each), has), up


@dataclass(frozen=True, slots=True, eq=False)
class _Planned:
    """What one row will have at a site, as `_RowSite`: the branches, and the modules by path."""

    rank: int
    places: int
    layers: Mapping[tuple[str, int], Sequence[tuple[LowRank, Part]]]
    modules: Mapping[str, nn.Module]

    def made(self) -> _RowSite:
        return _RowSite(self.rank, self.places, {
            (path, place): _padded(branches, self.rank, self.modules[path])
            for (path, place), branches in self.layers.items()})


def _row_sites(row: Sequence[Branches]) -> dict[Hashable, _RowSite]:
    """In the number format in which each layer computes."""
    return {name: planned.made() for name, planned in _planned(row).items()}


def _planned(row: Sequence[Branches]) -> dict[Hashable, _Planned]:
    """By site. Ranks are powers of two."""
    found: dict[Hashable, dict[tuple[str, int], list[tuple[LowRank, Part]]]] = {}
    modules: dict[str, nn.Module] = {}
    places: dict[Hashable, int] = {}
    for number, use in enumerate(row):
        for path, layer in use.layers.items():
            if layer.branch and (factor := weight_of(use.blocks, layer.block) * layer.branch.scale):
                branch = _cut(layer.branch, use.ranks)
                name, place, places[name] = _site_of(path, layer.module)
                branches = found.setdefault(name, {}).setdefault((path, place), [])
                branches.append((branch, (number, factor, len(branch.down))))
                modules[path] = layer.module
    return {name: _Planned(_padded_rank(layers.values()), places[name], layers, modules)
            for name, layers in found.items()}


def _padded_rank(layers: Iterable[Sequence[tuple[LowRank, Part]]]) -> int:
    most = max(sum(rank for _, (*_, rank) in branches) for branches in layers)
    return max(SMALLEST_RANK, 1 << (most - 1).bit_length())


@dataclass(frozen=True, slots=True, eq=False)
class _Sizes:
    """Bytes that each piece of a row's factors takes in a call; rows with the same pieces lie in one tensor."""

    pieces: Mapping[Hashable, int]

    @property
    def nbytes(self) -> int:
        """Memory that they take, roughly."""
        return 500 * len(self.pieces)


_KNOWN_SIZES: ResultCache[_Sizes] = ResultCache(lambda _: SIZES_BYTES)


def _sizes(row: Sequence[Branches]) -> Mapping[Hashable, int]:
    if any(use.key is None for use in row):
        return _measured(row).pieces
    return _KNOWN_SIZES.get(_keys(row), lambda: _measured(row)).pieces


def _measured(row: Sequence[Branches]) -> _Sizes:
    pieces: dict[Hashable, int] = {}
    for name, site in _planned(row).items():
        for (path, place), branches in site.layers.items():
            (branch, _), bytes_each = branches[0], site.modules[path].weight.dtype.itemsize
            pieces[name, site.rank] = site.places * site.rank * branch.down[0].numel() * bytes_each
            pieces[path, place, site.rank] = 2 * site.rank * len(branch.up) * bytes_each
    return _Sizes(pieces)


def _site_of(path: str, module: nn.Module) -> tuple[Hashable, int, int]:
    """Name of the site that a layer belongs to, its place there, and how many places there are."""
    parent, _, name = path.rpartition(".")
    names = TOGETHER.get(parent.rpartition(".")[2], ())
    if name not in names or not isinstance(module, nn.Linear):
        return path, 0, 1
    return (parent, module.in_features), names.index(name), len(names)


def _cut(branch: LowRank, ranks: int) -> LowRank:
    return LowRank(branch.down[:ranks], branch.up[:, :ranks], branch.scale) if ranks else branch


def _padded(branches: Sequence[tuple[LowRank, Part]], rank: int, module: nn.Module) -> _Factors:
    kind = module.weight.dtype
    down = torch.cat([branch.down.to(kind) for branch, _ in branches])
    up = torch.cat([branch.up.mT.to(kind) for branch, _ in branches])
    if not _is_convolved(module):
        down = down.flatten(1)
    if missing := rank - len(up):
        down = functional.pad(down, (0, 0) * (down.dim() - 1) + (0, missing))
        up = functional.pad(up, (0, 0, 0, missing))
    return _Factors(down, up, tuple(part for _, part in branches))


def _is_convolved(module: nn.Module) -> bool:
    """Whether it looks at more of its input than one position for each that it gives."""
    return isinstance(module, nn.Conv2d) and (max(module.kernel_size) > 1 or max(module.stride) > 1)


# ---- in a call ----


class _Product:
    """What an input gives with a site's first factors. Let go of when each member has had its part."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._given: Tensor | None = None
        self._inner: Tensor | None = None
        self._had = 0

    def part(self, module: nn.Module, given: Tensor, place: int) -> Tensor:
        """(B, positions, rank) for a module's input."""
        if self.site.down.dim() == 5 or self.site.down.shape[-1] == self.site.rank:
            return _inner(module, given, self.site.down)
        if self._given is not given:
            self._given, self._inner, self._had = given, _inner(module, given, self.site.down), 0
        inner = self._inner[..., place * self.site.rank : (place + 1) * self.site.rank]
        self._had += 1
        if self._had == len(self.site.members):
            self._given = self._inner = None
        return inner


def _hook(product: _Product, member: Member, up: Tensor) -> Hook:
    """Adds to what a module gives for a batch what the branches of its rows give."""

    def added(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return _sum(output, product.part(module, given[0], member.place), up, member.rows)

    return added


def _sum(output: Tensor, inner: Tensor, up: Tensor, rows: Tensor | None) -> Tensor:
    """output (B, ...), which nobody but the layer has and may be changed; inner (B, positions, rank)."""
    flat = _by_position(output)
    up = up if len(up) == len(output) else up.expand(len(output), -1, -1).contiguous()
    made = flat.baddbmm_(inner, up) if rows is None else torch.where(rows, torch.baddbmm(flat, inner, up), flat)
    if made.dim() == output.dim():
        return made
    return (made.mT if output.dim() == 4 else made).view(output.shape)


def _by_position(x: Tensor) -> Tensor:
    """(B, positions, channels) of what a layer takes or gives: that, (B, channels), or a convolution's (B, C, h, w)."""
    if x.dim() == 3:
        return x
    return x.flatten(2).mT if x.dim() == 4 else x.unsqueeze(1)


def _inner(module: nn.Module, x: Tensor, down: Tensor) -> Tensor:
    """(B, positions, places * rank)."""
    if down.dim() == 5:
        return _convolved(module, x, down).movedim(1, -1).flatten(1, 2)
    down = down if len(down) == len(x) else down.mT.expand(len(x), -1, -1).contiguous().mT
    return torch.bmm(_by_position(x), down)


def _convolved(module: nn.Conv2d, x: Tensor, down: Tensor) -> Tensor:
    """(B, rank, h, w). Row by row, so that none depends on its neighbours."""
    padding = module.padding
    if module.padding_mode != "zeros":
        x = functional.pad(x, module._reversed_padding_repeated_twice, mode=module.padding_mode)
        padding = (0, 0)
    kernels = down if len(down) == len(x) else down.expand(len(x), *down.shape[1:])
    return torch.cat([functional.conv2d(row[None], kernel, None, module.stride, padding, module.dilation)
                      for row, kernel in zip(x, kernels, strict=True)])
