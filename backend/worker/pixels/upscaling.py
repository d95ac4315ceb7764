"""Pixels brought to a size by a named upscaler: one that needs no file, or a network that works through them in tiles.

`enlarged` is a program like `pipeline.draw`: what needs a network is yielded as a work item and answered by the engine.
As in AUTOMATIC1111 a network runs as often as it takes to reach the size, at most three times; Lanczos does the rest.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from backend.errors import OutOfMemory
from backend.worker.pixels import Pixels
from backend.worker.pixels.tile_blender import OVERLAP, blended, spans

BUILT_IN = {
    "None": Image.Resampling.LANCZOS,
    "Lanczos": Image.Resampling.LANCZOS,
    "Nearest": Image.Resampling.NEAREST,
}
PASSES = 3                  # of one network over the same picture
SMALLEST = 2 * OVERLAP      # the side of a tile; a smaller one would consist of overlap alone

Size = tuple[int, int]      # width, height


@dataclass(frozen=True, slots=True)
class Traits:
    """What must be known of a network before it is used: how much larger its answer is, and pixels of a tile's side."""

    scale: int
    tile: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Work item: load an upscaler. Answered by its `Traits`."""

    upscaler: str


@dataclass(frozen=True, slots=True)
class Expect:
    """Work item: so many more tiles than were told before will be asked for. Answered by None."""

    tiles: int


@dataclass(frozen=True, slots=True, eq=False)
class Enlarge:
    """Work item: run an upscaler on pixels, uint8 (h, w, 3). Answered by (h * scale, w * scale, 3).

    The answer is None where memory is too short for that many pixels.
    """

    upscaler: str
    tile: Pixels


Enlarging = Generator[Inspect | Expect | Enlarge, Any, Pixels]


@dataclass(frozen=True, slots=True)
class UpscalePlan:
    """How pixels of one size come to another: the size after each run of the network; empty for what needs none."""

    upscaler: str
    source: Size
    target: Size
    steps: tuple[Size, ...] = ()
    tile: int = 0

    @property
    def tiles(self) -> int:
        """How often the network will be called."""
        return sum(self._tiles(*size) for size in (self.source, *self.steps)[:-1]) if self.steps else 0

    def run(self, pixels: Pixels) -> Enlarging:
        """The pixels (H, W, 3) at the target size."""
        if not self.steps:
            return resized(pixels, self.target, BUILT_IN.get(self.upscaler, Image.Resampling.LANCZOS))
        tile = self.tile
        for step in self.steps:
            pixels, tile = yield from _passed(pixels, self.upscaler, step, tile)
        return pixels

    def _tiles(self, width: int, height: int) -> int:
        return len(spans(width, width, self.tile)) * len(spans(height, height, self.tile))


def enlarged(pixels: Pixels, upscaler: str, width: int, height: int) -> Enlarging:
    """The pixels (H, W, 3) at exactly `width` x `height`. Raises OutOfMemory when not even small tiles fit."""
    plan = yield from planned(upscaler, (pixels.shape[1], pixels.shape[0]), (width, height))
    if plan.tiles:
        yield Expect(plan.tiles)
    return (yield from plan.run(pixels))


def planned(upscaler: str, source: Size, target: Size) -> Generator[Inspect, Traits, UpscalePlan]:
    """How an upscaler brings a picture to a size. A network never runs to make a picture smaller."""
    smaller = target != source and target[0] <= source[0] and target[1] <= source[1]
    if upscaler in BUILT_IN or smaller:
        return UpscalePlan(upscaler, source, target)
    traits = yield Inspect(upscaler)
    width, height = source
    steps: list[Size] = []
    while not steps or traits.scale > 1 and len(steps) < PASSES and (width < target[0] or height < target[1]):
        width, height = width * traits.scale, height * traits.scale
        steps.append((width, height))
    return UpscalePlan(upscaler, source, target, (*steps[:-1], target), traits.tile)


def resized(pixels: Pixels, size: Size, method: Image.Resampling) -> Pixels:
    """Pixels (H, W, 3) at another size by Pillow."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, method))


def _passed(
    pixels: Pixels, upscaler: str, size: Size, tile: int
) -> Generator[Expect | Enlarge, Any, tuple[Pixels, int]]:
    """One run of a network over the whole, straight to `size`, and the tile that memory allowed.

    A tile that is too large for the memory starts the run anew with tiles of half the side.
    """
    height, width = pixels.shape[:2]
    while True:
        rows, columns = spans(height, size[1], tile), spans(width, size[0], tile)
        done = yield from _tiled(pixels, upscaler, blended(rows, columns), (size[1] / height, size[0] / width))
        if done is not None:
            return done, tile
        if tile <= SMALLEST:
            raise OutOfMemory(f"{upscaler} needs more memory than there is, even in tiles of {tile} pixels")
        tile = max(tile // 2, SMALLEST)
        yield Expect(len(spans(height, size[1], tile)) * len(spans(width, size[0], tile)))


def _tiled(
    pixels: Pixels, upscaler: str, blending: Generator[Any, Pixels, Pixels], ratio: tuple[float, float]
) -> Generator[Enlarge, Pixels | None, Pixels | None]:
    """All tiles of one run, or None at the first for which memory is too short."""
    box = next(blending)
    while True:
        answer = yield Enlarge(upscaler, box.cut(pixels))
        if answer is None:
            return None
        try:
            box = blending.send(box.fitted(answer, ratio))
        except StopIteration as end:
            return end.value
