"""Pictures written as files, with their settings inside; `backend.image.read` reads them back.

PNG carries the infotext in the text chunk `parameters`, as AUTOMATIC1111 does, and the exact request as JSON in the
chunk `easel`. JPEG and WebP carry them in EXIF: the infotext as UserComment, the request as MakerNote.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from backend.files.atomic_write import write_atomically
from backend.files.write_errors import Purpose
from backend.image.text_encodings import as_user_comment, mended
from backend.messages import Picture
from backend.request.request import Request

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 4},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "method": 4},
}
LOSSLESS_EFFORT = 70  # of 100; more takes seconds per picture and saves next to nothing
MAX_JPEG_EXIF = 65_500  # bytes; a JPEG segment's length has 16 bits
INFOTEXT_CHUNK, REQUEST_CHUNK = "parameters", "easel"
SAVING = Purpose("The picture could not be saved", "retry the job")
MAKER_NOTE = b"EASEL\0\0\0"     # how the EXIF MakerNote begins that holds a request


def save(picture: Picture | Image.Image, path: Path, infotext: str, request_json: str = "",
         options: Mapping[str, Any] | None = None) -> str:
    """Write `picture` to `path` in the format that its ending names; folders are made, an old file is replaced.

    The endings are those of `FORMATS`, `options` those of `compression`. A JPEG holds 64 KB of metadata: a longer
    request or infotext is left out there, not cut. Raises StorageError saying what to do; then neither a half file nor
    a temporary one is left. Returns the file's `digest`.
    """
    image = picture if isinstance(picture, Image.Image) else to_image(picture)
    data = encode(image, FORMATS[path.suffix.lower()], infotext, request_json, options)
    write_atomically(path, data, SAVING)
    return digest(data)


def digest(data: bytes) -> str:
    """By which a file is known again: its SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def compression(request: Request) -> dict[str, Any]:
    """How the file of a request's picture is compressed, in Pillow's words: quality 1 to 100, or lossless WebP."""
    if request.image_format == "png":
        return {}
    lossless = request.image_format == "webp" and request.webp_lossless
    return {"lossless": True, "quality": LOSSLESS_EFFORT} if lossless else {"quality": request.image_quality}


def to_image(picture: Picture) -> Image.Image:
    """The worker's bytes as a PIL image, RGB or RGBA. Raises ValueError if their number does not fit the size."""
    mode = "RGBA" if len(picture.pixels) == 4 * picture.width * picture.height else "RGB"
    return Image.frombytes(mode, (picture.width, picture.height), picture.pixels)


def encode(image: Image.Image, kind: str, infotext: str, request_json: str = "",
           options: Mapping[str, Any] | None = None) -> bytes:
    """The file's bytes. `kind` is Pillow's name: PNG, JPEG or WEBP; `options` take the place of the usual ones."""
    image = _opaque(image) if kind == "JPEG" else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **OPTIONS[kind] | dict(options or {}), **metadata(kind, infotext, request_json))
    return buffer.getvalue()


def metadata(kind: str, infotext: str, request_json: str = "") -> dict[str, Any]:
    """What Pillow's `save` is told to put the settings into a file of this kind."""
    infotext, request_json = _storable(infotext), _storable(request_json)
    if kind == "PNG":
        return {"pnginfo": _png_text(infotext, request_json)}
    return {"exif": _exif(infotext, request_json, MAX_JPEG_EXIF if kind == "JPEG" else None)}


def _opaque(image: Image.Image) -> Image.Image:
    """On white, for a format without alpha."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _storable(text: str) -> str:
    """Lone surrogates have no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _png_text(infotext: str, request_json: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, text in ((INFOTEXT_CHUNK, infotext), (REQUEST_CHUNK, request_json)):
        if text:        # an international chunk only where a plain one would be misread: others know it less well
            (info.add_text if mended(text) == text else info.add_itxt)(key, text)
    return info


def _exif(infotext: str, request_json: str, limit: int | None) -> bytes:
    """EXIF within `limit` bytes, leaving out first the request, then the infotext."""
    tags = {}
    if infotext:
        tags[ExifTags.Base.UserComment] = as_user_comment(infotext)
    if request_json:
        tags[ExifTags.Base.MakerNote] = MAKER_NOTE + request_json.encode()
    while True:
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif).update(tags)
        data = exif.tobytes() if tags else b""
        if limit is None or len(data) <= limit:
            return data
        tags.popitem()
