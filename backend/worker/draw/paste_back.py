"""The drawn part put back into the picture that it was drawn for (AUTOMATIC1111 1.10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from backend.worker.draw.outpaint import padded
from backend.worker.pixels import Pixels

LANCZOS = Image.Resampling.LANCZOS

Box = tuple[int, int, int, int]                                 # left, top, right, bottom in pixels


@dataclass(frozen=True, slots=True)
class Frame:
    """What stays of the input: `picture` (H, W, 3) shows where `mask` (H, W) is 0.

    `size` (height, width) is drawn: of the part `box`, or of the picture, then continued right and below if need be.
    """

    picture: Pixels
    mask: Pixels
    size: tuple[int, int]
    box: Box | None = None

    def part(self) -> Pixels:
        """What is drawn, as it is in the picture."""
        if not self.box:
            return padded(self.picture, *self.size)
        part = Image.fromarray(self.picture).crop(self.box)
        return np.asarray(fitted(part, self.size[1], self.size[0], "Resize and fill"))

    def around(self, drawn: Pixels) -> Pixels:
        """The drawn part in its place, blended by the mask: where that is 0, the input bit for bit."""
        height, width = self.mask.shape
        if self.box:
            left, top, right, bottom = self.box
            part = fitted(Image.fromarray(drawn), right - left, bottom - top, "Crop and resize")
            whole = self.picture.copy()
            whole[top:bottom, left:right] = np.asarray(part)
            drawn = whole
        share = self.mask[..., None].astype(np.uint32)
        mixed = (drawn[:height, :width] * share + self.picture * (255 - share) + 127) // 255
        return mixed.astype(np.uint8)


def fitted(image: Image.Image, width: int, height: int, mode: str) -> Image.Image:
    """An image at exactly `width` x `height`, in one of the pixel modes of request.RESIZE_MODES."""
    if image.size == (width, height):
        return image
    if mode == "Just resize":
        return image.resize((width, height), LANCZOS)
    larger = width / height > image.width / image.height
    if (mode == "Crop and resize") == larger:
        size = width, max(image.height * width // image.width, 1)
    else:
        size = max(image.width * height // image.height, 1), height
    resized = np.asarray(image.resize(size, LANCZOS))
    return Image.fromarray(_centred(_centred(resized, height, 0), width, 1))


def _centred(pixels: Pixels, length: int, axis: int) -> Pixels:
    """Cut at both ends of an axis, or continued by the outermost line, to `length`."""
    missing = length - pixels.shape[axis]
    if missing <= 0:
        return pixels.take(range(-missing // 2, -missing // 2 + length), axis)
    around = [(0, 0)] * pixels.ndim
    around[axis] = (missing // 2, missing - missing // 2)
    return np.pad(pixels, around, mode="edge")
