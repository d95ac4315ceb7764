"""Browsers that are logged in. A session is a random token in a cookie, of which only the hash is kept.

A token is exchanged regularly: the next one is offered with a page, and becomes the token when the browser shows it.
The one before holds for a minute more, for what was on its way. Sessions end when they are not used, when they are old,
with the password that opened them, and when somebody logs out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select, update

from backend.store.accounts import Account
from backend.store.bearer_secrets import digest, new_id, new_secret
from backend.store.database import Database
from backend.store.read_cache import RecentReads
from backend.store.tables import SessionRow, now

IDLE = timedelta(days=7)
LONGEST = timedelta(days=30)
EXCHANGE = timedelta(hours=1)       # age of a token at which the next one is offered
GRACE = timedelta(minutes=1)        # for which the token before holds
NOTED = timedelta(minutes=5)        # so often it is written down that somebody is there


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is logged in; `stamp` is that of the account's password then."""

    id: str
    owner: str
    stamp: str
    rotated: datetime


class Sessions:
    """Thread-safe. `clock` tells the time in UTC."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database, self._clock = database, clock
        self._lock = threading.Lock()
        self._recent = RecentReads(self._read)
        self._offered: dict[str, datetime] = {}                         # when the next token was, by session

    def open(self, account: Account) -> str:
        """Log a browser in: its token. What has expired of anybody's is removed. StorageError."""
        token, moment = new_secret(), self._clock()
        with self._database.write() as session:
            session.execute(delete(SessionRow).where(or_(
                SessionRow.seen < moment - IDLE, SessionRow.created < moment - LONGEST)))
            session.add(SessionRow(id=new_id(), owner=account.user.id, token=digest(token), stamp=account.stamp,
                                   created=moment, seen=moment, rotated=moment))
        return token

    def of(self, token: str) -> Session | None:
        """The session behind a token, if it has not ended. StorageError."""
        return self._recent.of(digest(token))

    def next_token(self, session: Session) -> str | None:
        """A new token for a browser whose token is old; None where it need not have one. StorageError."""
        moment = self._clock()
        with self._lock:
            offered = self._offered.get(session.id)
            if moment - session.rotated < EXCHANGE or offered and moment - offered < GRACE:
                return None
            self._offered[session.id] = moment
        token = new_secret()
        self._write(update(SessionRow).where(SessionRow.id == session.id).values(next=digest(token)))
        return token

    def close(self, session: Session) -> None:
        """Log this browser out. StorageError."""
        self._write(delete(SessionRow).where(SessionRow.id == session.id))

    def close_all(self, owner: str) -> None:
        """Log all browsers of a user out. StorageError."""
        self._write(delete(SessionRow).where(SessionRow.owner == owner))

    def _write(self, statement: object) -> None:
        with self._database.write() as session:
            session.execute(statement)
        self._recent.forget()

    def _read(self, key: str) -> Session | None:
        moment = self._clock()
        with self._database.read() as session:
            row = session.scalar(select(SessionRow).where(
                or_(SessionRow.token == key, SessionRow.next == key, SessionRow.previous == key)))
        if row is None or moment - row.seen > IDLE or moment - row.created > LONGEST:
            return None
        if row.previous == key and moment - row.rotated > GRACE:
            return None
        changes = {"token": key, "next": None, "previous": row.token, "rotated": moment} if row.next == key else {}
        if moment - row.seen > NOTED or changes:
            with self._database.write() as session:
                session.execute(update(SessionRow).where(SessionRow.id == row.id).values(seen=moment, **changes))
        return Session(row.id, row.owner, row.stamp, changes.get("rotated", row.rotated))
