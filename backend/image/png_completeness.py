"""Whether a PNG holds all of its rows: Pillow fills up what a compressed stream that ends early leaves out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIECE = 2**20           # bytes that are unpacked at once
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}       # by colour type (PNG specification, table 11.1)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def is_whole(data: bytes) -> bool:
    """Whether the picture's stream unpacks to as many bytes as its header promises. False for what is no PNG."""
    header = next(_chunks(data), (b"", b""))
    if header[0] != b"IHDR" or len(header[1]) != 13:
        return False
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[1])
    bits = depth * CHANNELS.get(colour, 0)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    wanted = sum(_bytes(-(-(width - x) // dx), -(-(height - y) // dy), bits) for x, y, dx, dy in passes)
    return _unpacked(data, wanted) >= wanted


def _bytes(width: int, height: int, bits: int) -> int:
    """Of one pass: each row has a byte for its filter in front."""
    return (1 + (width * bits + 7) // 8) * height if width > 0 and height > 0 else 0


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while data.startswith(SIGNATURE) and place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place:place + 8])
        yield kind, data[place + 8:place + 8 + length]
        place += length + 12


def _unpacked(data: bytes, wanted: int) -> int:
    """How many bytes there are, counted up to `wanted`; none of them are kept."""
    stream, found = zlib.decompressobj(), 0
    for kind, packed in _chunks(data):
        if kind != b"IDAT":
            continue
        while packed and found < wanted and not stream.eof:
            try:
                found += len(stream.decompress(packed, PIECE))
            except zlib.error:
                return found
            packed = stream.unconsumed_tail
    return found + (0 if found >= wanted or stream.eof else len(stream.flush(PIECE)))
