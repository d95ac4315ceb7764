"""Which extensions are switched off, and which have failed: a small file in the data folder.

It is read before anything of an extension runs. What cannot be read is as if nothing had been switched.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from backend.extensions.manifest import name_of
from backend.files.atomic_write import write_atomically
from backend.files.regular_files import read_regular
from backend.files.write_errors import Purpose

OPENING = ".opening"        # ending of the file that names the extension whose code is being loaded
KILLED_THE_START = "Easel ended while it was being loaded."
MOST_BYTES = 2**20
KEEPING = Purpose("What is on and off could not be saved")

log = logging.getLogger(__name__)


class Switches:
    """By the names of folders. Thread-safe. What is switched acts when Easel is started again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opening = file.with_suffix(OPENING)
        self._lock = threading.Lock()
        told = _read(file)
        self._off = {name for name in _list(told.get("off")) if isinstance(name, str)}
        self._failed = {name: why for name, why in _object(told.get("failed")).items() if isinstance(why, str)}

    def is_on(self, name: str) -> bool:
        """Neither switched off nor failed."""
        with self._lock:
            return name not in self._off and name not in self._failed

    def why_off(self, name: str) -> str:
        """What it failed with; "" where it was switched off by hand or is on."""
        with self._lock:
            return self._failed.get(name, "")

    def switch(self, name: str, on: bool) -> None:
        """By hand. Switched on again, a failure is forgotten. StorageError."""
        with self._lock:
            off = self._off - {name} if on else self._off | {name}
            self._keep(off, {other: why for other, why in self._failed.items() if other != name})

    def fail(self, name: str, why: str) -> None:
        """It has failed at work: off until somebody switches it on again. StorageError."""
        with self._lock:
            self._keep(self._off, self._failed | {name: why})

    def opening(self, package: str) -> None:
        """The front is about to run an extension's code for the first time; "": it has come back.

        What that does to the process is known at the next start; a disk that is full keeps nobody from starting.
        """
        try:
            if package:
                self._opening.write_text(name_of(package), "utf-8")
            else:
                self._opening.unlink(missing_ok=True)
        except OSError as error:
            log.warning("whether %s ends Easel as it is loaded cannot be written down: %s", name_of(package), error)

    def blame_the_last_start(self) -> None:
        """The extension that was being loaded when Easel ended has failed. StorageError."""
        try:
            name = read_regular(self._opening, MOST_BYTES).decode("utf-8")
        except (OSError, ValueError):
            return
        self.fail(name, KILLED_THE_START)
        self._opening.unlink(missing_ok=True)

    def _keep(self, off: set[str], failed: Mapping[str, str]) -> None:
        text = json.dumps({"off": sorted(off), "failed": dict(failed)}, indent=2)
        write_atomically(self._file, text.encode(), KEEPING)
        self._off, self._failed = off, dict(failed)


def _read(file: Path) -> dict[str, Any]:
    try:
        return _object(json.loads(read_regular(file, MOST_BYTES)))
    except (OSError, ValueError, RecursionError):
        return {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
