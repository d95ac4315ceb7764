"""Hypernetworks: small networks before the keys and the values of every attention whose input is as wide as they are.

A file is AUTOMATIC1111's: width -> (layers before the keys, before the values), and how they are activated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import activation

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.adapters.attachment import NOTHING, Attachment
from backend.worker.device import Placement
from backend.worker.models.load_errors import loading
from backend.worker.models.tensor_files import read_table

_OLD = {"linear1.": "linear.0.", "linear2.": "linear.1."}
_LAYER = re.compile(r"linear\.(\d{1,3})\.(weight|bias)")
_NAMES: Mapping[str, type[nn.Module]] = {"swish": nn.Hardswish} | {
    name.lower(): getattr(activation, name) for name in activation.__all__ if "attention" not in name.lower()}
_SITES = (".to_k", ".to_v")         # ends of the paths of the modules that they stand before

Layer = tuple[Tensor, Tensor]       # weight and bias: of two sides a linear layer, of one a layer norm


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron:
    """x -> what is added to x at strength 1."""

    layers: Sequence[Layer]
    activate: Callable[[Tensor], Tensor]
    activates_last: bool

    def __call__(self, x: Tensor) -> Tensor:
        """x (..., width) -> the same shape."""
        last = max(number for number, (weight, _) in enumerate(self.layers) if weight.dim() == 2)
        for number, (weight, bias) in enumerate(self.layers):
            weight, bias = weight.to(x.dtype), bias.to(x.dtype)
            if weight.dim() == 1:
                x = functional.layer_norm(x, weight.shape, weight, bias)
                continue
            x = functional.linear(x, weight, bias)
            if number < last or self.activates_last:
                x = self.activate(x)
        return x

    def to(self, device: torch.device) -> Perceptron:
        moved = [(weight.to(device), bias.to(device)) for weight, bias in self.layers]
        return Perceptron(moved, self.activate, self.activates_last)


@dataclass(eq=False)
class Hypernetwork:
    """By width, what stands before keys and values. Owned by `Memory`."""

    key: str
    layers: dict[int, tuple[Perceptron, Perceptron]]
    identity: int = field(init=False, default_factory=partial(next, count(1)))

    @property
    def bytes(self) -> int:
        """Memory that all layers take."""
        return sum(tensor.nbytes for tensor in self._tensors())

    @property
    def device(self) -> torch.device:
        """Where they are now."""
        return next(self._tensors()).device

    def to(self, device: torch.device) -> Hypernetwork:
        """Move them all."""
        if self.device != device:
            self.layers = {width: (keys.to(device), values.to(device)) for width, (keys, values) in self.layers.items()}
        return self

    def _tensors(self) -> Iterator[Tensor]:
        return (tensor for pair in self.layers.values() for one in pair for layer in one.layers for tensor in layer)


@dataclass(frozen=True, slots=True, eq=False)
class HypernetworkUse:
    """How strongly a row uses one."""

    network: Hypernetwork
    strength: float

    @property
    def words_key(self) -> Hashable:
        """See `Use.words_key`."""
        return self.network.identity, self.strength


def read_hypernetwork(file: ModelFile, placement: Placement) -> Hypernetwork:
    """Read a file onto the placement's device. Raises CheckpointError when it is missing or broken."""
    with loading(file) as path:
        return Hypernetwork(file.key, _layers(read_table(path))).to(placement.device)


def attachment(denoiser: nn.Module, rows: Sequence[Sequence[object]]) -> Attachment:
    """For one call: row i of the batch uses the hypernetworks in `rows[i]`, one after the other. It is not recorded."""
    if not any(isinstance(each, HypernetworkUse) for row in rows for each in row):
        return NOTHING
    return Attachment((), lambda tensors: attached(denoiser, rows))


@contextmanager
def attached(denoiser: nn.Module, rows: Sequence[Sequence[object]]) -> Iterator[None]:
    """For one call, as `attachment`. Nothing stays."""
    uses = [[each for each in row if isinstance(each, HypernetworkUse)] for row in rows]
    sites = [(module, path.endswith(_SITES[1])) for path, module in denoiser.named_modules()
             if path.endswith(_SITES)] if any(uses) else []
    handles = [module.register_forward_pre_hook(_before(uses, is_value)) for module, is_value in sites]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _before(
    rows: Sequence[Sequence[HypernetworkUse]], is_value: bool
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...] | None]:
    """Row by row, so that none depends on its neighbours."""

    def changed(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        x, *others = given
        if not any(x.shape[-1] in use.network.layers for row in rows for use in row):
            return None
        return torch.cat([_seen(x[number : number + 1], row, is_value) for number, row in enumerate(rows)]), *others

    return changed


def _seen(x: Tensor, uses: Sequence[HypernetworkUse], is_value: bool) -> Tensor:
    for use in uses:
        if pair := use.network.layers.get(x.shape[-1]):
            x = x + pair[is_value](x) * use.strength
    return x


def _layers(table: Mapping[Any, Any]) -> dict[int, tuple[Perceptron, Perceptron]]:
    name = table.get("activation_func")
    last = bool(table.get("activate_output", True))
    pairs = {int(width): states for width, states in table.items() if str(width).isdecimal()}
    try:
        activate = _activation(name if isinstance(name, str) else "linear")
        made = {width: _pair([Perceptron(_in_order(state), activate, last) for state in states], width)
                for width, states in pairs.items()}
    except (AttributeError, TypeError, KeyError) as error:
        raise CheckpointError("it is no hypernetwork") from error
    if not made:
        raise CheckpointError("it is no hypernetwork")
    return made


def _pair(made: Sequence[Perceptron], width: int) -> tuple[Perceptron, Perceptron]:
    """Raises CheckpointError for what does not take and give vectors of this width."""
    if len(made) != 2 or not all(_returns(one, width) for one in made):
        raise CheckpointError("its layers do not fit to each other")
    return made[0], made[1]


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    """Raises CheckpointError for one that torch does not have."""
    if name == "linear":
        return nn.Identity()
    if name.lower() not in _NAMES:
        raise CheckpointError(f"its activation '{name[:40]}' is not known")
    return _NAMES[name.lower()]().eval()


def _in_order(state: Mapping[str, Tensor]) -> list[Layer]:
    parts: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        for old, new in _OLD.items():
            name = name.replace(old, new)
        if found := _LAYER.fullmatch(name):
            if not bool(tensor.isfinite().all()):
                raise CheckpointError("some of its values are no numbers")
            parts.setdefault(int(found[1]), {})[found[2]] = tensor.detach()
    return [(parts[number]["weight"], parts[number]["bias"]) for number in sorted(parts)]


def _returns(perceptron: Perceptron, width: int) -> bool:
    """Whether it takes and gives vectors of this width, all its layers fitting to each other."""
    passed, linear = width, 0
    for weight, bias in perceptron.layers:
        if weight.dim() == 2 and weight.shape[1] == passed:
            passed, linear = weight.shape[0], linear + 1
        elif tuple(weight.shape) != (passed,):
            return False
        if tuple(bias.shape) != (passed,):
            return False
    return linear > 0 and passed == width
