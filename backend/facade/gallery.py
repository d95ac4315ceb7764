"""What a user can do with pictures that are there: find, star, bin, compare, bring along. Part of the front door."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from backend.image.infotext_entries import Difference, differences
from backend.store.database import Database
from backend.store.history import History
from backend.store.picture_files import LOCAL, Pictures
from backend.store.picture_import import Imports, Taken, Tally
from backend.store.records import Image
from backend.store.recycle_bin import RecycleBin
from backend.store.search import Query, Search


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a list; `missing`: somebody has moved or deleted the file."""

    image: Image
    missing: bool


class Gallery:
    """Thread-safe. `owner` is the user's name; someone else's pictures are NotFound."""

    def __init__(self, database: Database, history: History, pictures: Pictures) -> None:
        self._history, self._pictures = history, pictures
        self._search, self._bin = Search(database), RecycleBin(database, pictures)
        self._imports = Imports(history, pictures)

    def search(self, query: Query, owner: str = LOCAL, limit: int = 60,
               before: str | None = None) -> tuple[list[Entry], int]:
        """Up to `limit` pictures, newest first, after the one with the id `before`; and how many the search has."""
        found, total = self._search.page(owner, query, limit, before)
        return [Entry(one.image, self._pictures.is_missing(one.path)) for one in found], total

    def choices(self, owner: str = LOCAL) -> tuple[list[str], list[str]]:
        """Checkpoints and samplers that occur in the owner's pictures."""
        return self._search.choices(owner)

    def is_missing(self, image_id: str, owner: str = LOCAL) -> bool:
        return self._pictures.is_missing(self._history.path(image_id, owner))

    def star(self, ids: Collection[str], on: bool = True, owner: str = LOCAL) -> None:
        """Give pictures a star, or take it away; all of them or none."""
        self._history.star(ids, on, owner)

    def put_in_bin(self, ids: Collection[str], owner: str = LOCAL) -> None:
        """Hide pictures everywhere but in the bin; all of them or none."""
        self._bin.put(ids, owner)

    def restore(self, ids: Collection[str], owner: str = LOCAL) -> None:
        """Take pictures out of the bin, to their old place; all of them or none."""
        self._bin.restore(ids, owner)

    def empty_bin(self, owner: str = LOCAL) -> int:
        """Delete what lies in the bin for good; how many pictures. StorageError names what could not be deleted."""
        return self._bin.empty(owner)

    def compare(self, a: str, b: str, owner: str = LOCAL) -> tuple[list[Difference], int]:
        """The settings in which two pictures differ, and how many they share."""
        return differences(*(self._history.image(image, owner).infotext for image in (a, b)))

    def take_in(self, data: bytes, name: str, owner: str = LOCAL, modified: datetime | None = None) -> Taken:
        """Keep a picture of another program; UserError says why one cannot be kept. `name` is its path there."""
        return self._imports.take(data, name, owner, modified)

    def take_in_folder(self, folder: Path, owner: str = LOCAL) -> Iterator[Tally]:
        """Keep every picture below a folder of this machine, telling after each how far it is."""
        return self._imports.folder(folder, owner)
