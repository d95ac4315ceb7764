"""What one call of a denoiser costs, told from the shapes of its weights alone: said before a job is queued.

Every weight is used once for each latent cell of its level, self-attention once for each pair of them: against torch's
own counter the operations are right within 1 % (Stable Diffusion 1 and the demo model, 512 to 8192 pixels). Memory is
`PEAK` times the widest layer: measured in float32 it lies within 0.8 and 1.3 of the truth from 1024 pixels on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

from backend.catalog.fingerprints import Fingerprint
from backend.catalog.headers import Shapes, read_shapes
from backend.errors import Problem
from backend.request.detailer import is_on, own_size
from backend.request.output_size import CELL, Size
from backend.request.record import place
from backend.request.request import Request

PEAK = 6                    # of the widest layer's numbers that are held at once
TEXT_TOKENS = 77
LONGEST_CALL = 3600.0       # seconds of one call, which nothing can interrupt
PREFIX = "model.diffusion_model."
ITEM_BYTES = {"float32": 4}

_NOT_PER_CELL = re.compile(r"time_emb|emb_layers|label_emb|add_embedding|attn2\.to_[kv]\.")
_BLOCK = re.compile(r"(down_blocks|up_blocks|input_blocks|output_blocks)\.(\d{1,3})\.")
_SHRINKS = re.compile(r"\.downsamplers\.|^input_blocks\.\d+\.0\.op\.")
_GROWS = re.compile(r"\.upsamplers\.|^output_blocks\.\d+\.\d\.conv\.")


@dataclass(frozen=True, slots=True)
class CallEstimate:
    """Of one row. All 0 for networks of a build that is not known."""

    per_cell: float = 0.0           # operations for each latent cell
    per_pair: float = 0.0           # operations for each pair of latent cells
    held_per_cell: float = 0.0      # numbers in memory at the peak, beside the network

    @classmethod
    def of(cls, shapes: Shapes) -> CallEstimate:
        """From the tensors of a checkpoint's file, or of a UNet in diffusers' names."""
        inside = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if name.startswith(PREFIX)}
        inner = inside or shapes
        levels = _Levels.of(inner)
        weights = [(name, shape, levels.of_weight(name)) for name, shape in inner.items()
                   if levels and name.endswith(".weight") and len(shape) > 1 and not _NOT_PER_CELL.search(name)]
        return cls(
            per_cell=sum((2 * prod(shape) + _to_the_text(name, shape)) / 4**level for name, shape, level in weights),
            per_pair=sum(4 * shape[0] / 16**level for name, shape, level in weights if ".attn1.to_q." in name),
            held_per_cell=PEAK * max((max(shape[:2]) / 4**level for _, shape, level in weights), default=0),
        )

    def operations(self, size: Size) -> float:
        """Additions and multiplications for a picture of `size` (width, height) in pixels."""
        cells = _cells(size)
        return self.per_cell * cells + self.per_pair * cells**2

    def bytes(self, size: Size, item: int) -> int:
        """Memory at the peak beside the network, in a number format of `item` bytes."""
        return int(self.held_per_cell * _cells(size) * item)


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """What a worker told of its device: bytes of memory and operations per second at best; 0 where it is not known."""

    memory: int = 0
    speed: float = 0.0
    dtype: str = "float32"


NO_LIMITS = DeviceLimits()


@lru_cache(maxsize=64)
def read_estimate(path: Path, mark: Fingerprint | None = None) -> CallEstimate:
    """Of a checkpoint's file or diffusers folder in the state that `mark` names: read once in each state.

    Raises CheckpointError when its header cannot be read.
    """
    if not path.is_dir():
        return CallEstimate.of(read_shapes(path))
    shapes: Shapes = {}
    for file in sorted((path / "unet").glob("*.safetensors")):
        shapes |= read_shapes(file)
    return CallEstimate.of(shapes)


def obstacle(request: Request, estimate: CallEstimate, device: DeviceLimits) -> Problem | None:
    """Why not even one row of the request can be computed there: it needs more memory than there is, or takes too long.

    Names the field that makes it large.
    """
    size, field = max([largest_pass(request), *detailer_passes(request)], key=lambda each: each[0][0] * each[0][1])
    needed = estimate.bytes(size, ITEM_BYTES.get(device.dtype, 2))
    sides = f"{size[0]:,} x {size[1]:,} pixels"
    if device.memory and needed > device.memory:
        return Problem(f"{sides} need about {needed / 2**30:,.0f} GiB of memory for one step, and the device has "
                       f"{device.memory / 2**30:,.0f}", field)
    seconds = estimate.operations(size) / device.speed if device.speed else 0.0
    if seconds > LONGEST_CALL:
        return Problem(f"{sides} take {seconds / 3600:,.0f} hours or more for one step on this device", field)
    return None


def largest_pass(request: Request) -> tuple[Size, str]:
    """The largest size (width, height) that the request draws at, and the field that decides it."""
    width, height = request.width, request.height
    if not request.enable_hr:
        return (width, height), "width" if width >= height else "height"
    x, y = request.hr_resize_x, request.hr_resize_y
    if not x and not y:
        second, field = (int(width * request.hr_scale), int(height * request.hr_scale)), "hr_scale"
    else:
        second = x or y * width // height, y or x * height // width
        field = "hr_resize_x" if x else "hr_resize_y"
    return max(((width, height), "width"), (second, field), key=lambda each: each[0][0] * each[0][1])


def detailer_passes(request: Request) -> Iterator[tuple[Size, str]]:
    """The sizes (width, height) that detailers draw at, and the field that decides each."""
    for number, unit in enumerate(request.detailers):
        size = own_size(unit, (request.width, request.height)) if is_on(unit) else (0, 0)
        yield size, place("detailers", number, "width" if size[0] >= size[1] else "height")


@dataclass(frozen=True, slots=True)
class _Levels:
    """How often a UNet's blocks have halved the picture; `shrinking`, `growing` are numbers of blocks in LDM names."""

    deepest: int
    shrinking: frozenset[int]
    growing: frozenset[int]

    @classmethod
    def of(cls, names: Iterable[str]) -> _Levels | None:
        """None when the names are not a UNet's."""
        blocks = [(found[1], int(found[2]), name) for name in names if (found := _BLOCK.match(name))]
        shrinking = {number for kind, number, name in blocks if kind == "input_blocks" and _SHRINKS.search(name)}
        growing = {number for kind, number, name in blocks if kind == "output_blocks" and _GROWS.search(name)}
        down = max((number for kind, number, _ in blocks if kind == "down_blocks"), default=len(shrinking))
        return cls(down, frozenset(shrinking), frozenset(growing)) if blocks else None

    def of_weight(self, name: str) -> int:
        """The level of what the weight gives; the picture's own for a block that no UNet has."""
        return max(self._level(name), 0)

    def _level(self, name: str) -> int:
        found = _BLOCK.match(name)
        if not found:
            return self.deepest if name.startswith("mid") else 0
        kind, number = found[1], int(found[2])
        if kind == "input_blocks":
            return sum(each <= number for each in self.shrinking)
        if kind == "output_blocks":
            return self.deepest - sum(each < number for each in self.growing) - bool(_GROWS.search(name))
        if kind == "down_blocks":
            return number + bool(_SHRINKS.search(name))
        return self.deepest - number - bool(_GROWS.search(name))


def _to_the_text(name: str, shape: tuple[int, ...]) -> int:
    return 4 * shape[0] * TEXT_TOKENS if ".attn2.to_q." in name else 0


def _cells(size: Size) -> int:
    return (size[0] // CELL) * (size[1] // CELL)

