"""What the results of a batch are called: as the files that they were made from, in the batch's own folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import count
from pathlib import PurePosixPath

from backend.request.request import Request

LONGEST = 180           # bytes of a name; file systems allow 255, and a number and an ending come behind it
UNNAMED = "picture"
RESERVED = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d|users)(?:\.|$)")    # Windows' devices; the folder of the users
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')


def component(text: str) -> str:
    """`text` as one part of a path on every system: never empty, hidden, a way up, a device, or too long."""
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text))
    name = name.encode("utf-8", "ignore")[:LONGEST].decode("utf-8", "ignore").strip(". ")
    return f"_{name}" if RESERVED.match(name) else name or UNNAMED


def places(request: Request, index: int) -> Iterator[PurePosixPath]:
    """Where picture `index` of a batch's job may lie, best first: `folder/cat.png`, `folder/cat-1.png`, ...

    A job of several pictures numbers them from 1: `cat-1.png`, `cat-2.png`, and where that is taken `cat-1-1.png`.
    """
    name = component(request.output_name) + (f"-{index + 1}" if request.count > 1 else "")
    folder = component(request.output_folder) if request.output_folder else ""
    for number in count():
        yield PurePosixPath(folder, f"{name}{f'-{number}' if number else ''}.{request.image_format}")
