"""What is painted in the browser: see-through colours over a picture, which become a mask, a sketch, or both."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops

from backend.errors import UserError

Size = tuple[int, int]
COVERS = 64             # alpha from which a stroke of the mask brush counts; whole paint has 153
ROUNDING = 2            # levels by which a graphics card may change colours that it only shows


def placed(paint: Image.Image, corner: tuple[int, int], size: Size) -> Image.Image:
    """A cut-out of the paint on a clear sheet of the picture's `size`; UserError when it lies outside."""
    left, top = corner
    if left < 0 or top < 0 or left + paint.width > size[0] or top + paint.height > size[1]:
        raise UserError("What is painted does not lie on the picture.")
    sheet = Image.new("RGBA", size)
    sheet.paste(paint, corner)
    return sheet


def as_mask(paint: Image.Image, covers: int = COVERS) -> Image.Image:
    """White where the paint has at least the alpha `covers`, else black."""
    return paint.getchannel("A").point(lambda alpha: 255 if alpha >= covers else 0)


def composite(picture: Image.Image, paint: Image.Image) -> Image.Image:
    """The picture with the paint on it, RGB."""
    return Image.alpha_composite(picture.convert("RGBA"), paint).convert("RGB")


def sketched_mask(paint: Image.Image) -> Image.Image:
    """White wherever a sketch has changed anything, be it by a trace of paint."""
    return as_mask(paint, covers=1)


def same_mask(mask: Image.Image, former: Image.Image) -> bool:
    """Whether both mark the same pixels; `former` may be of another size and have greys between."""
    resized = former.convert("L").resize(mask.size, Image.Resampling.NEAREST)
    return mask.tobytes() == resized.point(lambda level: 255 if level >= 128 else 0).tobytes()


def same_paint(paint: Image.Image, former: Image.Image) -> bool:
    """Whether both look the same over any picture, but for rounding."""
    if former.size != paint.size or former.mode != "RGBA":
        return False
    difference = ImageChops.difference(paint.convert("RGBa"), former.convert("RGBa"))
    return int(np.asarray(difference).max(initial=0)) <= ROUNDING
