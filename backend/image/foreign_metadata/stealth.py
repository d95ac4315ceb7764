"""Texts hidden in the lowest bits of a picture, column by column: NovelAI's way to outlive lost chunks.

They are those of the alpha, or in pictures without one those of red, green and blue, one after the other.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.image.foreign_metadata.texts import PARAMETERS, json_object

PLAIN = (b"stealth_pnginfo", b"stealth_rgbinfo")        # what the bits begin with
COMPRESSED = (b"stealth_pngcomp", b"stealth_rgbcomp")
MOST = 4 << 20          # bytes that a text may have
_HEAD = len(PLAIN[0])


def hidden_texts(image: Image.Image) -> dict[str, str]:
    """The texts by their place, as `Texts` has them; none in an ordinary picture.

    The picture is decoded. Raises what Pillow raises over a damaged one.
    """
    if image.mode not in ("RGB", "RGBA"):
        return {}
    pixels = np.asarray(image)
    for planes in (pixels[..., 3:], pixels[..., :3]):
        if text := _hidden(planes):
            chunks = json_object(text)
            strings = {key: value for key, value in chunks.items() if isinstance(value, str)}
            return strings if chunks else {PARAMETERS: text}
    return {}


def _hidden(planes: NDArray[np.uint8]) -> str:
    """The text in some channels (H, W, C) of a picture; "" for none."""
    columns = -(-_HEAD * 8 // max(planes.shape[0] * planes.shape[2], 1))
    first = _bytes(planes[:, :columns])[:_HEAD]
    if first not in (*PLAIN, *COMPRESSED):
        return ""
    data = _bytes(planes)
    length = int.from_bytes(data[_HEAD:_HEAD + 4], "big") // 8      # told in bits
    return _text(data[_HEAD + 4:][: min(length, MOST)], first in COMPRESSED)


def _bytes(planes: NDArray[np.uint8]) -> bytes:
    return np.packbits((planes & 1).transpose(1, 0, 2).ravel()).tobytes()


def _text(data: bytes, compressed: bool) -> str:
    if compressed:
        try:
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, MOST)
        except zlib.error:
            return ""
    return data.decode("utf-8", "replace")
