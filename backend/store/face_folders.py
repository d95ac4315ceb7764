"""Folders with pictures of faces that requests may name: those that the operator allows, and what lies below them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from backend.errors import InvalidRequest
from backend.files.path_containment import leads_inside
from backend.request.face_swap import MOST_PICTURES

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
REFUSED = ("is not a folder whose faces may be used here: the operator of this Easel allows folders by --face-folder, "
           "and a name below one of them, or its whole path, is what can be given")


def pictures_in(named: str, allowed: Sequence[Path]) -> list[Path]:
    """The picture files of a folder, by name; `named` is its path, or one below an allowed folder.

    Raises InvalidRequest where it is none that is allowed, and where it holds no picture or too many. Whether any other
    folder exists is not told.
    """
    folder = next((found for root in allowed if (found := _within(named, root))), None)
    if folder is None:
        raise InvalidRequest(REFUSED)
    files = sorted((entry for entry in folder.iterdir() if entry.suffix.lower() in ENDINGS and entry.is_file()
                    and leads_inside(folder, entry)), key=lambda file: file.name)
    if not files:
        raise InvalidRequest(f"holds no picture ({', '.join(ENDINGS)})")
    if len(files) > MOST_PICTURES:
        raise InvalidRequest(f"holds {len(files)} pictures; at most {MOST_PICTURES} are used")
    return files


def _within(named: str, root: Path) -> Path | None:
    """The folder, if it is the root or lies below it."""
    if not named.strip() or "\0" in named:
        return None
    try:
        folder = Path(os.path.realpath(root / named.strip()))
        inside = folder == Path(os.path.realpath(root)) or leads_inside(root, folder)
        return folder if inside and folder.is_dir() else None
    except (OSError, ValueError):
        return None
