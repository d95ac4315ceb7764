"""Picture files read: their settings by whatever program they are, and their pixels."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import iTXt

from backend.errors import NotFound, UserError
from backend.image.decode_budget import DECODING
from backend.image.foreign_metadata.programs import foreign
from backend.image.foreign_metadata.stealth import hidden_texts
from backend.image.foreign_metadata.texts import COMMENT, PARAMETERS, SEGMENT, XMP, Texts, is_json
from backend.image.infotext.syntax import layout
from backend.image.save import INFOTEXT_CHUNK, MAKER_NOTE, REQUEST_CHUNK
from backend.image.text_encodings import mended, plain, user_comment
from backend.request.cross_field_checks import MAX_PIXELS

# What Pillow raises over a damaged file.
BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error)
_WINDOWS_COMMENT = "XPComment"
ELSEWHERE = (SEGMENT, "Parameters", "UserComment", "Comment", "Description", "ImageDescription", _WINDOWS_COMMENT)
_NO_TEXT = ("exif", "icc_profile", "photoshop")
_TAGS = (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.ImageDescription)


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a picture file says about itself: `format` is "png", "jpg" or "webp", sizes are in pixels.

    `infotext` is in AUTOMATIC1111's format, whoever wrote the file. `program` is who told it in another form; a
    program without an infotext is one whose settings cannot be read. `texts` are all that is in the file, by place.
    """

    infotext: str
    request_json: str | None
    format: str
    width: int
    height: int
    program: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)


def read_metadata(source: Path | bytes) -> Metadata:
    """The metadata of a PNG, JPEG or WebP by Easel, AUTOMATIC1111, Forge and others.

    Pixels are decoded only in a PNG without a text in front of them, since there may be one behind them, or in them;
    not in one of more than MAX_PIXELS.
    Raises NotFound if there is no such file, UserError if it is not such a picture; broken metadata reads as "".
    """
    with open_picture(source) as image, DECODING.share(image.size):
        kind = {"JPEG": "jpg"}.get(image.format or "", (image.format or "").lower())
        decodes = image.format == "PNG" and image.width * image.height <= MAX_PIXELS
        has_exif = decodes or image.format != "PNG" or "exif" in image.info     # a PNG's may stand behind the pixels
        exif = _exif(image) if has_exif and not image.info.get(INFOTEXT_CHUNK) else {}
        texts = _texts(image, exif)
        infotext, found = _infotext(texts), foreign(Texts(texts, *image.size))
        if decodes and not (infotext or found.program) and (hidden := _hidden(image)):
            texts |= hidden
            infotext, found = _infotext(texts), foreign(Texts(texts, *image.size))
        note = exif.get(ExifTags.Base.MakerNote)
        ours = isinstance(note, bytes) and note.startswith(MAKER_NOTE)
        request = note.removeprefix(MAKER_NOTE).decode("utf-8", "replace") if ours else texts.get(REQUEST_CHUNK)
        program = "" if infotext else found.program
        return Metadata(infotext or found.text, request or None, kind, *image.size, program, texts)


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


def _infotext(texts: Mapping[str, str]) -> str:
    """The text in AUTOMATIC1111's format. What stands in another place than its own counts where it holds settings."""
    others = (texts.get(place, "") for place in ELSEWHERE)
    found = texts.get(PARAMETERS) or texts.get(COMMENT) or next((text for text in others if layout(text).pairs), "")
    return "" if is_json(found) else found


def _texts(image: Image.Image, exif: Mapping[int, Any]) -> dict[str, str]:
    """Every text of the file by its place."""
    found = {str(key): _decoded(value) for key, value in image.info.items() if key not in _NO_TEXT}
    if "XML:com.adobe.xmp" in found:
        found[XMP] = found["XML:com.adobe.xmp"]
    found |= {COMMENT: user_comment(exif.get(ExifTags.Base.UserComment))}
    found |= {tag.name: _decoded(exif.get(tag)) for tag in _TAGS}
    found |= {_WINDOWS_COMMENT: _utf16(exif.get(ExifTags.Base.XPComment))}
    return {place: text for place, text in found.items() if text}


def _decoded(value: Any) -> str:
    if isinstance(value, bytes):
        return plain(value)
    return (str(value) if isinstance(value, iTXt) else mended(value)) if isinstance(value, str) else ""


def _utf16(value: Any) -> str:
    return value.decode("utf-16-le", "replace").rstrip("\0") if isinstance(value, bytes) else ""


def _hidden(image: Image.Image) -> dict[str, str]:
    try:
        return hidden_texts(image)
    except BROKEN:
        return {}


def _exif(image: Image.Image) -> dict[int, Any]:
    """EXIF's tags, of its first directory too: some programs put the comment there."""
    try:
        first = image.getexif()
        return dict(first) | dict(first.get_ifd(ExifTags.IFD.Exif))
    except BROKEN:
        return {}


def read_pixels(path: Path) -> Image.Image:
    """The picture at `path`, decoded. Raises NotFound if there is no such file, UserError if it cannot be decoded."""
    with open_picture(path) as image, DECODING.share(image.size):
        try:
            return image.convert("RGB")
        except BROKEN:
            raise UserError("This picture's file is damaged.") from None
