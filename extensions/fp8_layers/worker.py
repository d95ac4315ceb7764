"""Linear layers that multiply in float8_e4m3fn, each row of weights and of inputs with a scale of its own.

Layers that make keys and values of the words stay as they are, so that these are kept over the steps. Beside weights
that are merged for a call the changed layers stay as they are, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.adapters.adapter import LeavesWords, Recordable, Use
from backend.worker.adapters.attachment import Attachment
from backend.worker.guidance.hook_table import HookRow
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.row import Row
from backend.worker.house import WorkerHouse
from backend.worker.models.model_base import Model
from extensions.fp8_layers.extension import COST, ON

EIGHT_BITS = torch.float8_e4m3fn
LARGEST = torch.finfo(EIGHT_BITS).max
MULTIPLE = 16                       # of which both sides of a matrix have to be for a card
ROW_SCALES_SINCE = (9, 0)           # compute capability of the cards that take a scale for each row
WORDS = ("attn2.to_k", "attn2.to_v")


def rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """(..., n) as 8-bit numbers, and the scale (..., 1) of each row by which they are multiplied."""
    scale = (x.abs().amax(dim=-1, keepdim=True).float() / LARGEST).clamp_min(1e-12)
    return (x / scale).clamp(-LARGEST, LARGEST).to(EIGHT_BITS), scale


class EightBitLayer(nn.Module):
    """A linear layer's weight in 8 bits, while the layer has the weight that it had."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer, self.original = [layer], [layer.weight]      # lists: they are no parts of this module
        weight, scale = rounded(layer.weight)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    @property
    def applies(self) -> bool:
        """Whether nothing else has put another weight there for the call."""
        return self.layer[0].weight is self.original[0]

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        given, scale = rounded(x)
        bias = self.layer[0].bias
        if x.is_cuda and torch.cuda.get_device_capability(x.device) >= ROW_SCALES_SINCE:
            made = torch._scaled_mm(given.flatten(0, -2), self.weight.t(), scale.flatten(0, -2), self.scale.t(),
                                    out_dtype=torch.bfloat16).to(x.dtype).unflatten(0, x.shape[:-1])
            return made if bias is None else made + bias
        wide = (self.weight.float() * self.scale).to(x.dtype)
        return functional.linear((given.float() * scale).to(x.dtype), wide, bias)


class EightBits(nn.Module):
    """All of a network's. A result of `Memory`'s."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EightBitLayer(module) for path, module in network.named_modules()
                                    if "transformer_blocks" in path and _fits(path, module))

    @property
    def nbytes(self) -> int:
        """Memory that they take beside the network."""
        return sum(tensor.nbytes for tensor in self.buffers())


def _fits(path: str, module: nn.Module) -> bool:
    if not isinstance(module, nn.Linear) or path.endswith(WORDS):
        return False
    return not (module.in_features % MULTIPLE or module.out_features % MULTIPLE)


@dataclass(frozen=True, slots=True, eq=False)
class Fp8(Recordable, LeavesWords):
    """An adapter: all linear layers that fit multiply in 8 bits."""

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Attachment:
        """See `Recordable.attachment`. Rounded once for each model."""
        bits = model.derived.get(("8-bit layers", model.identity, model.device), partial(EightBits, model.denoiser))
        return Attachment((), partial(_attached, bits), "8-bit layers", [bits])


@contextmanager
def _attached(bits: EightBits, tensors: Sequence[Tensor]) -> Iterator[None]:
    replaced = [each for each in bits.layers if each.applies]
    for each in replaced:
        each.layer[0].forward = each.forward
    try:
        yield
    finally:
        for each in replaced:
            del each.layer[0].forward


FP8 = Fp8()


class Fp8Layers(Hook):
    """Has all rows use it."""

    def rows(self, noisy: Noisy, rows: list[Row]) -> list[Row]:
        """See `Hook.rows`."""
        return [replace(row, uses=(*row.uses, Use(FP8))) for row in rows]


def _hook(request: Request) -> Hook | None:
    return Fp8Layers() if request.fp8_layers == ON else None


def _note(request: Request) -> str:
    return f"8-bit layers: not the exact picture; {COST}" if request.fp8_layers == ON else ""


def register(house: WorkerHouse) -> None:
    """The worker's door."""
    house.hooks.add(HookRow("8-bit layers", _hook, _note))
