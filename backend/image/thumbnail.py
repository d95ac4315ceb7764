"""Small copies of pictures for galleries."""

from __future__ import annotations

import io
from pathlib import Path

from backend.errors import UserError
from backend.image.decode_budget import DECODING
from backend.image.read import BROKEN, open_picture


def thumbnail(path: Path, size: int = 256) -> bytes:
    """A WebP of the picture at `path`, at most `size` pixels (16 to 2048) wide and high.

    Raises NotFound if there is no such file, UserError if it cannot be decoded.
    """
    side = min(max(size, 16), 2048)
    with open_picture(path) as image, DECODING.share(image.size):
        try:
            image.draft("RGB", (side, side))
            image.thumbnail((side, side))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "WEBP", quality=80)
        except BROKEN:
            raise UserError("This picture's file is damaged.") from None
    return buffer.getvalue()
