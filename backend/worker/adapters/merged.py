"""Changes that are no low-rank sums: new weights, computed once for a set of networks, in place of the modules' own.

A set is an ordered list of files and strengths. Its weights are a thing in `Memory` like any other; they take their
modules' places for one call, and then the modules have again what they had.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from backend.worker.adapters.adapter import Recordable, Use
from backend.worker.adapters.attachment import Attachment, layout
from backend.worker.adapters.lora_branches import Branches
from backend.worker.adapters.network_file import FittedLayer, padded
from backend.worker.adapters.weight_deltas import Parts, change
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model

KIND = "merged weights"
Weights = tuple[Tensor, Tensor | None]


@dataclass(eq=False)
class MergedWeights:
    """Weight and bias by module. Owned by `Memory`."""

    modules: dict[nn.Module, Weights]

    @property
    def bytes(self) -> int:
        """Memory that they take."""
        return sum(weight.nbytes + (0 if bias is None else bias.nbytes) for weight, bias in self.modules.values())

    @property
    def device(self) -> torch.device:
        """Where they are now."""
        return next(iter(self.modules.values()))[0].device

    def to(self, device: torch.device) -> MergedWeights:
        """Move all of them."""
        if self.device != device:
            self.modules = {module: (weight.to(device), None if bias is None else bias.to(device))
                            for module, (weight, bias) in self.modules.items()}
        return self

    def attached(self) -> AbstractContextManager[None]:
        """For one call they are the modules' own."""
        return self._attached(self._tensors())

    def attachment(self) -> Attachment:
        """The same for later."""
        tensors = self._tensors()
        modules = tuple((id(module), bias is None) for module, (_, bias) in self.modules.items())
        return Attachment(tensors, self._attached, (modules, layout(tensors)))

    def _tensors(self) -> list[Tensor]:
        return [tensor for weights in self.modules.values() for tensor in weights if tensor is not None]

    @contextmanager
    def _attached(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        before = {module: (module.weight, _bias(module)) for module in self.modules}
        given = iter(tensors)
        mine = {module: (next(given), None if bias is None else next(given))
                for module, (_, bias) in self.modules.items()}
        try:
            for module, (weight, bias) in mine.items():
                module.weight = nn.Parameter(weight, requires_grad=False)
                if bias is not None:
                    module.bias = nn.Parameter(bias, requires_grad=False)
            yield
        finally:
            for module, (weight, bias) in before.items():
                module.weight = weight
                if self.modules[module][1] is not None:
                    module.bias = bias


@dataclass(frozen=True, slots=True, eq=False)
class MergedSet(Recordable):
    """An adapter: what these uses make, in their order, of the modules where any of them is no low-rank sum."""

    model: Model
    uses: Sequence[Branches]
    key: Hashable                           # equal sets make the same weights
    memory: Memory | None = field(repr=False)

    def attachment(self, model: Model, rows: Sequence[object], uses: Sequence[object]) -> Attachment:
        """See `Recordable.attachment`: all rows use it alike."""
        return self.weights().attachment()

    def weights(self) -> MergedWeights:
        """In memory already, or computed now. Raises OutOfMemory."""
        return self.memory.fetch(KIND, str(self.key), "", lambda: MergedWeights(_merged(self.uses)))


@dataclass(frozen=True, slots=True, eq=False)
class MergedUse(Use):
    """Rows share a call if their sets are equal, whoever made the adapters."""

    @property
    def structure(self) -> Hashable:
        """See `Use.structure`."""
        return KIND, self.adapter.key

    @property
    def words_key(self) -> Hashable:
        """See `Use.words_key`."""
        return self.structure


def _bias(module: nn.Module) -> Tensor | None:
    return getattr(module, "bias", None)


def _merged(uses: Sequence[Branches]) -> dict[nn.Module, Weights]:
    modules = {layer.module: None for use in uses for layer in use.layers.values() if not layer.branch}
    made: dict[nn.Module, Weights] = {}
    for module in modules:
        bias = _bias(module)
        weight, bias = module.weight.float(), None if bias is None else bias.float()
        for layer, strength, ranks in _on(module, uses):
            weight, bias = _changed(weight, bias, layer, strength, ranks)
        order = torch.channels_last if weight.dim() == 4 else torch.contiguous_format
        own = module.weight.dtype
        made[module] = (weight.to(own, memory_format=order, copy=True), None if bias is None else bias.to(own))
    return made


def _on(module: nn.Module, uses: Sequence[Branches]) -> Iterator[tuple[FittedLayer, float, int]]:
    for use in uses:
        for path, layer in use.layers.items():
            if layer.module is module and (strength := use.weight(path)):
                yield layer, strength, use.ranks


def _changed(
    weight: Tensor, bias: Tensor | None, layer: FittedLayer, strength: float, ranks: int
) -> tuple[Tensor, Tensor | None]:
    parts: Parts = {part: tensor.to(weight.device).float() for part, tensor in layer.parts.items()}
    seen = weight if weight.dim() < 4 else weight[:, : layer.columns // weight[0, 0].numel()]
    made = change(layer.kind, parts, seen, ranks)
    if made.weight is not None:
        added = made.weight.reshape(seen.shape)
        weight = weight + strength * (added if seen.shape == weight.shape else padded(added, weight.shape[1]))
    if bias is not None and made.bias_factors is not None:
        bias = bias + strength * bias * made.bias_factors
    if made.bias is not None:
        added = strength * made.bias.flatten()
        bias = added if bias is None else bias + added
    return weight, bias
