"""A network out of an ultralytics checkpoint: each saved part becomes a layer, with its numbers from the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.catalog.pickled_objects import Instance, StoredTensor
from backend.catalog.yolo_checkpoints import YoloCheckpoint, children, read_yolo
from backend.errors import CheckpointError
from backend.worker.device import Placement
from backend.worker.models.detector_candidates import Candidates, of_rows
from backend.worker.models.memory_errors import out_of_memory
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.models.stored_tensors import StoredTensors
from backend.worker.models.yolo_layers import (
    Chain,
    Forked,
    Gathered,
    HalfChanged,
    HalvedTwice,
    Head,
    Joined,
    PositionedAttention,
    Residual,
    Smoothed,
    Summed,
)

CELL = 32                   # pixels of the coarsest level, of which a square has whole ones
STEPS = range(65)           # sizes, steps and margins of convolutions
MOST_POOLED = 8             # times that a window is laid over its own result
OWN_END = "one2one_"        # before the names of what finds each thing only once (YOLO26)


@dataclass(eq=False)
class YoloDetector(OwnedNetwork):
    """A detector in memory, float32. Owned by `Memory`."""

    names: tuple[str, ...]
    side: int
    single: bool            # whether the network itself finds each thing only once

    def look(self, shown: NDArray[np.float32]) -> Candidates:
        """What is in (1, 3, side, side), 0..1."""
        with torch.inference_mode():
            rows, parts = (None if told is None else np.asarray(told[0].cpu(), float)
                           for told in self.network(torch.from_numpy(shown).to(self.device)))
        classes = len(rows) - 4 - (0 if parts is None else len(parts))
        return of_rows(rows, classes, parts, single=self.single)


def load(path: Path, placement: Placement) -> YoloDetector:
    """CheckpointError says what the file is where it is no detector."""
    saved = read_yolo(path)
    try:
        with StoredTensors(path) as tensors:
            head = _Part(saved.layers[-1], tensors)
            network = _network(saved, tensors).eval().requires_grad_(False)
        cell = max(CELL, *map(round, network.layers[-1].strides))
        with torch.inference_mode():
            network(torch.zeros(1, 3, 2 * cell, 2 * cell))
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(f"{path.name} is broken: its layers do not fit together") from error
    side = -(-saved.side // cell) * cell
    return YoloDetector(network.to(placement.device), saved.names, side, single=not head.has("cv2"))


def _network(saved: YoloCheckpoint, tensors: StoredTensors) -> Chain:
    parts = [_Part(layer, tensors) for layer in saved.layers]
    return Chain([part.built() for part in parts], [part.sources(number) for number, part in enumerate(parts)])


@dataclass(frozen=True, slots=True)
class _Part:
    """A part as it was saved. What is not there, or something else than expected, raises LookupError or TypeError."""

    saved: Instance
    tensors: StoredTensors

    def built(self) -> nn.Module:
        return _LAYERS[self.saved.name](self)

    def has(self, name: str) -> bool:
        return isinstance(children(self.saved).get(name), Instance)

    def part(self, name: str) -> _Part:
        return _Part(children(self.saved)[name], self.tensors)

    def of(self, *names: str) -> list[nn.Module]:
        return [self.part(name).built() for name in names]

    def each(self, name: str = "") -> list[nn.Module]:
        """All that a list holds, in its order."""
        whole = self.part(name) if name else self
        return whole.of(*children(whole.saved))

    def in_a_row(self, *names: str) -> nn.Module:
        return nn.Sequential(*self.of(*names))

    def flag(self, name: str) -> bool:
        return self.saved.state.get(name) is True

    def whole(self, name: str) -> int:
        """A whole number, or the one that both sides have."""
        value = self.saved.state[name]
        one, *others = value if isinstance(value, tuple) else (value,)
        if type(one) is not int or one not in STEPS or any(other != one for other in others):
            raise TypeError(name)
        return one

    def numbers(self, name: str) -> list[float]:
        return [float(each) for each in self.tensors.read(self.saved.state[name]).flatten()]

    def tensor(self, name: str) -> Tensor | None:
        for table in ("_parameters", "_buffers"):
            held = self.saved.state.get(table, {}).get(name)
            if isinstance(held, StoredTensor):
                return self.tensors.read(held)
        return None

    def sources(self, number: int) -> int | list[int]:
        """Whose maps the layer sees, which stands at `number`."""
        told = self.saved.state["f"]
        absolute = [each if each >= 0 else number + each for each in (told if isinstance(told, list) else [told])]
        if not all(-1 <= each < number for each in absolute):
            raise TypeError("f")
        return absolute if isinstance(told, list) else absolute[0]


# ---- convolutions, the normalisation that follows them made a part of their numbers ----


def _plain(part: _Part) -> nn.Module:
    return _convolution(part, part.tensor("weight"), part.tensor("bias"))


def _convolution(part: _Part, weight: Tensor, bias: Tensor | None) -> nn.Module:
    turned, groups = part.saved.name == "ConvTranspose2d", _groups(part)
    inputs = weight.shape[0] if turned else weight.shape[1] * groups
    outputs = weight.shape[1] * groups if turned else weight.shape[0]
    kind = nn.ConvTranspose2d if turned else nn.Conv2d
    made = kind(1, 1, 1, part.whole("stride"), part.whole("padding"), groups=1, dilation=part.whole("dilation"))
    made.in_channels, made.out_channels, made.groups, made.kernel_size = inputs, outputs, groups, weight.shape[2:]
    made.weight = nn.Parameter(weight, requires_grad=False)
    made.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    return made


def _groups(part: _Part) -> int:
    groups = part.saved.state["groups"]
    if type(groups) is not int or groups < 1:
        raise TypeError("groups")
    return groups


def _convolved(part: _Part) -> nn.Module:
    inner, act = part.part("conv"), part.part("act").built() if part.has("act") else nn.Identity()
    weight, bias = inner.tensor("weight"), inner.tensor("bias")
    if part.has("bn"):
        norm = part.part("bn")
        scale, shift, mean, spread = (norm.tensor(each) for each in ("weight", "bias", "running_mean", "running_var"))
        scale = scale / (spread + float(norm.saved.state["eps"])).sqrt()
        bias = shift + scale * ((0 if bias is None else bias) - mean)
        weight = weight * scale[:, None, None, None]
    return nn.Sequential(_convolution(inner, weight, bias), act)


def _reparametrised(part: _Part) -> nn.Module:
    if part.has("bn"):
        raise TypeError("bn")
    return Summed(part.of("conv1", "conv2"), part.part("act").built())


# ---- blocks ----


def _bottleneck(part: _Part) -> nn.Module:
    return _residual(part, part.in_a_row("cv1", "cv2"))


def _residual(part: _Part, inner: nn.Module) -> nn.Module:
    return Residual(inner) if part.flag("add") else inner


def _csp(part: _Part) -> nn.Module:
    """YOLOv8's with two convolutions."""
    return Gathered(*part.of("cv1"), part.each("m"), *part.of("cv2"), halved=True)


def _csp_of_three(part: _Part) -> nn.Module:
    return Forked(part.in_a_row("cv1", "m"), *part.of("cv2", "cv3"))


def _elan(part: _Part) -> nn.Module:
    return Gathered(*part.of("cv1"), part.of("cv2", "cv3"), *part.of("cv4"), halved=True)


def _pyramid(part: _Part) -> nn.Module:
    """One window, again and again, as often as the last convolution has room for."""
    first, pool, last = part.of("cv1", "m", "cv2")
    again = last[0].in_channels // first[0].out_channels - 1
    if again > MOST_POOLED:
        raise TypeError("m")
    return _residual(part, Gathered(first, [pool] * again, last, halved=False))


def _pyramid_of_elan(part: _Part) -> nn.Module:
    return Gathered(*part.of("cv1"), part.of("cv2", "cv3", "cv4"), *part.of("cv5"), halved=False)


def _attention(part: _Part) -> nn.Module:
    return PositionedAttention(*part.of("qkv", "pe", "proj"), part.whole("num_heads"), part.saved.state["key_dim"])


def _attention_block(part: _Part) -> nn.Module:
    return nn.Sequential(*[_residual(part, inner) for inner in part.of("attn", "ffn")])


def _half_attention(part: _Part) -> nn.Module:
    return HalfChanged(*part.of("cv1", "m", "cv2"))


def _upsampled(part: _Part) -> nn.Module:
    if part.saved.state["mode"] != "nearest" or part.saved.state["scale_factor"] != 2:
        raise TypeError("scale_factor")
    return nn.Upsample(scale_factor=2, mode="nearest")


def _pooled(part: _Part) -> nn.Module:
    return nn.MaxPool2d(part.whole("kernel_size"), part.whole("stride"), part.whole("padding"))


def _head(part: _Part) -> nn.Module:
    """The end that finds things several times, if there is one; outlines, if it tells them."""
    end = "" if part.has("cv2") else OWN_END
    outlines = part.has("proto")
    return Head(part.each(f"{end}cv2"), part.each(f"{end}cv3"), part.numbers("stride"),
                part.each(f"{end}cv4") if outlines else (), *part.of("proto") if outlines else ())


_LAYERS: dict[str, Callable[[_Part], nn.Module]] = {
    "Sequential": lambda part: nn.Sequential(*part.each()), "ModuleList": lambda part: nn.Sequential(*part.each()),
    "Identity": lambda _: nn.Identity(), "SiLU": lambda _: nn.SiLU(), "ReLU": lambda _: nn.ReLU(),
    "Conv2d": _plain, "ConvTranspose2d": _plain, "Conv": _convolved, "DWConv": _convolved, "RepConv": _reparametrised,
    "MaxPool2d": _pooled, "Upsample": _upsampled, "Concat": lambda _: Joined(),
    "Bottleneck": _bottleneck, "RepBottleneck": _bottleneck, "C2f": _csp, "C3k2": _csp,
    "C3": _csp_of_three, "C3k": _csp_of_three, "RepCSP": _csp_of_three, "RepNCSPELAN4": _elan, "ELAN1": _elan,
    "SPPF": _pyramid, "SPPELAN": _pyramid_of_elan,
    "ADown": lambda part: HalvedTwice(*part.of("cv1", "cv2")), "AConv": lambda part: Smoothed(*part.of("cv1")),
    "C2PSA": _half_attention, "PSABlock": _attention_block, "Attention": _attention,
    "Proto": lambda part: part.in_a_row("cv1", "upsample", "cv2", "cv3"),
    "Detect": _head, "Segment": _head, "Pose": _head,
}
"""By the names of ultralytics' and torch's classes; all of `PARTS` but those that are made a part of another."""
