"""Files in folders that anybody may have filled: found without leaving the folder, named without tricks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff<>&\"'`]")


def clean_name(name: str) -> str:
    """Without characters that could act in a page or a terminal."""
    return _UNCLEAN.sub("_", name)


def files_below(root: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """Files with one of the (lower case) endings that really lie below `root`, sorted; hidden ones are left out."""
    real = os.path.realpath(root)
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if is_model(path, endings) and os.path.realpath(path).startswith(real + os.sep):
                yield path


def is_model(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether it is called like a model and can be read without waiting, which a pipe or a device cannot."""
    return path.name.lower().endswith(endings) and not path.name.startswith(".") and os.path.isfile(path)
