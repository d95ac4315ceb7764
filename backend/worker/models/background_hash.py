"""The hash of a file that has just been loaded, computed beside the drawing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from backend.catalog.fingerprints import Fingerprint, fingerprint, sha256_of
from backend.errors import CheckpointError

log = logging.getLogger(__name__)


class BackgroundHash:
    """The hash of a file or diffusers folder, by a thread of its own from the start on.

    `loaded` is the file's fingerprint when it was loaded: a file that was replaced since has another hash, which is
    not told. `digest(path)` computes it and may raise CheckpointError; otherwise it is the SHA-256.
    """

    def __init__(
        self, path: str, loaded: Fingerprint | None, digest: Callable[[Path], str] | None = None
    ) -> None:
        self._path, self._loaded, self._digest = path, loaded, digest or sha256_of
        self._found = ""
        self._thread = threading.Thread(target=self._compute, daemon=True, name="hash")
        self._thread.start()

    def wait(self) -> str:
        """The hash, hexadecimal, as soon as it is known; "" when the file was gone or replaced."""
        self._thread.join()
        return self._found

    def tell(self, hear: Callable[[str], None]) -> None:
        """Call `hear(sha256)` from another thread once the hash is known; never when it does not become known."""
        threading.Thread(target=self._tell, args=(hear,), daemon=True, name="hash is known").start()

    def _tell(self, hear: Callable[[str], None]) -> None:
        if sha256 := self.wait():
            hear(sha256)

    def _compute(self) -> None:
        try:
            found = self._digest(Path(self._path))
        except CheckpointError as error:
            log.warning("a file's hash stays unknown: %s", error)
            return
        if fingerprint(self._path) == self._loaded:
            self._found = found
