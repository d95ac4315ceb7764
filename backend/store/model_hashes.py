"""Hashes of model files, kept in the database: to read a checkpoint of some gigabytes again takes half a minute."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select

from backend.catalog.fingerprints import Fingerprint
from backend.catalog.hashes import SHA256, HashesInMemory
from backend.errors import StorageError
from backend.files.regular_files import read_regular
from backend.store.database import Database
from backend.store.tables import ModelHashRow

OLD_FILE = "hashes.json"        # of the data folder, where Easel kept them before they had a table
TAKEN = ".old"                  # what its name gets behind it once it has been read
MAX_OLD_FILE = 16 << 20
LARGEST = 2**63 - 1

log = logging.getLogger(__name__)


class ModelHashes(HashesInMemory):
    """See `backend.catalog.hashes.Hashes`. Thread-safe."""

    def __init__(self, database: Database, data: Path | None = None) -> None:
        """Takes over what the folder `data` still holds in a file, once. StorageError when nothing can be read."""
        super().__init__()
        self._database, self._lock = database, threading.Lock()
        with database.read() as session:
            for row in session.scalars(select(ModelHashRow)):
                self._known[row.path] = (row.size, row.changed, row.sha256)
        if data:
            self._take_over(data / OLD_FILE)

    def of(self, path: str, state: Fingerprint) -> str:
        return super().of(_storable(path), state)

    def remember(self, path: str, state: Fingerprint, sha256: str) -> None:
        self._keep({_storable(path): (state.size, state.changed, sha256)})

    def _keep(self, hashes: dict[str, tuple[int, int, str]]) -> None:
        with self._lock:
            self._known |= hashes
            try:
                with self._database.write() as session:
                    for path, (size, changed, sha256) in hashes.items():
                        session.merge(ModelHashRow(path=path, size=size, changed=changed, sha256=sha256))
            except StorageError as error:
                log.warning("hashes are not saved: %s", error)

    def _take_over(self, file: Path) -> None:
        try:
            found = dict(_sane(json.loads(read_regular(file, MAX_OLD_FILE))))
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s is left out: %s", file, error)
            found = {}
        self._keep({path: known for path, known in found.items() if path not in self._known})
        try:
            os.replace(file, file.with_name(file.name + TAKEN))
        except OSError as error:
            log.warning("%s stays and will be read again: %s", file, error)


def _sane(entries: Any) -> Iterator[tuple[str, tuple[int, int, str]]]:
    """What of the old file are paths with size, time and hash; the rest is passed over."""
    for path, known in entries.items() if isinstance(entries, dict) else ():
        if not isinstance(known, list) or len(known) != 3:
            continue
        size, changed, sha256 = known
        whole = all(type(number) is int and 0 <= number <= LARGEST for number in (size, changed))
        if whole and isinstance(sha256, str) and SHA256.fullmatch(sha256):
            yield _storable(path), (size, changed, sha256)


def _storable(path: str) -> str:
    """The path as text that every database takes: bytes that are no letters are written out."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
