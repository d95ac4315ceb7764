"""Upscalers and restorers from single files: any network that spandrel knows. No file's code is ever run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.worker.device import Placement, free_bytes
from backend.worker.models.load_errors import loading
from backend.worker.models.tensor_files import read_table
from backend.worker.pixels import Pixels
from backend.worker.pixels.upscaling import Traits

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

LOOKS_AROUND = ("NAFNet",)      # networks that average over all they see, though spandrel does not say so
CONVOLUTIONS = ("ESRGAN", "Compact")    # nothing else in them: colours last in memory halve their time on a CPU
TILE_SHARE = 0.25               # of the free memory that a tile's activations may take, at most
PIXEL_BYTES = 768               # activations per output pixel in float32: 64 channels, three layers at a time
CARD_ROOM = 4                   # times as many bytes on a graphics card: larger tiles keep it busier
_STRANGE = (AssertionError, AttributeError, ArithmeticError, LookupError, NotImplementedError, RuntimeError, TypeError,
            ValueError)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far around a pixel a network looks: the sides of tiles that suit it, and bytes for the activations of one."""

    smallest: int
    largest: int
    bytes: int


NEAR = Reach(192, 512, 640 << 20)
WIDE = Reach(192, 1024, 1280 << 20)         # what spandrel would rather not see tiled, such as SCUNet and SwinIR
WHOLE = Reach(512, 4096, 1 << 40)           # what must see everything at once


@dataclass(eq=False)
class Upscaler:
    """A network in memory, in eval mode. Owned by `Memory`; others hold it for one call."""

    file: ModelFile
    network: ImageModelDescriptor

    @property
    def bytes(self) -> int:
        """Memory that the network takes."""
        return sum(tensor.nbytes for tensor in (*self.network.model.parameters(), *self.network.model.buffers()))

    @property
    def device(self) -> torch.device:
        return self.network.device

    def to(self, device: torch.device) -> Self:
        """Move the network, its number format unchanged. Where memory runs out it is back where it was."""
        before = self.device
        try:
            self.network.to(device)
        except (RuntimeError, MemoryError):
            self.network.to(before)
            raise
        return self

    @property
    def traits(self) -> Traits:
        return Traits(self.network.scale, self._tile())

    @property
    def restores_faces(self) -> bool:
        return self.network.purpose == "FaceSR"

    def run(self, pixels: Pixels) -> Pixels:
        """Pixels (h, w, 3) enlarged by the network's scale."""
        answer = self._answer(pixels)
        if self.network.dtype == torch.float16 and not answer.isfinite().all():
            self.network.float()        # its numbers outgrow float16, whatever its architecture promises
            answer = self._answer(pixels)
        return _pixels(answer[0, :3].expand(3, -1, -1))

    def restore(self, face: Pixels, weight: float = 0.5) -> Pixels:
        """An aligned face (512, 512, 3) made clean; `weight` is CodeFormer's fidelity, which others do not have.

        GFPGAN, RestoreFormer and CodeFormer take and give numbers in -1..1.
        """
        picture = self._tensor(face) * 2 - 1
        if self.network.architecture.id == "CodeFormer":
            answer = self.network.model(picture, weight=weight)[0]
        elif self.network.architecture.id == "GFPGAN":
            answer = self.network.model(picture, return_rgb=False, randomize_noise=False)[0]
        else:
            answer = self.network.model(picture)
            answer = answer[0] if isinstance(answer, tuple) else answer
        return _pixels((answer[0].float() + 1) / 2)

    def _answer(self, pixels: Pixels) -> Tensor:
        picture = self._tensor(pixels)
        return self.network(picture.mean(1, keepdim=True) if self.network.input_channels == 1 else picture)

    def _tensor(self, pixels: Pixels) -> Tensor:
        """(1, 3, h, w) in 0..1 on the network's device."""
        picture = torch.from_numpy(np.array(pixels)).to(self.network.device)
        return picture.permute(2, 0, 1)[None].to(self.network.dtype) / 255

    def _tile(self) -> int:
        """Pixels of a tile's side: as many as memory allows within what suits the network's reach."""
        network, reach = self.network, self._reach()
        most = reach.bytes * (CARD_ROOM if network.device.type == "cuda" else 1)
        room = min(free_bytes(network.device) * TILE_SHARE, most)
        pixel = PIXEL_BYTES * network.dtype.itemsize / 4 * max(network.scale, 2)**2
        side = int(min(max((room / pixel)**0.5, reach.smallest), reach.largest))
        whole = network.size_requirements.multiple_of
        return max(side // whole, 1) * whole

    def _reach(self) -> Reach:
        advice = self.network.tiling.name
        if advice == "SUPPORTED":
            return WIDE if self.network.architecture.id in LOOKS_AROUND else NEAR
        return WIDE if advice == "DISCOURAGED" else WHOLE


def load(file: ModelFile, placement: Placement) -> Upscaler:
    """Read a file of any architecture that spandrel and spandrel_extra_arches know. CheckpointError names the file."""
    with loading(file) as path:
        network = _built(_tensors(path))
        network.to(placement.device, _format(network, placement)).eval()
    network.model.requires_grad_(False)
    if network.architecture.id in CONVOLUTIONS:
        network.model.to(memory_format=torch.channels_last)
    return Upscaler(file, network)


def _tensors(path: Path) -> dict[str, Any]:
    from spandrel import canonicalize_state_dict

    table = canonicalize_state_dict(dict(read_table(path)))
    if not isinstance(table, Mapping) or not any(isinstance(value, Tensor) for value in table.values()):
        raise CheckpointError("the file holds no tensors")
    return {str(name): value for name, value in table.items()}


def _built(tensors: dict[str, Any]) -> ImageModelDescriptor:
    from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError

    _learn_more_architectures()
    try:
        network = ModelLoader("cpu").load_from_state_dict(tensors)
    except UnsupportedModelError:
        raise CheckpointError("it is no upscaler or restorer that spandrel knows") from None
    except _STRANGE as error:
        raise CheckpointError("it looks like an upscaler, but its tensors do not fit") from error
    if not isinstance(network, ImageModelDescriptor) or network.input_channels not in (1, 3):
        raise CheckpointError("it does not turn a plain picture into another one")
    return network


@cache
def _learn_more_architectures() -> None:
    """Those under less free licences, CodeFormer's among them: their weights are the user's own choice."""
    from spandrel_extra_arches import install

    install(ignore_duplicates=True)


def _format(network: ImageModelDescriptor, placement: Placement) -> torch.dtype:
    """float16 on a card where the network bears it.

    float32 on a CPU: bfloat16 takes half the time there, but has too few digits for smooth areas of 8 bits.
    """
    half = placement.device.type == "cuda" and placement.unet == torch.float16 and network.supports_half
    return torch.float16 if half else torch.float32


def _pixels(picture: Tensor) -> Pixels:
    """(3, h, w) in 0..1 to uint8 (h, w, 3)."""
    return (picture.float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
