"""What is known of the models folders by now, for whoever cannot wait until all files in them were looked at."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from backend.catalog.file_index import Shelf
from backend.catalog.model_catalog import NOT_READ, ModelCatalog, default_or_named
from backend.catalog.model_file import ModelFile
from backend.errors import NotFound

PATIENCE = 0.5      # seconds that the first looks may take together before one goes on without what they find
PAUSE = 4.0         # seconds that slow first looks then wait, because the page needs the processor to come up
RETRY_SECONDS = 10.0    # after a look that ended in an error; whoever asks then has it made again

FAILED = ("A models folder could not be looked through: lists of models may lack some. "
          "The log says why; it is tried again.")
READING = "The models folders are still being looked through. The lists of models grow when that is done."


log = logging.getLogger(__name__)


class FileLists(Protocol):
    """The files of each kind, by name and as lists."""

    def find(self, kind: str, name: str = "") -> ModelFile:
        """As `ModelCatalog.find`."""

    def usable(self, kind: str) -> tuple[ModelFile, ...]:
        """As `ModelCatalog.usable`."""


@dataclass(slots=True)
class _Look:
    """The first look at a kind; `failed`: when it ended in an error, by `time.monotonic`."""

    over: threading.Event = field(default_factory=threading.Event)
    failed: float | None = None

    @property
    def is_due(self) -> bool:
        return self.failed is not None and time.monotonic() - self.failed > RETRY_SECONDS


class KnownFiles:
    """The catalogue, whose first look through the folders of each kind goes on beside those who ask.

    Until a kind was looked through, its files are those that were found so far. Thread-safe.
    """

    def __init__(self, catalog: ModelCatalog, told: Callable[[bool], None] = lambda is_reading: None,
                 failed: Callable[[str], None] = lambda why: None) -> None:
        """`told` is called with True when looks take longer than PATIENCE, and with False when they are over.

        `failed` is called after each look: with FAILED while one of a kind has ended in an error, else with "".
        """
        self._catalog, self._told, self._failed = catalog, told, failed
        self._looks: dict[str, _Look] = {}      # by kind
        self._lock = threading.Lock()
        self._reader: threading.Thread | None = None
        self._until = 0.0
        catalog.before_reading = self._give_way

    @property
    def is_reading(self) -> bool:
        """Whether a first look goes on."""
        return self._reader is not None

    def listed(self, kind: str) -> tuple[ModelFile, ...]:
        return self._catalog.listed(kind) if self.is_read(kind) else self._catalog.so_far(kind)

    def usable(self, kind: str) -> tuple[ModelFile, ...]:
        if self.is_read(kind):
            return self._catalog.usable(kind)
        return tuple(file for file in self._catalog.so_far(kind) if not file.problem)

    def find(self, kind: str, name: str = "") -> ModelFile:
        """As `ModelCatalog.find`, among the files that are known by now. Raises NotFound."""
        if self.is_read(kind):
            return self._catalog.find(kind, name)
        found = default_or_named(Shelf(self._catalog.so_far(kind), aliases=self._catalog.kinds[kind].aliases), name)
        if found is None:
            raise NotFound(READING)
        return found

    def is_read(self, kind: str) -> bool:
        """Whether a kind was looked through; its first look begins now, and is waited for a moment."""
        with self._lock:
            look = self._looks.get(kind)
            if look is None or look.is_due:
                look = self._looks[kind] = _Look()
                self._begin()
        return look.over.wait(max(0.0, self._until - time.monotonic())) and look.failed is None

    def _begin(self) -> None:
        if self._reader is None:
            self._until = time.monotonic() + PATIENCE
            self._reader = threading.Thread(target=self._read, name="models", daemon=True)
            self._reader.start()

    def _read(self) -> None:
        """One kind after the other, so that the page shares the processor with one thread only."""
        slow = threading.Timer(PATIENCE, self._told, [True])
        slow.daemon = True
        slow.start()
        while kind := self._unread():
            look = self._looks[kind]
            try:
                self._look(kind)
            except Exception:   # a border: what one folder or the database does costs its kind, and that for a while
                log.exception("the folders of %s could not be looked through", kind)
                look.failed = time.monotonic()
            look.over.set()
            self._tell_failures()
        slow.cancel()
        slow.join()
        self._told(False)

    def _look(self, kind: str) -> None:
        files = self._catalog.listed(kind)
        while any(file.problem == NOT_READ for file in files):
            files = self._catalog.scan(kind)

    def _tell_failures(self) -> None:
        with self._lock:
            any_failed = any(look.failed is not None for look in self._looks.values())
        self._failed(FAILED if any_failed else "")

    def _give_way(self) -> None:
        """Once, when the patience of those who ask is over."""
        over = time.monotonic() - self._until
        if threading.current_thread() is self._reader and 0 < over < PAUSE:
            time.sleep(PAUSE - over)

    def _unread(self) -> str:
        """The next kind; "" ends the reader."""
        with self._lock:
            kind = next((kind for kind, look in self._looks.items() if not look.over.is_set()), "")
            if not kind:
                self._reader = None
            return kind
