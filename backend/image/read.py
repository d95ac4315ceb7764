"""Picture files read: their settings by whatever program they are, and their pixels."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from backend.errors import NotFound, UserError
from backend.image.decode_budget import DECODING
from backend.image.save import INFOTEXT_CHUNK, MAKER_NOTE, REQUEST_CHUNK

# What Pillow raises over a damaged file.
BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error)
_WORKFLOW = ("prompt", "workflow")
_IN_EXIF = ("prompt:{", "workflow:{")
_CODES = {b"ASCII\0\0\0": "utf-8", b"\0" * 8: "utf-8", b"JIS\0\0\0\0\0": "iso2022_jp"}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a picture file says about itself: `format` is "png", "jpg" or "webp", sizes are in pixels."""

    infotext: str
    request_json: str | None
    format: str
    width: int
    height: int
    workflow: bool = False      # ComfyUI's JSON is in it instead of an infotext


def read_metadata(source: Path | bytes) -> Metadata:
    """The metadata of a PNG, JPEG or WebP by Easel, AUTOMATIC1111, Forge and others.

    Pixels are decoded only in a PNG without a text in front of them, since there may be one behind them.
    Raises NotFound if there is no such file, UserError if it is not such a picture; broken metadata reads as "".
    """
    with open_picture(source) as image, DECODING.share(image.size):
        kind = {"JPEG": "jpg"}.get(image.format or "", (image.format or "").lower())
        exif = {} if _chunk(image, INFOTEXT_CHUNK) else _exif_tags(image)
        infotext = _chunk(image, INFOTEXT_CHUNK) or _comment(exif.get(ExifTags.Base.UserComment))
        note = exif.get(ExifTags.Base.MakerNote)
        ours = isinstance(note, bytes) and note.startswith(MAKER_NOTE)
        request = note.removeprefix(MAKER_NOTE).decode("utf-8", "replace") if ours else _chunk(image, REQUEST_CHUNK)
        return Metadata(infotext, request or None, kind, *image.size, not infotext and _has_workflow(image))


def open_picture(source: Path | bytes) -> Image.Image:
    """A PNG, JPEG or WebP whose pixels are not decoded yet. NotFound, UserError."""
    try:
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=("PNG", "JPEG", "WEBP"))
    except FileNotFoundError:
        raise NotFound("The picture's file is no longer there.") from None
    except Image.DecompressionBombError:
        raise UserError("This picture is too large to be read.") from None
    except BROKEN:
        raise UserError("This file is not a picture that Easel can read; it takes PNG, JPEG and WebP.") from None


def _chunk(image: Image.Image, key: str) -> str:
    text = image.info.get(key, "")
    return str(text) if isinstance(text, str) else ""


def _has_workflow(image: Image.Image) -> bool:
    """ComfyUI's PNGs have two chunks of JSON, its WebPs the same in EXIF's texts, each behind its name."""
    try:
        texts = [str(image.getexif().get(tag, "")) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    except BROKEN:
        texts = []
    chunks = [_chunk(image, key).lstrip() for key in _WORKFLOW]
    return any(text.startswith("{") for text in chunks) or any(text.startswith(_IN_EXIF) for text in texts)


def _exif_tags(image: Image.Image) -> dict[int, Any]:
    try:
        return dict(image.getexif().get_ifd(ExifTags.IFD.Exif))
    except BROKEN:
        return {}


def _comment(value: Any) -> str:
    """The text of an EXIF UserComment: eight bytes name its code, which many programs leave out."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    code, text = value[:8], value[8:]
    if code == b"UNICODE\0":
        return _utf16(text).rstrip("\0")
    text, encoding = (text, _CODES[code]) if code in _CODES else (value, "utf-8")
    return text.decode(encoding, "replace").rstrip("\0")


def _utf16(data: bytes) -> str:
    """The standard leaves the byte order open: a mark decides, else the order that gives more ASCII."""
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return data.decode("utf-16", "replace")
    readings = [data.decode(encoding, "replace") for encoding in ("utf-16-be", "utf-16-le")]
    return max(readings, key=lambda text: sum(c < "\x80" for c in text))


def read_pixels(path: Path) -> Image.Image:
    """The picture at `path`, decoded. Raises NotFound if there is no such file, UserError if it cannot be decoded."""
    with open_picture(path) as image, DECODING.share(image.size):
        try:
            return image.convert("RGB")
        except BROKEN:
            raise UserError("This picture's file is damaged.") from None
