"""Files in the folder into which Gradio writes what it is sent: whatever it is, and whether or not anybody needs it.

Easel's own page sends nothing that way. The files that the components of an extension are given must outlive the
minutes in which somebody works with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

MAX_AGE = 3600.0        # seconds since a file was written
MAX_BYTES = 2**28       # of all files; above it the oldest go first
GIVEN_UP_AGE = 300.0    # of one beside the folders of whole files: its upload has failed or was left
MIN_AGE = 60.0          # one that is younger may still be in the making
Entry = tuple[float, int, Path]


def sweep(folder: Path) -> int:
    """Delete files that are too old, unfinished or beyond MAX_BYTES, and empty folders; how many files that were."""
    moment, found = time.time(), sorted(_files(folder))
    total, deleted = sum(size for _, size, _ in found), 0
    for written, size, path in found:
        age = moment - written
        if age > (GIVEN_UP_AGE if path.parent == folder else MAX_AGE) or total > MAX_BYTES and age > MIN_AGE:
            path.unlink(missing_ok=True)
            total, deleted = total - size, deleted + 1
    for path in sorted(folder.rglob("*/"), reverse=True):
        if moment - path.stat().st_mtime > MIN_AGE and not any(path.iterdir()):
            path.rmdir()
    return deleted


def _files(folder: Path) -> Iterator[Entry]:
    """(when it was written, bytes, path) of every file; links are not followed."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            status = path.lstat()
            yield status.st_mtime, status.st_size, path
