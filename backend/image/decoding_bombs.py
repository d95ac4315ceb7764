"""Small files that would take a decoder long, or much memory: known by what stands in them, before it begins."""

from __future__ import annotations

import re

from PIL import Image

MOST_SCANS = 100            # of a progressive JPEG, each of which goes through all of the picture; encoders make ten
MOST_OF_A_TILE = 2**24      # pixels of a TIFF's tile where the picture is smaller: a decoder fills whole tiles
MOST_RUN_PIXELS = 2**22     # of a BMP of runs, which Pillow unpacks byte by byte
MOST_PLAIN_BYTES = 16 * 2**20       # of a PPM in letters, likewise

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")      # in a scan: none of its own bytes, and no restart
_SCAN, _END, _BARE = 0xDA, 0xD9, (0x01, 0xD8)
_TILE_WIDTH, _TILE_LENGTH = 322, 323                     # tags of a TIFF


def is_bomb(image: Image.Image, data: bytes) -> bool:
    """Whether decoding the file `data`, opened as `image`, would take far more than its size in pixels tells."""
    match image.format:
        case "JPEG" | "MPO":
            return _scans(data) > MOST_SCANS
        case "TIFF":
            return _tile(image) > max(_pixels(image), MOST_OF_A_TILE)
        case "BMP":
            return _has_runs(image) and _pixels(image) > MOST_RUN_PIXELS
        case "PPM":
            return data[:2] in (b"P1", b"P2", b"P3") and len(data) > MOST_PLAIN_BYTES
    return False


def _pixels(image: Image.Image) -> int:
    return image.width * image.height


def _has_runs(image: Image.Image) -> bool:
    return any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ()))


def _scans(data: bytes) -> int:
    """How many scans a JPEG has, counted up to one more than is allowed."""
    count, at = 0, 2
    while count <= MOST_SCANS and (marker := _MARKER.search(data, at)):
        kind, at = data[marker.end() - 1], marker.end()
        if kind == _END:
            break
        count += kind == _SCAN
        if kind not in _BARE:
            at += int.from_bytes(data[at : at + 2], "big")      # its segment: what looks like a marker there is none
    return count


def _tile(image: Image.Image) -> int:
    """Pixels of one tile of a TIFF; 0 where it has none."""
    sides = [getattr(image, "tag_v2", {}).get(tag, 0) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
    whole = [side for side in sides if isinstance(side, int)]
    return whole[0] * whole[1] if len(whole) == len(sides) else 0
