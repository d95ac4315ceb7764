"""The limits that admins have given single users; what is not there is the operator's."""

from __future__ import annotations

from sqlalchemy import select

from backend.request.limits import LIMITS
from backend.store.database import Database
from backend.store.read_cache import RecentReads
from backend.store.tables import UserLimitRow


class UserLimits:
    """Thread-safe. What another front has changed holds within two seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read = RecentReads(self._kept)

    def of(self, owner: str) -> dict[str, int | None]:
        """By the names of `request.limits`; None stands for no limit."""
        return dict(self._read.of(owner) or {})

    def keep(self, owner: str, limits: dict[str, int | None]) -> None:
        with self._database.write() as session:
            session.merge(UserLimitRow(owner=owner, limits=limits))
        self._read.forget(owner)

    def _kept(self, owner: str) -> dict[str, int | None]:
        with self._database.read() as session:
            return _clean(session.scalar(select(UserLimitRow.limits).where(UserLimitRow.owner == owner)) or {})


def _clean(limits: dict[str, object]) -> dict[str, int | None]:
    """What a damaged row or another version's says that is no limit, is left out."""
    return {name: value for name, value in limits.items()
            if name in LIMITS and (value is None or isinstance(value, int) and value >= 0)}
