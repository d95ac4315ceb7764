"""The picture and the mask that a job starts from, brought to the size that is drawn.

All of it is plain pixels; the pipeline does the latents. Resizing, masks and pasting follow AUTOMATIC1111 1.10, so that
the same settings change the same pixels: where the blurred mask is black, the result is the input, exactly.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from backend.request.output_size import Margins, upscales
from backend.request.request import Request
from backend.worker.draw.colour_correction import recoloured
from backend.worker.draw.guide_hint import Part
from backend.worker.draw.outpaint import grown, grown_mask, padded
from backend.worker.draw.paste_back import LANCZOS, Box, Frame, fitted
from backend.worker.models.vae import GREY
from backend.worker.pixels import Pixels
from backend.worker.pixels.opaque import opaque

FILL_RADII = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))      # of "fill": blur radius, how often it is laid on


@dataclass(frozen=True, slots=True)
class Source:
    """`pixels` (H, W, 3) to encode; `mask` (H, W) in 0..255 at the same size, or None; `frame` for the end, or None.

    `colours`: the picture whose colours the result gets. `soft`: the mask's grey levels count. `given`: this is what
    the job started from, and not a later round of it. `tile`: where it lies in a picture that is drawn in tiles.
    """

    pixels: Pixels
    mask: Pixels | None = None
    frame: Frame | None = None
    colours: Pixels | None = None
    soft: bool = False
    given: bool = True
    tile: Part | None = None

    @classmethod
    def prepare(
        cls, request: Request, files: Mapping[str, bytes], cell: int, other: Pixels | None = None
    ) -> Self | None:
        """The source of a request from its PNG files by id; None when it starts from nothing.

        `cell`: pixels per latent cell of the model that draws. `other`: what the picture became before it is drawn
        from, in the place of its file.
        """
        if not request.init_image:
            return None
        picture = given_picture(request, files) if other is None else Image.fromarray(other)
        if upscales(request):
            return cls(np.asarray(picture))
        mask = _mask(request, files, picture.size)
        if margins := Margins.of(request):
            picture = grown(picture, margins)
        if mask is None:
            source = cls(_working_size(request, picture, cell))
        elif request.inpaint_area == "Only masked":
            source = cls._part(request, picture, mask)
        elif margins:
            source = cls._grown(request, picture, mask)
        else:
            source = cls._whole(request, _working_size(request, picture, cell), picture, mask)
        colours = source.pixels if request.color_correction else None
        return replace(source, colours=colours, soft=request.soft_inpainting)

    @classmethod
    def _whole(cls, request: Request, pixels: Pixels, picture: Image.Image, mask: Image.Image) -> Self:
        height, width = pixels.shape[:2]
        mask = fitted(mask, width, height, _pixel_mode(request))
        shown = fitted(picture, request.width, request.height, _pixel_mode(request))
        firm = _firm(fitted(mask, request.width, request.height, "Just resize"))
        frame = Frame(np.asarray(shown), firm, (request.height, request.width))
        return cls(_content(request, pixels, mask), np.asarray(mask), frame)

    @classmethod
    def _grown(cls, request: Request, picture: Image.Image, mask: Image.Image) -> Self:
        frame = Frame(np.asarray(picture), _firm(mask), (request.height, request.width))
        around = padded(np.asarray(mask), *frame.size)
        return cls(_content(request, frame.part(), Image.fromarray(around)), around, frame)

    @classmethod
    def _part(cls, request: Request, picture: Image.Image, mask: Image.Image) -> Self:
        box = drawn_box(mask, request.masked_padding, request.width / request.height)
        small = fitted(mask.crop(box), request.width, request.height, "Resize and fill")
        levels = _firm(mask) if request.soft_inpainting else np.asarray(mask)
        frame = Frame(np.asarray(picture), levels, (request.height, request.width), box)
        return cls(_content(request, frame.part(), small), np.asarray(small), frame)

    @property
    def whole(self) -> bool:
        """Whether all of the picture is drawn."""
        return self.frame is None or self.frame.box is None

    @property
    def part(self) -> Part | None:
        """Which part of a larger picture is drawn; None for all of it."""
        if self.frame is None or self.frame.box is None:
            return self.tile
        return Part((self.frame.picture.shape[1], self.frame.picture.shape[0]), self.frame.box)

    def latent_mask(self, cell: int) -> NDArray[np.float32]:
        """(H / cell, W / cell), 1 where cells are drawn anew, 0 where they stay; between them only in soft inpainting.

        Only for a source with a mask.
        """
        assert self.mask is not None
        height, width = self.mask.shape
        small = Image.fromarray(self.mask).resize((width // cell, height // cell), Image.Resampling.BICUBIC)
        levels = np.asarray(small, dtype=np.float32) / 255
        return levels if self.soft else np.around(levels)

    @property
    def hidden(self) -> NDArray[np.float32]:
        """The pixels with grey under the mask: what an inpainting network is shown."""
        assert self.mask is not None
        return np.where(self.mask[..., None] >= 128, np.float32(GREY), self.pixels)

    def at(self, size: tuple[int, int]) -> Pixels:
        """The pixels at a height and width, which are others only in the latent resize mode."""
        height, width = size
        return np.asarray(fitted(Image.fromarray(self.pixels), width, height, "Just resize"))

    def finished(self, drawn: Pixels) -> Pixels:
        """The picture to save from what was drawn (H, W, 3)."""
        if self.colours is not None:
            drawn = recoloured(drawn, self.colours)
        return self.frame.around(drawn) if self.frame else drawn

    def again(self, picture: Pixels) -> Self:
        """The source of the next round, from the finished picture of this one under the same mask."""
        height, width = (self.frame.picture if self.frame else self.pixels).shape[:2]
        picture = np.asarray(fitted(Image.fromarray(picture), width, height, "Just resize"))
        if self.frame is None or self.mask is None:
            return replace(self, pixels=picture, given=False)
        frame = replace(self.frame, picture=picture)
        pixels = frame.part()
        mask = fitted(Image.fromarray(self.mask), pixels.shape[1], pixels.shape[0], "Just resize")
        return replace(self, pixels=pixels, mask=np.asarray(mask), frame=frame, given=False)


def given_picture(request: Request, files: Mapping[str, bytes]) -> Image.Image:
    """The picture that a request starts from, as it was sent, without transparency."""
    return opaque(Image.open(io.BytesIO(files[request.init_image])))


def drawn_box(mask: Image.Image, padding: int, proportion: float) -> Box:
    """The marked part with `padding` pixels around, widened to width / height = `proportion` as the picture allows.

    All of it when nothing is marked.
    """
    left, top, right, bottom = mask.getbbox() or (0, 0, *mask.size)
    left, right = max(left - padding, 0), min(right + padding, mask.width)
    top, bottom = max(top - padding, 0), min(bottom + padding, mask.height)
    if (right - left) / (bottom - top) < proportion:
        left, right = _widened(left, right, round((bottom - top) * proportion), mask.width)
    else:
        top, bottom = _widened(top, bottom, round((right - left) / proportion), mask.height)
    return left, top, right, bottom


def surroundings(picture: Pixels, mask: Image.Image) -> Pixels:
    """`picture` with what is under the mask replaced by the colours around it, blurred more the farther in."""
    seen = Image.new("RGBa", mask.size)
    seen.paste(Image.fromarray(picture).convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    filled = Image.new("RGBA", mask.size)
    for radius, times in FILL_RADII:
        layer = seen.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            filled.alpha_composite(layer)
    return np.asarray(filled.convert("RGB"))


def _mask(request: Request, files: Mapping[str, bytes], size: tuple[int, int]) -> Image.Image | None:
    """Blurred grey levels of the picture's size, 255 to draw anew; None without a mask.

    With outpainting, of the grown picture's size and with its new sides.
    """
    mask = _marked(request, files, size) if request.mask else None
    blur = request.mask_blur, request.mask_blur if request.mask_blur_y is None else request.mask_blur_y
    if margins := Margins.of(request):
        return grown_mask(mask, size, margins, blur)
    return mask.filter(ImageFilter.GaussianBlur(blur)) if mask and any(blur) else mask


def _marked(request: Request, files: Mapping[str, bytes], size: tuple[int, int]) -> Image.Image:
    """The mask that was sent at the picture's size, 255 to draw anew: black and white, or with soft inpainting grey."""
    mask = Image.open(io.BytesIO(files[request.mask])).convert("L")
    mask = mask if mask.size == size else mask.resize(size, LANCZOS)
    if not request.soft_inpainting:
        mask = mask.point(lambda level: 255 if level >= 128 else 0)
    return ImageOps.invert(mask) if request.mask_mode == "Inpaint not masked" else mask


def _firm(mask: Image.Image) -> Pixels:
    """Levels for putting together what was mixed before: twice as high, so that only the outer edge is mixed again."""
    return (np.asarray(mask).astype(np.uint16) * 2).clip(0, 255).astype(np.uint8)


def _pixel_mode(request: Request) -> str:
    return "Just resize" if "latent" in request.resize_mode else request.resize_mode


def _working_size(request: Request, picture: Image.Image, cell: int) -> Pixels:
    """What is encoded: the size asked for, or with the latent mode the picture's own, in whole cells."""
    if "latent" in request.resize_mode:
        size = (max(side // cell, 1) * cell for side in picture.size)
        return np.asarray(fitted(picture, *size, "Just resize"))
    return np.asarray(fitted(picture, request.width, request.height, request.resize_mode))


def _content(request: Request, pixels: Pixels, mask: Image.Image) -> Pixels:
    return surroundings(pixels, mask) if request.masked_content == "fill" else pixels


def _widened(low: int, high: int, length: int, limit: int) -> tuple[int, int]:
    """A span around the same middle, `length` long, moved inside 0..limit; the whole of it when that is shorter."""
    if length >= limit:
        return 0, limit
    start = min(max(low - (length - (high - low)) // 2, 0), limit - length)
    return start, start + length
