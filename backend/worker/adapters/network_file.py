"""A network file in memory: LoRA and its kin. What fits a model is worked out once for each that it is used on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import count
from math import prod
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from backend.catalog.families import FAMILIES
from backend.catalog.fingerprints import fingerprint
from backend.catalog.headers import read_header
from backend.catalog.model_file import LORA, ModelFile
from backend.catalog.network_fit import Fit, Layer, Modules, fit
from backend.catalog.network_hashes import SHORT, addnet_hash, hash_told
from backend.catalog.network_kinds import MAGNITUDES, SINGLE
from backend.catalog.network_names import BUNDLED, flat, resnets_of, split_name, text_name
from backend.catalog.peft_alphas import peft_alphas, with_settings_beside
from backend.catalog.peft_rotations import peft_rotations
from backend.errors import CheckpointError
from backend.prompt.block_weights import BASE, block_of
from backend.worker.adapters.embedding_file import EmbeddingFile, bundled
from backend.worker.adapters.weight_deltas import down_kernel, scale_of
from backend.worker.device import Placement
from backend.worker.models.background_hash import BackgroundHash
from backend.worker.models.load_errors import loading
from backend.worker.models.model_base import Model
from backend.worker.models.tensor_files import Format, read_tensors

_FACTORS = ("lora_down", "lora_up", "lora_mid")
_OF_TEXT = re.compile(r"(^|[._])(te\d?|text_encoder(_\d)?|text_model)[._]")
CPU = torch.device("cpu")
_LOADS = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """A branch beside a layer: x -> scale * up(down(x)). `down` (rank, in[, kernel...]), `up` (out, rank)."""

    down: Tensor
    up: Tensor
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class FittedLayer:
    """What a file does to one module. `branch` is None where the module's own weights are needed for it.

    `block` is the block that weights by block count it to; `columns` as in `network_fit.Layer`.
    """

    module: nn.Module
    kind: str
    columns: int
    parts: Mapping[str, Tensor]
    block: str
    branch: LowRank | None


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A file on one model: its layers by component and the path of the module there, and how many of them fit."""

    layers: Mapping[str, Mapping[str, FittedLayer]]
    fit: Fit


@dataclass(eq=False)
class NetworkFile:
    """The tensors of a file by name. Owned by `Memory`."""

    key: str
    tensors: dict[str, Tensor]
    known_hash: str = ""                    # of AUTOMATIC1111's kind, where the file tells it or it was read before
    background_hash: BackgroundHash | None = None       # otherwise
    bundled: Mapping[str, EmbeddingFile] = field(default_factory=dict)      # words that lie in the same file, by name
    identity: int = field(init=False, default_factory=partial(next, _LOADS))
    """Which load of this process it is: a file that is read again is another network."""
    _fits: WeakKeyDictionary[Model, Fitted] = field(default_factory=WeakKeyDictionary, init=False)

    @property
    def hash(self) -> str:
        """The short one of AUTOMATIC1111. Waits for it where the file was read just now; "" when it was replaced."""
        return (self.known_hash or (self.background_hash.wait() if self.background_hash else ""))[:SHORT]

    @cached_property
    def bytes(self) -> int:
        """Memory that the tensors take."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def device(self) -> torch.device:
        """Where the tensors are now."""
        return next((each.device for each in self.tensors.values() if each.numel() > 1), CPU)

    def to(self, device: torch.device) -> NetworkFile:
        """Move all but single numbers."""
        if self.device != device:
            self._fits.clear()
            self.tensors = {name: each if each.device == CPU and each.numel() == 1 else each.to(device)
                            for name, each in self.tensors.items()}
        return self

    def on(self, model: Model) -> Fitted:
        """What of the file fits this model."""
        if model not in self._fits:
            self._fits[model] = _fitted(self.tensors, model)
        return self._fits[model]


def read_network(file: ModelFile, placement: Placement) -> NetworkFile:
    """Read a file onto the placement's device. Raises CheckpointError when it is missing or broken, or holds NaN."""
    found, extremes = fingerprint(file.path), _Extremes()
    with loading(file) as path:
        header = read_header(path)
        metadata = with_settings_beside(path, header.metadata)
        numbers = [told(metadata, header.shapes) for told in (peft_alphas, peft_rotations)]
        told = {name: torch.tensor(number) for each in numbers for name, number in each.items()}
        tensors = read_tensors(path, partial(_format, placement), extremes.take) | told
        for number in told.values():
            extremes.take(number)
        if not extremes.are_finite():
            raise CheckpointError("some of its values are no numbers; copy it again or ask its author")
    digest = hash_told(file.facts.get("model_hash", "")) or (file.sha256 if file.fingerprint == found else "")
    layers = {name: tensor for name, tensor in tensors.items() if not name.startswith(BUNDLED)}
    hashed = None if digest else BackgroundHash(file.path, found, addnet_hash)
    return NetworkFile(file.key, layers, digest, hashed, bundled(tensors))


def expected_bytes(file: ModelFile, placement: Placement) -> int:
    """Memory that a network file will take when it is loaded: exact for LoRAs of one number format.

    0 where it cannot be read: loading it says why.
    """
    found = fingerprint(file.path)
    size = found.size if found else 0
    if file.kind != LORA:
        return size
    try:
        numbers = {name: prod(shape) for name, shape in read_header(Path(file.path)).shapes.items()}
    except CheckpointError:
        return 0
    own = max(width for width in (1, 2, 4, 8) if width == 1 or width * sum(numbers.values()) <= size)
    formats = {name: _format(placement, name) for name in numbers}
    return sum(number * (formats[name].dtype.itemsize if formats[name].dtype else own)
               for name, number in numbers.items() if formats[name].device == placement.device)


def _format(placement: Placement, name: str) -> Format | None:
    """Numbers stay outside the device; what a UNet's branch multiplies with has the UNet's format, the rest its own."""
    if name.startswith(BUNDLED):
        return Format(CPU, None)
    module, part = split_name(name) or ("", "")
    if part in SINGLE:              # they stay in main memory
        return Format(CPU, None)
    narrow = part in _FACTORS and not _OF_TEXT.search(module)
    return Format(placement.device, placement.unet if narrow else None)


class _Extremes:
    """The smallest and the largest value of each tensor: several times faster on a CPU than a look at each value."""

    def __init__(self) -> None:
        self._ends: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}

    def take(self, tensor: Tensor) -> None:
        if tensor.is_floating_point() and tensor.numel():
            ends = tensor.aminmax() if tensor.numel() > 1 else (tensor.reshape(()),)
            self._ends.setdefault((tensor.device, tensor.dtype), []).extend(ends)

    def are_finite(self) -> bool:
        """NaN wins over both. Waits for the device once per number format."""
        return all(bool(torch.stack(each).isfinite().all()) for each in self._ends.values())


def _fitted(tensors: Mapping[str, Tensor], model: Model) -> Fitted:
    modules = {name: dict(component.named_modules()) for name, component in model.adapted().items()}
    paths = {name: _paths(name, inside) for name, inside in modules.items()}
    shapes: Modules = {name: {plain: tuple(modules[name][path].weight.shape) for plain, path in known.items()}
                       for name, known in paths.items()}
    family = FAMILIES.get(model.checkpoint.family)
    own = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    found = fit(own, shapes, family.networks if family else {})
    resnets = resnets_of(shapes.get("unet", ()))
    layers: dict[str, dict[str, FittedLayer]] = {}
    for layer in found.layers:
        path = paths[layer.component][layer.module]
        block = block_of(layer.module, resnets) if layer.component == "unet" else BASE
        made = _layer(layer, tensors, modules[layer.component][path], block)
        layers.setdefault(layer.component, {})[path] = made
    return Fitted(layers, found)


def _paths(component: str, modules: Mapping[str, nn.Module]) -> dict[str, str]:
    """Flat name -> path of every module that has weights."""
    weighty = [path for path, module in modules.items() if isinstance(getattr(module, "weight", None), Tensor)]
    return {flat(path) if component == "unet" else text_name(flat(path)): path for path in weighty}


def _layer(layer: Layer, tensors: Mapping[str, Tensor], module: nn.Module, block: str) -> FittedLayer:
    parts = {part: tensors[name] for part, name in layer.tensors.items()}
    low_rank = layer.kind == "lora" and MAGNITUDES.isdisjoint(parts) and isinstance(module, nn.Linear | nn.Conv2d)
    return FittedLayer(module, layer.kind, layer.columns, parts, block, _branch(parts, module) if low_rank else None)


def _branch(parts: Mapping[str, Tensor], module: nn.Linear | nn.Conv2d) -> LowRank:
    down, up = down_kernel(parts), parts["lora_up"].flatten(1)
    scale = scale_of(parts, parts["lora_down"].shape[0])
    if isinstance(module, nn.Linear):
        return LowRank(down.flatten(1), up, scale)
    kernel = module.weight.shape[2:]
    down = down.reshape(down.shape[0], -1, *kernel)
    return LowRank(padded(down, module.weight.shape[1]), up, scale)


def padded(kernel: Tensor, channels: int) -> Tensor:
    """A convolution's kernel (..., in, h, w) for more channels, which it does not look at."""
    missing = channels - kernel.shape[1]
    return nn.functional.pad(kernel, (0, 0, 0, 0, 0, missing)) if missing else kernel
