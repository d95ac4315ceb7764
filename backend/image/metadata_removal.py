"""A picture file without what it tells of itself: settings, camera, comments. No pixel is touched.

Only what a picture needs to be shown is kept, so that no unknown block carries something along. Layouts: PNG
specification (chunks), ITU T.81 (JPEG segments), RIFF container of WebP.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from backend.errors import UserError
from backend.image.png_completeness import SIGNATURE

PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"pHYs", b"IDAT", b"IEND")
WEBP_KEPT = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP", b"ANIM", b"ANMF")
WEBP_TELLS = 0b00001100         # the flags of VP8X for EXIF and XMP
SOI, SOS, APP0, APP1, APP2, APP15, COM = 0xD8, 0xDA, 0xE0, 0xE1, 0xE2, 0xEF, 0xFE


def bare(data: bytes) -> bytes:
    """The same picture as PNG, JPEG or WebP. UserError for another kind of file, or a broken one."""
    try:
        if data.startswith(SIGNATURE):
            return SIGNATURE + b"".join(_png(data))
        if data[:2] == bytes((0xFF, SOI)):
            return b"".join(_jpeg(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            body = b"WEBP" + b"".join(_webp(data))
            return b"RIFF" + struct.pack("<I", len(body)) + body
    except (struct.error, IndexError):
        raise UserError("This picture's file is damaged.") from None
    raise UserError("Only PNG, JPEG and WebP can be shown without their settings.")


def _png(data: bytes) -> Iterator[bytes]:
    place = len(SIGNATURE)
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place:place + 8])
        if kind in PNG_KEPT:
            yield data[place:place + length + 12]
        place += length + 12


def _jpeg(data: bytes) -> Iterator[bytes]:
    """JFIF's own segment and a colour profile stay of the application's segments."""
    yield data[:2]
    place = 2
    while data[place + 1] != SOS:
        marker, (length,) = data[place + 1], struct.unpack(">H", data[place + 2:place + 4])
        segment = data[place:place + 2 + length]
        told = APP1 <= marker <= APP15 and not (marker == APP2 and segment[4:].startswith(b"ICC_PROFILE"))
        if not told and marker != COM:
            yield segment
        place += 2 + length
    end = data.rfind(b"\xff\xd9")
    yield data[place:end + 2 if end > place else None]


def _webp(data: bytes) -> Iterator[bytes]:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack("<4sI", data[place:place + 8])
        chunk = data[place:place + 8 + length + length % 2]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes((chunk[8] & ~WEBP_TELLS,)) + chunk[9:]
        if kind in WEBP_KEPT:
            yield chunk
        place += 8 + length + length % 2
