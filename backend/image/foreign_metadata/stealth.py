"""Texts hidden in the lowest bit of a picture's alpha, column by column: NovelAI's way to outlive lost chunks."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.image.foreign_metadata.texts import PARAMETERS, json_object

PLAIN, COMPRESSED = b"stealth_pnginfo", b"stealth_pngcomp"      # what the bits begin with
MOST = 4 << 20          # bytes that a text may have
_HEAD = len(PLAIN)


def hidden_texts(image: Image.Image) -> dict[str, str]:
    """The texts by their place, as `Texts` has them; none in a picture without alpha or with an ordinary one.

    The picture is decoded. Raises what Pillow raises over a damaged one.
    """
    if image.mode != "RGBA":
        return {}
    alpha = np.asarray(image.getchannel("A"))
    first = _bytes(alpha[:, : -(-_HEAD * 8 // alpha.shape[0])])[:_HEAD]
    if first not in (PLAIN, COMPRESSED):
        return {}
    data = _bytes(alpha)
    length = int.from_bytes(data[_HEAD:_HEAD + 4], "big") // 8      # told in bits
    text = _text(data[_HEAD + 4:][: min(length, MOST)], first == COMPRESSED)
    chunks = json_object(text)
    return {key: value for key, value in chunks.items() if isinstance(value, str)} if chunks else {PARAMETERS: text}


def _bytes(alpha: NDArray[np.uint8]) -> bytes:
    return np.packbits((alpha & 1).T.ravel()).tobytes()


def _text(data: bytes, compressed: bool) -> str:
    if compressed:
        try:
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, MOST)
        except zlib.error:
            return ""
    return data.decode("utf-8", "replace")
