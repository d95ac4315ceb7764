"""Several pictures as one, in rows and columns."""

from __future__ import annotations

import math
from collections.abc import Iterable

from PIL import Image

MAX_SIDE = 16_383           # pixels; what WebP can hold
MAX_PIXELS = 64 * 2**20     # memory and time of the process that saves it
Size = tuple[int, int]


def layout(count: int) -> tuple[int, int]:
    """(rows, columns) for `count` pictures, 1 or more, as AUTOMATIC1111 lays them out: rows = round(sqrt(count))."""
    rows = min(round(math.sqrt(count)), count)
    return rows, math.ceil(count / rows)


def cell(count: int, size: Size) -> Size:
    """The size of one picture in the grid: its own, or smaller where the whole would be too large."""
    rows, columns = layout(count)
    width, height = size
    share = min(1.0, MAX_SIDE / (columns * width), MAX_SIDE / (rows * height),
                math.sqrt(MAX_PIXELS / (columns * width * rows * height)))
    return max(1, int(width * share)), max(1, int(height * share))


def grid(images: Iterable[Image.Image], count: int, size: Size) -> Image.Image:
    """`count` pictures row by row on black, each fitted into the middle of a cell for pictures of `size` (w, h).

    Only one of them is held in memory at a time.
    """
    _, columns = layout(count)
    width, height = cell(count, size)
    whole = Image.new("RGB", (columns * width, layout(count)[0] * height))
    for place, image in enumerate(images):
        fitted = _fitted(image.convert("RGB"), (width, height))
        left, top = place % columns * width, place // columns * height
        whole.paste(fitted, (left + (width - fitted.width) // 2, top + (height - fitted.height) // 2))
    return whole


def _fitted(image: Image.Image, room: Size) -> Image.Image:
    share = min(1.0, room[0] / image.width, room[1] / image.height)
    size = max(1, round(image.width * share)), max(1, round(image.height * share))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)
