"""T2I-Adapters (Mou et al. 2023): a small network that sees a hint once, and adds what it finds on a UNet's way down.

Full, light, and those of SDXL, in their authors' layout and in diffusers'. A style adapter makes vectors of a picture,
which stand behind the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from diffusers import T2IAdapter as Network
from torch import Tensor, nn
from torch.nn.functional import interpolate

from backend.catalog.adapters import LARGE_CELLS, STYLE_TOKENS
from backend.catalog.fingerprints import weight_files
from backend.catalog.model_file import ModelFile
from backend.worker.adapters.adapter import ForSomeRows, LeavesWords, Members, Recordable, Use
from backend.worker.adapters.attachment import Attachment, layout
from backend.worker.adapters.style_adapter import StyleAdapter, style_adapter
from backend.worker.models.assemble import assemble
from backend.worker.models.ldm_layout import count, sizes_expected
from backend.worker.models.load_errors import loading
from backend.worker.models.model_base import Component, Model
from backend.worker.models.owned_network import OwnedNetwork
from backend.worker.models.tensor_files import Format, read_tensors

if TYPE_CHECKING:
    from backend.worker.guidance.row import Row

RESIDUALS = "down_intrablock_additional_residuals"
PREFIX = "adapter."
CELL, LARGE_CELL = 8, 16            # pixels of the hint that are seen together
BLOCKS = 2                          # of a level, in the authors' full layout
_BLOCK = re.compile(r"body\.(\d{1,2})\.(block[12]|in_conv)\.(\w+)")
_LIGHT = re.compile(r"body\.(\d{1,2})\.body\.(\d{1,2})\.(.+)")


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What an adapter finds in a hint: (C, h, w), float32, for each level of the way down."""

    levels: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(each.nbytes for each in self.levels)


@dataclass(eq=False)
class T2IAdapter(OwnedNetwork, Recordable, ForSomeRows, LeavesWords):
    """A T2I-Adapter in memory, in eval mode. Owned by `Memory`.

    A use has (weights, region, *features) as its data: a weight for each feature, the region (1, h, w) in 0..1 in which
    it acts, and the features of a hint, see `features`.
    """

    def features(self, hint: Tensor) -> tuple[Tensor, ...]:
        """What it finds in a hint (3, H, W) in 0..1: (C, h, w) for each level of the way down."""
        first = self.network.adapter
        channels = (first.conv_in if hasattr(first, "conv_in") else first.body[0].in_conv).weight.shape[1]
        cell = self.network.downscale_factor
        shown = hint if channels > 3 * cell ** 2 // 2 else hint.mean(dim=0, keepdim=True)
        whole = [-(-side // cell) * cell for side in hint.shape[1:]]
        fitting = interpolate(shown[None], whole, mode="bilinear") if whole != list(hint.shape[1:]) else shown[None]
        return tuple(each[0].float() for each in self.network(fitting.to(next(self.network.parameters()))))

    def attachment(self, model: Model, rows: Sequence[Row], uses: Sequence[Use | None]) -> Attachment:
        """See `Recordable.attachment`."""
        members, uses = Members.of(uses, model.device), [use for use in uses if use is not None]
        weights = torch.stack([use.data[0] * use.strength for use in uses])                     # (n, levels)
        region = torch.stack([use.data[1] for use in uses])                                     # (n, 1, h, w)
        found = []
        for level, features in enumerate(zip(*(use.data[2:] for use in uses), strict=True)):
            together = torch.stack(features) * weights[:, level].view(-1, 1, 1, 1)
            levels = together * interpolate(region, together.shape[2:], mode="area")
            found.append(members.spread(levels.to(model.dtype)))
        return Attachment(found, partial(_attached, model), (RESIDUALS, layout(found)))


@contextmanager
def _attached(model: Model, found: Sequence[Tensor]) -> Iterator[None]:
    def added(unet: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        before = named.get(RESIDUALS)
        sums = [own + other for own, other in zip(found, before, strict=True)] if before else list(found)
        return given, named | {RESIDUALS: sums}

    handle = model.denoiser.register_forward_pre_hook(added, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def load(file: ModelFile, model: Model) -> T2IAdapter | StyleAdapter:
    """Read a file or a diffusers folder for this model. Raises CheckpointError, whose sentence names it."""
    placement = model.placement
    with loading(file) as path:
        read: dict[str, Tensor] = {}
        for each in weight_files(path):
            read |= read_tensors(each, lambda name: Format(placement.device, placement.unet))
        with sizes_expected():
            if STYLE_TOKENS in read:
                return style_adapter(read, placement)
            made = component(read)
        network = assemble(lambda: Network(**made.config), made.tensors, placement.unet, placement.device)
    return T2IAdapter(network)


def component(found: Mapping[str, Tensor]) -> Component:
    """The adapter of a file in either layout. Raises KeyError with the name of a missing tensor."""
    named = {_diffusers_name(name.removeprefix(PREFIX), found): tensor for name, tensor in found.items()}
    light = "conv_in.weight" not in named
    levels = count(named, r"body\.(\d{1,2})\.")
    shown = named["body.0.in_conv.weight" if light else "conv_in.weight"].shape[1]
    large = shown in LARGE_CELLS
    cell = LARGE_CELL if large else CELL
    widths = tuple(named[f"body.{level}.out_conv.weight" if light else f"body.{level}.resnets.0.block1.weight"].shape[0]
                   for level in range(levels))
    config = {
        "in_channels": max(shown // cell ** 2, 1),
        "channels": list(widths[:-1] if light else widths),     # a light one has its last level twice
        "num_res_blocks": count(named, r"body\.0\.resnets\.(\d{1,2})\."),
        "downscale_factor": cell,
        "adapter_type": "light_adapter" if light else "full_adapter_xl" if large else "full_adapter",
    }
    return Component(config, {PREFIX + name: tensor for name, tensor in named.items()})


def _diffusers_name(name: str, found: Mapping[str, Tensor]) -> str:
    """From the authors' layout; names of diffusers' own are as they are."""
    if block := _LIGHT.fullmatch(name):
        return f"body.{block[1]}.resnets.{block[2]}.{block[3]}"
    block = _BLOCK.fullmatch(name)
    if block is None or "conv_in.weight" not in found:
        return name
    level, number = divmod(int(block[1]), BLOCKS)
    if block[2] == "in_conv":
        return f"body.{level}.in_conv.{block[3]}"
    return f"body.{level}.resnets.{number}.{block[2]}.{block[3]}"
