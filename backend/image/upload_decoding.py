"""Pictures that people send: any file that claims to be one becomes plain RGB pixels, or a clear refusal."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

from backend.errors import UserError
from backend.image.decode_budget import DECODING
from backend.image.decoding_bombs import is_bomb
from backend.image.png_completeness import is_whole
from backend.image.read import BROKEN
from backend.request.cross_field_checks import MAX_PIXELS

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
KEPT = ("PNG", "JPEG", "WEBP")      # what may be kept as it came, because it can be served and told apart for sure
MAX_BYTES = 128 * 2**20
STRIP = 256             # rows that are brought to RGB at once
Colour = tuple[int, int, int, int]
WHITE: Colour = (255, 255, 255, 255)
BLACK: Colour = (0, 0, 0, 255)


def picture(data: bytes) -> Image.Image:
    """RGB, upright; transparent parts white, of an animation the first frame, 16 bits brought to 8.

    Raises UserError saying what is wrong: no picture, damaged, too large.
    """
    return _read(data, WHITE, "picture")


def mask(data: bytes) -> Image.Image:
    """The same as grey levels: white marks, black does not.

    In a mask with transparency the alpha marks, whatever the colour, as in AUTOMATIC1111: it is painted where there
    was nothing.
    """
    found = _see_through(data, "mask")
    return found.getchannel("A") if found else _read(data, BLACK, "mask").convert("L")


def with_alpha(data: bytes) -> Image.Image:
    """As `picture`, but transparent parts stay: RGBA, where anything of it is not opaque."""
    return _see_through(data, "picture") or picture(data)


def paint(data: bytes) -> Image.Image:
    """RGBA as it stands: colours with what they let through. Raises UserError."""
    with _opened(data) as image, DECODING.share(image.size):
        try:
            _load(image, data)
            return image.convert("RGBA")
        except BROKEN:
            raise UserError("What is painted has not arrived whole.") from None


def check(data: bytes) -> None:
    """Raises UserError unless the file decodes whole as a PNG, JPEG or WebP of a size that Easel reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked here
        with _opened(data, KEPT) as image, DECODING.share(image.size):
            try:
                _load(image, data)
            except BROKEN:
                raise UserError("This picture's file is damaged or cut off.") from None


def from_base64(text: object) -> bytes:
    """The bytes in base64 text, with or without a `data:` head. Raises UserError."""
    if not isinstance(text, str):
        raise UserError("must be a picture in base64")
    body = text.partition(",")[2] if text.startswith("data:") else text
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise UserError(f"is larger than {MAX_BYTES // 2**20} MiB")
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise UserError("is not valid base64") from None


def size(data: bytes) -> tuple[int, int]:
    """Width and height as the header tells, before anything is decoded. UserError as in `picture`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with _opened(data) as image:
            return image.size


def png(image: Image.Image) -> bytes:
    """Lossless and without metadata; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _read(data: bytes, ground: Colour, what: str) -> Image.Image:
    """RGB, upright, transparent parts in the colour `ground`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked here
        with _opened(data) as image, DECODING.share(image.size):
            try:
                image.seek(0)
                _load(image, data)
                ImageOps.exif_transpose(image, in_place=True)
                return _flat(image, ground)
            except BROKEN:
                raise UserError(f"This {what}'s file is damaged or cut off.") from None


def _see_through(data: bytes, what: str) -> Image.Image | None:
    """RGBA, upright; None where all of the picture is opaque. Raises UserError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked in `_opened`
        with _opened(data) as image, DECODING.share(image.size):
            try:
                image.seek(0)
                if "A" not in image.getbands() and "transparency" not in image.info:
                    return None
                _load(image, data)
                ImageOps.exif_transpose(image, in_place=True)
                found = image.convert("RGBA")
                return None if found.getchannel("A").getextrema() == (255, 255) else found
            except BROKEN:
                raise UserError(f"This {what}'s file is damaged or cut off.") from None


def _opened(data: bytes, formats: Sequence[str] = FORMATS) -> Image.Image:
    if not data:
        raise UserError("The file is empty.")
    if len(data) > MAX_BYTES:
        raise UserError(f"The file is larger than {MAX_BYTES // 2**20} MiB.")
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError:
        raise UserError(_too_large()) from None
    except BROKEN:
        raise UserError("This file is not a picture that Easel can read; PNG, JPEG and WebP are.") from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UserError(_too_large(image.width, image.height))
    if is_bomb(image, data):
        image.close()
        raise UserError("This picture's file would take too long to read; save it as PNG.")
    return image


def _too_large(*size: int) -> str:
    of = f" of {size[0]:,} x {size[1]:,} pixels" if size else ""
    return f"The picture{of} is too large; at most {MAX_PIXELS // 10**6} megapixels are read."


def _load(image: Image.Image, data: bytes) -> None:
    """Decodes the pixels. OSError where the file promises more of them than it has."""
    image.load()
    if image.format == "PNG" and (image.info.get("interlace") or _ends_empty(image)) and not is_whole(data):
        raise OSError("rows are missing")


def _ends_empty(image: Image.Image) -> bool:
    """Whether the last row may never have been written: memory that Pillow takes for a picture is zero."""
    return not any(image.crop((0, image.height - 1, image.width, image.height)).tobytes())


def _flat(image: Image.Image, ground: Colour) -> Image.Image:
    """RGB, made a few rows at a time: copies of the whole would take several times its memory."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.convert("RGB")
    deep = image.mode.startswith("I") or image.mode == "F"
    top = max(_highest(strip) for _, strip in _strips(image)) if deep else 0.0
    top, whole = 65535.0 if top > 255 else 255.0, Image.new("RGB", image.size)
    for row, strip in _strips(image):
        whole.paste(_on_ground(_eight_bits(strip, top) if deep else strip, ground), (0, row))
    return whole


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, part of the picture) from top to bottom."""
    for row in range(0, image.height, STRIP):
        yield row, image.crop((0, row, image.width, min(row + STRIP, image.height)))


def _on_ground(image: Image.Image, ground: Colour) -> Image.Image:
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, ground), image.convert("RGBA"))
    return image.convert("RGB")


def _highest(image: Image.Image) -> float:
    return float(np.asarray(image).max(initial=0))


def _eight_bits(image: Image.Image, top: float) -> Image.Image:
    """Grey levels of 16 or more bits up to `top`; Pillow's own conversion would cut instead of scale."""
    levels = np.asarray(image).astype(np.float64)
    return Image.fromarray((np.nan_to_num(levels) / top * 255).clip(0, 255).round().astype(np.uint8))
