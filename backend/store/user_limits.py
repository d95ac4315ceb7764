"""The limits that admins have given single users; what is not there is the operator's."""

from __future__ import annotations

import threading

from sqlalchemy import select

from backend.request.limits import LIMITS
from backend.store.database import Database
from backend.store.tables import UserLimitRow


class UserLimits:
    """Thread-safe; asked from memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        with database.read() as session:
            self._own = {row.owner: _clean(row.limits) for row in session.scalars(select(UserLimitRow))}

    def of(self, owner: str) -> dict[str, int | None]:
        """By the names of `request.limits`; None stands for no limit."""
        return dict(self._own.get(owner, {}))

    def keep(self, owner: str, limits: dict[str, int | None]) -> None:
        with self._lock:
            with self._database.write() as session:
                session.merge(UserLimitRow(owner=owner, limits=limits))
            self._own[owner] = dict(limits)


def _clean(limits: dict[str, object]) -> dict[str, int | None]:
    """What a damaged row or another version's says that is no limit, is left out."""
    return {name: value for name, value in limits.items()
            if name in LIMITS and (value is None or isinstance(value, int) and value >= 0)}
