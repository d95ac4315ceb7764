"""Pictures as files: written whole or not at all, with their settings inside, and read back.

PNG carries the infotext in the text chunk `parameters`, as AUTOMATIC1111 does, and the exact request as JSON in the
chunk `easel`. JPEG and WebP carry them in EXIF: the infotext as UserComment, the request as MakerNote.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from backend.errors import NotFound, StorageError, UserError
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
TEMPORARY = ".easel-tmp"  # ending of files in the making; after a crash they can be deleted

_TEXT_CHUNK, _REQUEST_CHUNK = "parameters", "easel"
_WORKFLOW = ("prompt", "workflow")
_IN_EXIF = ("prompt:{", "workflow:{")
_MAKER = b"EASEL\0\0\0"
_CODES = {b"ASCII\0\0\0": "utf-8", b"\0" * 8: "utf-8", b"JIS\0\0\0\0\0": "iso2022_jp"}
# What Pillow raises over a damaged file.
BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error)
_ADVICE = {
    errno.ENOSPC: "the disk is full. Free some space, then retry the job",
    errno.EDQUOT: "the disk quota is used up. Free some space, then retry the job",
    errno.EFBIG: "the file system allows no file of this size. Raise the limit or choose a smaller picture",
    errno.EACCES: "Easel may not write into the outputs folder. Give it the right to, then retry the job",
    errno.EPERM: "Easel may not write into the outputs folder. Give it the right to, then retry the job",
    errno.EROFS: "the outputs folder is on a read-only disk. Mount it writable or choose another data folder",
}


@dataclass(frozen=True, slots=True)
class Saved:
    """What a picture file says about itself: `format` is "png", "jpg" or "webp", sizes are in pixels."""

    infotext: str
    request_json: str | None
    format: str
    width: int
    height: int
    workflow: bool = False      # ComfyUI's JSON is in it instead of an infotext


# ---- writing ----


def save(picture: Picture | Image.Image, path: Path, infotext: str, request_json: str = "",
         options: Mapping[str, Any] | None = None) -> str:
    """Write `picture` to `path` in the format that its ending names; folders are made, an old file is replaced.

    The endings are those of `FORMATS`, `options` those of `compression`. A JPEG holds 64 KB of metadata: a longer
    request or infotext is left out there, not cut. Raises StorageError saying what to do; then neither a half file nor
    a temporary one is left. Returns the file's `digest`.
    """
    image = picture if isinstance(picture, Image.Image) else to_image(picture)
    data = encode(image, FORMATS[path.suffix.lower()], infotext, request_json, options)
    write_atomically(path, data)
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
    """The worker's RGB bytes as a PIL image. Raises ValueError if their number does not fit the size."""
    return Image.frombytes("RGB", (picture.width, picture.height), picture.pixels)


def encode(image: Image.Image, kind: str, infotext: str, request_json: str = "",
           options: Mapping[str, Any] | None = None) -> bytes:
    """The file's bytes. `kind` is Pillow's name: PNG, JPEG or WEBP; `options` take the place of the usual ones."""
    infotext, request_json = _storable(infotext), _storable(request_json)
    if kind == "PNG":
        metadata: dict[str, Any] = {"pnginfo": _png_text(infotext, request_json)}
    else:
        metadata = {"exif": _exif(infotext, request_json, MAX_JPEG_EXIF if kind == "JPEG" else None)}
    image = image.convert("RGB") if kind == "JPEG" else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **OPTIONS[kind] | dict(options or {}), **metadata)
    return buffer.getvalue()


def _storable(text: str) -> str:
    """Lone surrogates have no UTF-8 form."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _png_text(infotext: str, request_json: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, text in ((_TEXT_CHUNK, infotext), (_REQUEST_CHUNK, request_json)):
        if text:
            info.add_text(key, text)
    return info


def _exif(infotext: str, request_json: str, limit: int | None) -> bytes:
    """EXIF within `limit` bytes, leaving out first the request, then the infotext."""
    tags = {}
    if infotext:
        tags[ExifTags.Base.UserComment] = b"UNICODE\0" + infotext.encode("utf-16-be")
    if request_json:
        tags[ExifTags.Base.MakerNote] = _MAKER + request_json.encode()
    while True:
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif).update(tags)
        data = exif.tobytes() if tags else b""
        if limit is None or len(data) <= limit:
            return data
        tags.popitem()


def write_atomically(path: Path, data: bytes) -> None:
    """All of `data` under `path`, or what was there before. Raises StorageError."""
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = _ADVICE.get(error.errno or 0, f"the system says: {error.strerror or error}. Check the outputs folder")
        raise StorageError(f"The picture could not be saved: {reason}.") from error
    _sync_folder(path.parent)


def sweep_unfinished(folder: Path, before: float) -> None:
    """Delete files below `folder` that were in the making at `before` (seconds since the epoch) and never finished."""
    for path in folder.rglob(f".*{TEMPORARY}"):
        try:
            if path.stat().st_mtime < before:
                path.unlink()
        except OSError:
            continue        # somebody else has taken it away, or may


def _sync_folder(folder: Path) -> None:
    """Makes the new name survive a power cut, where folders can be opened (not on Windows)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # the picture itself is safe
    finally:
        os.close(handle)


# ---- reading ----


def read(source: Path | bytes) -> Saved:
    """The metadata of a PNG, JPEG or WebP by Easel, AUTOMATIC1111, Forge and others.

    Pixels are decoded only in a PNG without a text in front of them, since there may be one behind them.
    Raises NotFound if there is no such file, UserError if it is not such a picture; broken metadata reads as "".
    """
    with _open(source) as image:
        kind = {"JPEG": "jpg"}.get(image.format or "", (image.format or "").lower())
        exif = {} if _chunk(image, _TEXT_CHUNK) else _exif_tags(image)
        infotext = _chunk(image, _TEXT_CHUNK) or _comment(exif.get(ExifTags.Base.UserComment))
        note = exif.get(ExifTags.Base.MakerNote)
        ours = isinstance(note, bytes) and note.startswith(_MAKER)
        request = note.removeprefix(_MAKER).decode("utf-8", "replace") if ours else _chunk(image, _REQUEST_CHUNK)
        return Saved(infotext, request or None, kind, *image.size, not infotext and _has_workflow(image))


def _open(source: Path | bytes) -> Image.Image:
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


def pixels(path: Path) -> Image.Image:
    """The picture at `path`, decoded. Raises NotFound if there is no such file, UserError if it cannot be decoded."""
    with _open(path) as image:
        try:
            return image.convert("RGB")
        except BROKEN:
            raise UserError("This picture's file is damaged.") from None


def thumbnail(path: Path, size: int = 256) -> bytes:
    """A WebP of the picture at `path`, at most `size` pixels (16 to 2048) wide and high.

    Raises NotFound if there is no such file, UserError if it cannot be decoded.
    """
    side = min(max(size, 16), 2048)
    with _open(path) as image:
        try:
            image.draft("RGB", (side, side))
            image.thumbnail((side, side))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "WEBP", quality=80)
        except BROKEN:
            raise UserError("This picture's file is damaged.") from None
    return buffer.getvalue()
