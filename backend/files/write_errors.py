"""Why something could not be written, in words for a person: what the disk refuses, and what to do about it."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from backend.errors import StorageError

FULL = "the disk is full. Free some space"
_REASONS = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: "the disk quota is used up. Free some space",
    errno.EFBIG: "the file system allows no file of this size. Raise the limit",
    errno.EACCES: "Easel may not write there. Give it the right to",
    errno.EPERM: "Easel may not write there. Give it the right to",
    errno.EROFS: "the disk is read-only. Make it writable",
}


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a file is written for, as its error says it: what has `failed`, and what to do `again` once it can be."""

    failed: str
    again: str = "try again"

    def refused(self, error: OSError) -> StorageError:
        """The error for people."""
        reason = _REASONS.get(error.errno or 0, f"the system says: {error.strerror or error}. Check the disk")
        told = f"{self.failed}: {reason}, then {self.again}."
        return StorageError(told)
