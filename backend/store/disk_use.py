"""How many bytes a user's files take: pictures, those in the bin too, and uploads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backend.image.file_names import USERS
from backend.store.read_cache import RecentReads
from backend.store.view_types import LOCAL, UserOf

FRESH = 10.0        # seconds for which a count holds


@dataclass(frozen=True, slots=True)
class UsedBytes:
    """Of one user."""

    pictures: int
    uploads: int

    @property
    def total(self) -> int:
        return self.pictures + self.uploads


class DiskUse:
    """Counts the files below both folders, at most every `FRESH` seconds for each user. Thread-safe."""

    def __init__(self, outputs: Path, inputs: Path, user_of: UserOf) -> None:
        self._outputs, self._inputs, self._user_of = outputs, inputs, user_of
        self._recent = RecentReads(self._counted, FRESH)

    def of(self, owner: str) -> UsedBytes:
        return self._recent.of(owner)

    def forget(self, owner: str) -> None:
        """Files of the user came or went: they are counted anew."""
        self._recent.forget(owner)

    def _counted(self, owner: str) -> UsedBytes:
        user = self._user_of(owner)
        others = USERS if user == LOCAL else ""
        pictures = self._outputs if user == LOCAL else self._outputs / USERS / user.folder
        return UsedBytes(sum(_sizes(pictures, others)), sum(_sizes(self._inputs / user.folder)))


def _sizes(folder: Path, left_out: str = "") -> Iterator[int]:
    """Of all files below a folder, but for those below its sub-folder `left_out`; no link is followed."""
    try:
        entries = list(os.scandir(folder))
    except OSError:         # nothing was made there yet, or it may not be read
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(Path(entry.path)) if entry.name != left_out else ()
        elif entry.is_file(follow_symlinks=False):
            yield _size(entry)


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:         # deleted meanwhile
        return 0
