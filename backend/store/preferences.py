"""What each person prefers, kept per owner."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from backend.request import guide_sets
from backend.request.preferences import changed, readable
from backend.request.request import FIELDS
from backend.store.database import Database
from backend.store.tables import PreferenceRow
from backend.store.uploads import pictures_in


class Preferences:
    """Thread-safe. Of a database of one front what was asked for is kept in memory, because each new job asks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, owner: str) -> dict[str, Any]:
        """What the owner has chosen, by name; {} for someone who never has."""
        with self._lock:
            if owner not in self._known or self._database.url:      # another front may have changed them
                with self._database.read() as session:
                    row = session.get(PreferenceRow, owner)
                    self._known[owner] = readable(row.chosen) if row else {}
            return dict(self._known[owner])

    def change(self, owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep untrusted values beside those that are there, None takes one away; all that is chosen then.

        Raises InvalidRequest naming every wrong one, and keeps nothing of it.
        """
        with self._lock:
            with self._database.write() as session:
                row = session.get(PreferenceRow, owner)
                chosen = changed(readable(row.chosen) if row else {}, values)
                session.merge(PreferenceRow(owner=owner, chosen=chosen))
            self._known[owner] = readable(chosen)
            return dict(self._known[owner])

    def pictures(self) -> set[str]:
        """Ids of the uploads that anybody's sets of guides name."""
        with self._database.read() as session:
            chosen = [readable(values) for values in session.scalars(select(PreferenceRow.chosen))]
        sets = [units for values in chosen for name, units in values.items() if guide_sets.is_set(name)]
        return {picture for units in sets for _, picture in pictures_in(FIELDS["guides"], units)}
