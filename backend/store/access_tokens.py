"""Tokens with which programs ask in somebody's name, each for what its scopes allow. Only hashes are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update

from backend.errors import InvalidRequest, NotAllowed, NotFound, Problem
from backend.store.bearer_secrets import digest, new_id, new_secret
from backend.store.database import Database
from backend.store.read_cache import RecentReads
from backend.store.tables import AccessTokenRow, now
from backend.store.view_types import ROLES, Role

KIND = "easel_"         # how a token begins, so that it can be told in a file that it should not be in
SCOPES: dict[str, Role] = {"read": "viewer", "draw": "artist", "admin": "admin"}     # and what each allows at most
MOST = 50               # of one user
NAME = 60               # characters
DAYS = 3650
NOTED = timedelta(minutes=1)        # so often it is written down that one was used


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known of a token; nobody can read the token itself again."""

    id: str
    owner: str
    name: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None
    used: datetime | None

    def allows(self, role: Role) -> Role:
        """What it allows somebody with this role."""
        most = max((ROLES.index(SCOPES[scope]) for scope in self.scopes if scope in SCOPES), default=0)
        return ROLES[min(ROLES.index(role), most)]


class AccessTokens:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._recent = RecentReads(self._read)

    def make(self, owner: str, name: str, scopes: Collection[str], days: int | None = None) -> str:
        """A new token, which is told this once. `days`: how long it holds. InvalidRequest, NotAllowed, StorageError."""
        _check(name, scopes, days)
        secret = new_secret(KIND)
        expires = now() + timedelta(days=days) if days else None
        with self._database.write() as session:
            count = session.scalar(select(func.count()).where(AccessTokenRow.owner == owner))
            if (count or 0) >= MOST:
                raise NotAllowed(f"There are {MOST} tokens already: revoke one first.")
            session.add(AccessTokenRow(id=new_id(), owner=owner, name=name.strip(), digest=digest(secret),
                                       scopes=[scope for scope in SCOPES if scope in scopes], expires=expires))
        return secret

    def listed(self, owner: str) -> list[AccessToken]:
        """A user's, the newest first. StorageError."""
        query = select(AccessTokenRow).where(AccessTokenRow.owner == owner).order_by(AccessTokenRow.created.desc())
        with self._database.read() as session:
            return [_of(row) for row in session.scalars(query)]

    def revoke(self, owner: str, token: str) -> None:
        """It opens nothing from now on. NotFound, StorageError."""
        mine = (AccessTokenRow.owner == owner, AccessTokenRow.id == token)
        with self._database.write() as session:
            if session.scalar(select(AccessTokenRow).where(*mine)) is None:
                raise NotFound("There is no such token.")
            session.execute(delete(AccessTokenRow).where(*mine))
        self._recent.forget()

    def of(self, secret: str) -> AccessToken | None:
        """What is known of this token, if it still holds. StorageError."""
        return self._recent.of(digest(secret))

    def _read(self, key: str) -> AccessToken | None:
        moment = now()
        with self._database.read() as session:
            row = session.scalar(select(AccessTokenRow).where(AccessTokenRow.digest == key))
        if row is None or row.expires and row.expires < moment:
            return None
        if row.used is None or moment - row.used > NOTED:
            with self._database.write() as session:
                session.execute(update(AccessTokenRow).where(AccessTokenRow.id == row.id).values(used=moment))
        return _of(row)


def _of(row: AccessTokenRow) -> AccessToken:
    return AccessToken(row.id, row.owner, row.name, tuple(row.scopes), row.created, row.expires, row.used)


def _check(name: str, scopes: Collection[str], days: int | None) -> None:
    problems = []
    if not 0 < len(name.strip()) <= NAME or not name.isprintable():
        problems.append(Problem(f"must have 1 to {NAME} characters", "name"))
    if not scopes or not set(scopes) <= SCOPES.keys():
        problems.append(Problem(f"must be one or more of {', '.join(SCOPES)}", "scopes"))
    if days is not None and not 1 <= days <= DAYS:
        problems.append(Problem(f"must be a number from 1 to {DAYS}", "days"))
    if problems:
        raise InvalidRequest(problems=problems)
