"""What each person prefers, kept per owner."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from backend.request.preferences import changed, readable
from backend.store.database import Database
from backend.store.tables import PreferenceRow


class Preferences:
    """Thread-safe. The only one that reads and writes them: what was asked for is kept, because each new job asks."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, owner: str) -> dict[str, Any]:
        """What the owner has chosen, by name; {} for someone who never has."""
        with self._lock:
            if owner not in self._known:
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
