"""Tries to log in that the fronts of one database count together: who asks several has no more of them.

Moments are those of the database's clock, and a try is counted in the transaction that looks how many there were.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from backend.store.database import Database
from backend.store.tables import LoginTryRow

HOME_SECONDS = 30 * 24 * 3600.0     # for which an address that opened an account is known


@dataclass(frozen=True, slots=True)
class Try:
    """One that was counted, or seconds to `wait` before the next one may be."""

    number: int = 0
    wait: float = 0.0


class LoginTries:
    """For a database on a server. Thread-safe; StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, address: str, account: str, *, of_address: int, of_account: int, window: float) -> Try:
        """Counts one more, unless so many failed within `window` seconds.

        `of_address` are those of the address, `of_account` those of addresses that never opened the account. Refusals
        only read, so that a crowd of them holds up nobody who writes.
        """
        tried = _Tried(_digest(address), _digest(account), of_address, of_account, window)
        with self._database.read() as session:
            if wait := tried.wait(session, _clock(session)):
                return Try(wait=wait)
        with self._database.write() as session:
            moment = _clock(session)
            session.execute(delete(LoginTryRow).where(~LoginTryRow.opened, LoginTryRow.second <= moment - window))
            session.execute(delete(LoginTryRow).where(LoginTryRow.opened, LoginTryRow.second <= moment - HOME_SECONDS))
            if wait := tried.wait(session, moment):
                return Try(wait=wait)
            row = LoginTryRow(address=tried.address, account=tried.account, second=moment, home=tried.at_home(session))
            session.add(row)
            session.flush()
            return Try(row.id)

    def was_right(self, counted: Try) -> None:
        """It opened the account: it counts no more, and its address is at home there."""
        with self._database.write() as session:
            if row := session.get(LoginTryRow, counted.number):
                session.execute(delete(LoginTryRow).where(LoginTryRow.opened, LoginTryRow.account == row.account,
                                                          LoginTryRow.address == row.address))
                row.opened = True


@dataclass(frozen=True, slots=True)
class _Tried:
    """What is asked of the tries so far."""

    address: str
    account: str
    of_address: int
    of_account: int
    window: float

    def at_home(self, session: Session) -> bool:
        pair = LoginTryRow.account == self.account, LoginTryRow.address == self.address
        return session.scalar(select(LoginTryRow.id).where(*pair, LoginTryRow.opened).limit(1)) is not None

    def wait(self, session: Session, moment: float) -> float:
        """Seconds until the next one; 0 when it may come now."""
        here, there = LoginTryRow.address == self.address, LoginTryRow.account == self.account
        since = self._since(session, self.of_address, moment, here)
        if not self.at_home(session):
            since = max(since, self._since(session, self.of_account, moment, there, ~LoginTryRow.home))
        return since and since + self.window - moment

    def _since(self, session: Session, most: int, moment: float, *which: ColumnElement[bool]) -> float:
        """When the first of the last `most` failed ones was; 0 where there were fewer within the window."""
        second = LoginTryRow.second
        failed = select(second).where(*which, ~LoginTryRow.opened, second > moment - self.window)
        return session.scalar(failed.order_by(second.desc()).offset(most - 1).limit(1)) or 0.0


def _clock(session: Session) -> float:
    return float(session.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0.0)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
