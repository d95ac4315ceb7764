"""Embeddings in pictures, as AUTOMATIC1111 draws them: cards to be looked at that hold the vectors as well.

The vectors are JSON: in a PNG's text, or in the lower halves of the bytes of two stripes beside the picture, the low
and the high half of each byte, both mixed with a fixed sequence of numbers. Cards are taken for hostile.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from backend.errors import CheckpointError
from backend.files.regular_files import open_regular

PICTURES = (".png", ".webp")
TEXT = "sd-ti-embedding"
MAX_PIXELS = 16_000_000
MAX_JSON = 32 << 20             # bytes
MAX_BRACKETS = 10_000           # objects and lists in it: small ones take a hundred times their text in memory
MAX_VECTORS, MAX_WIDTH = 75, 16_384
_BROKEN = (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError, TypeError, LookupError,
           zlib.error, SyntaxError, RecursionError, OverflowError, AttributeError)


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """What a picture holds: the embedding's own name, "" where it has none, and its vectors (n, width), float32."""

    name: str
    vectors: NDArray[np.float32]


def read_card(path: Path) -> Card | None:
    """None for a picture without vectors. Raises CheckpointError for one that cannot be read."""
    try:
        with open_regular(path) as file, Image.open(file, formats=("PNG", "WEBP")) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                return None
            told = _told(picture)
    except _BROKEN as error:
        raise CheckpointError("the picture cannot be read, or what it holds is no embedding") from error
    if told is None:
        return None
    try:
        return _card(told)
    except _BROKEN as error:
        raise CheckpointError("what the picture holds is no embedding") from error


def _told(picture: Image.Image) -> Mapping[str, Any] | None:
    text = picture.info.get(TEXT)
    if isinstance(text, str | bytes):
        return json.loads(base64.b64decode(text)) if len(text) <= MAX_JSON else None
    return _hidden(np.asarray(picture.convert("RGB")))


def _hidden(pixels: NDArray[np.uint8]) -> Mapping[str, Any] | None:
    lit = (pixels > 0).all(axis=2)
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not len(rows):
        return None
    halves = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & 0x0F
    gaps = np.flatnonzero(halves.sum(axis=(0, 2)) == 0)
    if len(gaps) < 2:
        return None
    low, high = _unmixed(halves[:, : gaps[0]]), _unmixed(halves[:, gaps[-1] + 1 :])
    if low.shape != high.shape or not low.size:
        return None
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(((high << 4) | low).tobytes(), MAX_JSON)
    except zlib.error:
        return None                     # any picture with two dark columns comes here
    if text.count(b"{") + text.count(b"[") > MAX_BRACKETS:
        raise ValueError("what the picture holds is no embedding")
    return json.loads(text)


def _unmixed(halves: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return halves ^ (_states(halves.size) % 255 & 0x0F).astype(np.uint8).reshape(halves.shape)


def _states(count: int) -> NDArray[np.uint32]:
    """The first numbers of the sequence x -> 1664525 x + 1013904223 modulo 2**32 after 0, in ever longer strides."""
    found, factor, step = np.full(1, 1013904223, np.uint32), np.uint32(1664525), np.uint32(1013904223)
    while len(found) < count:
        found = np.concatenate([found, found * factor + step])      # all of them, so many places later
        with np.errstate(over="ignore"):
            factor, step = factor * factor, factor * step + step
    return found[:count]


def _card(told: Mapping[str, Any]) -> Card:
    """Raises one of `_BROKEN` for what is no embedding."""
    held = next(iter(told["string_to_param"].values()))
    vectors = np.asarray(held["TORCHTENSOR"], np.float32)
    vectors = vectors[None] if vectors.ndim == 1 else vectors
    if vectors.ndim != 2 or not (0 < vectors.shape[0] <= MAX_VECTORS and 0 < vectors.shape[1] <= MAX_WIDTH):
        raise ValueError("no list of vectors")
    name = told.get("name")
    return Card(name if isinstance(name, str) else "", vectors)
