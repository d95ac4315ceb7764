"""A large picture in tiles: where they lie, and how their results become one picture without seams.

Neighbouring tiles overlap. Half of the overlap, around its middle, is a linear ramp from one to the other; the outer
quarters, where a network guesses what lies beyond its tile, are not used at all. Results are blended row by row of
tiles, so that beside the whole only one such row is held as floating point numbers. Upscalers, SD upscale and the VAE
use it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from backend.worker.pixels import Pixels

OVERLAP = 32                # source pixels that neighbours share at least

Weights = NDArray[np.float32]
Values = NDArray[np.float32] | Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """A tile along one axis: it sees the source's `start` to `stop` and fills the result's `first` to `end`.

    `weights` has one number in 0..1 for each of the pixels that it fills; all spans' numbers add up to 1 at each pixel.
    """

    start: int
    stop: int
    first: int
    end: int
    weights: Weights


@dataclass(frozen=True, slots=True)
class Box:
    """One tile of a picture: its spans down and across."""

    row: Span
    column: Span

    def cut(self, pixels: Pixels) -> Pixels:
        """What the tile sees of the source (H, W, 3)."""
        return pixels[self.row.start:self.row.stop, self.column.start:self.column.stop]

    def fitted(self, enlarged: Values, ratio: tuple[float, float]) -> Values:
        """The part of the enlarged tile (h, w, C) that it fills in the result; pixels by Lanczos to another size.

        `ratio` is the result's size over the source's, down and across.
        """
        height, width = self.row.end - self.row.first, self.column.end - self.column.first
        top, bottom = _inside(self.row, ratio[0], enlarged.shape[0])
        left, right = _inside(self.column, ratio[1], enlarged.shape[1])
        if (bottom - top, right - left) == (height, width) and top.is_integer() and left.is_integer():
            return enlarged[int(top):int(bottom), int(left):int(right)]
        image = Image.fromarray(np.ascontiguousarray(enlarged))
        box = (left, top, right, bottom)
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box))


def spans(length: int, target: int, tile: int, overlap: int = OVERLAP) -> list[Span]:
    """`length` source pixels in tiles of at most `tile`, for a result of `target` pixels; evenly spread."""
    starts, size = [0], min(tile, length)
    if length > tile:
        count = math.ceil((length - overlap) / (tile - overlap))
        starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    ratio = target / length
    seams = [ratio * (later + before + size) / 2 for before, later in pairwise(starts)]
    edges = [_Seam(0, 0), *(_Seam(seam, ratio * overlap / 4) for seam in seams), _Seam(target, 0)]
    return [_span(start, start + size, *sides) for start, sides in zip(starts, pairwise(edges), strict=True)]


def blended(
    rows: list[Span], columns: list[Span], channels: int = 3, dtype: DTypeLike = np.uint8
) -> Generator[Box, Values, Values]:
    """Yields each tile, is sent the values (h, w, channels) that it fills, and returns the whole (H, W, channels).

    As uint8 the whole is rounded and kept in 0..255.
    """
    width = columns[-1].end
    result = np.empty((rows[-1].end, width, channels), dtype)
    carried = np.empty((0, width, channels), np.float32)
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        strip = np.zeros((row.end - row.first, width, channels), np.float32)
        for column in columns:
            piece = yield Box(row, column)
            strip[:, column.first:column.end] += piece * column.weights[:, None]
        strip *= row.weights[:, None, None]
        strip[:len(carried)] += carried
        whole = (after.first if after else row.end) - row.first
        carried = strip[whole:].copy()
        _store(strip[:whole], result[row.first:row.first + whole])
    return result


def blend(blending: Generator[Box, Values, Values], values: Callable[[Box], Values]) -> Values:
    """The whole that `blended` returns, of what `values` gives for each tile."""
    try:
        box = next(blending)
        while True:
            box = blending.send(values(box))
    except StopIteration as end:
        return end.value


@dataclass(frozen=True, slots=True)
class _Seam:
    """Where one tile gives way to the next in the result, and half the width of the ramp."""

    middle: float
    half: float

    def risen(self, pixels: Weights) -> Weights:
        """0 before the ramp, 1 behind it."""
        if not self.half:
            return (pixels >= self.middle).astype(np.float32)
        return ((pixels - self.middle + self.half) / (2 * self.half)).clip(0, 1)


def _store(strip: Weights, place: Values) -> None:
    if place.dtype == np.uint8:
        np.rint(strip, out=strip)
        strip.clip(0, 255, out=strip)
    place[:] = strip


def _span(start: int, stop: int, left: _Seam, right: _Seam) -> Span:
    first, end = math.floor(left.middle - left.half), math.ceil(right.middle + right.half)
    centres = np.arange(first, end, dtype=np.float32) + np.float32(0.5)
    return Span(start, stop, first, end, left.risen(centres) - right.risen(centres))


def _inside(span: Span, ratio: float, length: int) -> tuple[float, float]:
    """The span's result in pixels of its enlarged tile, which is `length` long."""
    scale = length / (span.stop - span.start)
    first, end = ((edge / ratio - span.start) * scale for edge in (span.first, span.end))
    return max(_whole(first), 0.0), min(_whole(end), float(length))


def _whole(number: float) -> float:
    """Without the error of a division."""
    return float(round(number)) if abs(number - round(number)) < 1e-6 else number
