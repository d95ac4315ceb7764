"""Texts in picture files that do not stand in the code that their place promises."""

from __future__ import annotations

import unicodedata
from codecs import BOM_UTF16_BE

UNICODE = b"UNICODE\0"
_CODES = {b"ASCII\0\0\0": "utf-8", b"\0" * 8: "utf-8", b"JIS\0\0\0\0\0": "iso2022_jp"}
_NO_LETTER = ("Cn", "Co", "Cs", "Cc")       # not assigned, private, halves of pairs, control
_SEEN = 4000            # characters that tell which of two readings is right


def mended(text: str) -> str:
    """Latin-1, as PNG's plain texts are, unless it is UTF-8 that was taken for it."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def plain(data: bytes) -> str:
    """UTF-8, else Latin-1, without zeros at the end."""
    try:
        return data.decode("utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return data.decode("latin-1").rstrip("\0")


def user_comment(value: object) -> str:
    """The text of an EXIF UserComment: eight bytes name its code, which many programs leave out."""
    if not isinstance(value, bytes):
        return value if isinstance(value, str) else ""
    code, text = value[:8], value[8:]
    if code == UNICODE:
        return (_utf8(text) or _utf16(text)).rstrip("\0")
    text, encoding = (text, _CODES[code]) if code in _CODES else (value, "utf-8")
    return text.decode(encoding, "replace").rstrip("\0")


def as_user_comment(text: str) -> bytes:
    """The text as AUTOMATIC1111 writes it, UTF-16 from the high byte; with a mark only where that would be misread."""
    plain_form = UNICODE + text.encode("utf-16-be")
    return plain_form if user_comment(plain_form) == text else UNICODE + BOM_UTF16_BE + text.encode("utf-16-be")


def _utf8(data: bytes) -> str:
    """UTF-8, which some programs write behind the mark of UTF-16; "" for what may be the latter.

    UTF-16 has zeros wherever Latin letters or signs stand; a text of other scripts alone seldom is valid UTF-8, and
    more seldom has words.
    """
    bare = data.rstrip(b"\0")
    try:
        text = "" if b"\0" in bare else bare.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    return text if len(data) % 2 or any(sign in text for sign in " \n:") else ""


def _utf16(data: bytes) -> str:
    """The standard leaves the byte order open: a mark decides, else the order that gives the likelier text."""
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return data.decode("utf-16", "replace")
    return max((data.decode(encoding, "replace") for encoding in ("utf-16-be", "utf-16-le")), key=_likelihood)


def _likelihood(text: str) -> tuple[int, int, int]:
    """More ASCII, else fewer characters that are none, else fewer blocks of 256: a script keeps to its own."""
    seen = text[:_SEEN]
    letters = sum(c < "\x80" and (c >= " " or c in "\n\t") for c in seen)
    wrong = sum(c not in "\n\t\r\0" and unicodedata.category(c) in _NO_LETTER for c in seen)
    return letters, -wrong, -len({ord(c) >> 8 for c in seen})
