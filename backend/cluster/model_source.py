"""The model files of the machine that the front runs on, read in pieces by machines that do not share its folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from backend.catalog.fingerprints import PEFT_SETTINGS, PEFT_WEIGHTS
from backend.errors import NotFound
from backend.files.regular_files import open_regular

SourceFile = tuple[str, int, int]
"""A file by its path below the folder that was asked for, its size in bytes, and the time of its last change in ns."""


class ModelSource:
    """Gives out what lies below `folders`, and nothing else. Links in them are the operator's, and are followed."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = [os.path.abspath(folder) for folder in folders]

    def files(self, path: str) -> list[SourceFile]:
        """A file with what describes it (of the same name but for the ending, or PEFT's), or all files below a folder.

        Raises NotFound.
        """
        whole = self._allowed(path)
        if whole.is_dir():
            found = [(file, str(file.relative_to(whole))) for file in sorted(whole.rglob("*"))]
        else:
            found = [(file, file.name) for file in sorted(whole.parent.iterdir())
                     if file.stem == whole.stem or (whole.name, file.name) == (PEFT_WEIGHTS, PEFT_SETTINGS)]
        return [(name, file.stat().st_size, file.stat().st_mtime_ns) for file, name in found if file.is_file()]

    def read(self, path: str, offset: int, length: int) -> bytes:
        """At most `length` bytes of a file from `offset` on. Raises NotFound."""
        try:
            with open_regular(self._allowed(path)) as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise NotFound(f"{os.path.basename(path)} cannot be read: {error.strerror or error}") from None

    def _allowed(self, path: str) -> Path:
        whole = Path(os.path.abspath(path))     # without "..", which a link would make lead elsewhere
        if not any(whole.is_relative_to(folder) for folder in self._folders) or not whole.exists():
            raise NotFound(f"there is no model file {os.path.basename(path)}")
        return whole
