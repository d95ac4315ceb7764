"""Hashes that are known of model files: each holds for one state of one path."""

from __future__ import annotations

import re
from typing import Protocol

from backend.catalog.fingerprints import Fingerprint

SHA256 = re.compile("[0-9a-f]{64}")


class Hashes(Protocol):
    """Where the catalogue keeps them. Safe to use from many threads."""

    def of(self, path: str, state: Fingerprint) -> str:
        """The SHA-256, hexadecimal, of the file at `path` in this state; "" if it is not known."""

    def remember(self, path: str, state: Fingerprint, sha256: str) -> None:
        """Keep a hash; it is known until the end of the process even where it cannot be written down."""


class HashesInMemory:
    """For as long as the process runs."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, str]] = {}

    def of(self, path: str, state: Fingerprint) -> str:
        size, changed, sha256 = self._known.get(path, (0, 0, ""))
        return sha256 if (size, changed) == (state.size, state.changed) else ""

    def remember(self, path: str, state: Fingerprint, sha256: str) -> None:
        self._known[path] = (state.size, state.changed, sha256)
