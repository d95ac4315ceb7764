"""Outpainting: a picture gets new sides, and a mask that covers them and reaches a little into what was there."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from backend.request.output_size import Margins
from backend.worker.pixels import Pixels

REACH = 2           # blur radii that the mask reaches into the old picture, so that it is full where that ends
SHARE = 4           # but at most such a part of its side

Blur = tuple[int, int]      # radii in pixels, across and along


def grown(picture: Image.Image, margins: Margins) -> Image.Image:
    """The picture unscaled at its place; its outermost lines go on to the new edges."""
    sides = ((margins.up, margins.down), (margins.left, margins.right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(picture), sides, mode="edge"))


def grown_mask(mask: Image.Image | None, size: tuple[int, int], margins: Margins, blur: Blur) -> Image.Image:
    """The new sides of a picture of `size` and what `mask` marks in it, softened by `blur`; the new sides are full."""
    width, height = margins.around(size)
    new = Image.new("L", (width, height), 255)
    new.paste(0, (margins.left, margins.up, margins.left + size[0], margins.up + size[1]))
    marked = Image.new("L", (width, height), 255)
    marked.paste(0, _old(size, margins, blur))
    if mask:
        painted = Image.new("L", (width, height))
        painted.paste(mask, (margins.left, margins.up))
        marked = ImageChops.lighter(marked, painted)
    soft = marked.filter(ImageFilter.GaussianBlur(blur)) if any(blur) else marked
    return ImageChops.lighter(soft, new)


def padded(pixels: Pixels, height: int, width: int) -> Pixels:
    """(H, W, ...) continued by the outermost lines, right and below, to `height` x `width`."""
    missing = (max(height - pixels.shape[0], 0), max(width - pixels.shape[1], 0))
    return np.pad(pixels, [(0, side) for side in missing] + [(0, 0)] * (pixels.ndim - 2), mode="edge")


def _old(size: tuple[int, int], margins: Margins, blur: Blur) -> tuple[int, int, int, int]:
    """The part of the old picture that the mask leaves alone: left, top, right, bottom."""
    across, along = (min(REACH * radius, side // SHARE) for radius, side in zip(blur, size, strict=True))
    return (
        margins.left + across * bool(margins.left),
        margins.up + along * bool(margins.up),
        margins.left + size[0] - across * bool(margins.right),
        margins.up + size[1] - along * bool(margins.down),
    )
