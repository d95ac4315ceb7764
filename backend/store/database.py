"""The one database: opened, migrated; transactions for everyone else. A file of SQLite, or a shared PostgreSQL."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import DatabaseAway, StorageError
from backend.files.write_errors import FULL
from backend.store import postgres_server, sqlite_file
from backend.store.revisions import known_revisions, migrate, revision_of

DISK_FULL = "53100"     # PostgreSQL's SQLSTATE


class Database:
    """An open, current database. Thread-safe: many readers, one writer at a time, whichever process it belongs to."""

    def __init__(self, place: Path | str) -> None:
        """Open or create it and bring its tables up to date; StorageError where that fails.

        `place` is SQLite's file, or the URL of a PostgreSQL's database, which has to be there and may be empty.
        """
        self.place = place
        self.url = place if isinstance(place, str) else ""      # "": a file, of this process alone
        self.front = secrets.token_hex(4)                       # this process among those that share a server
        self._writing = threading.RLock()
        self._engine = postgres_server.engine_of(place, self.front) if self.url else sqlite_file.engine_of(place)
        writer = self._engine.execution_options(write=True)
        reader = self._engine.execution_options(**postgres_server.READING) if self.url else self._engine
        self._sessions = sessionmaker(writer, expire_on_commit=False)
        self._views = sessionmaker(reader)
        try:
            self._migrate(writer)
        except DatabaseAway as error:
            self.close()
            why = first_line(error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else error.__cause__)
            raise DatabaseAway(f"The database {self._name} does not answer: {why}.") from error
        except StorageError:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; raises StorageError when it cannot be read."""
        with self._as_storage_error("read"), self._views() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error; StorageError when it cannot be written."""
        with self._as_storage_error("written"), self._writing, self._sessions.begin() as session:
            yield session

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self, writer: Engine) -> None:
        with self._as_storage_error("opened"), writer.begin() as connection:
            revision = revision_of(connection)
            if revision is not None and revision not in known_revisions(revision):
                raise StorageError(f"The database {self._name} was written by a newer Easel.")
            migrate(connection)

    @property
    def _name(self) -> str:
        return postgres_server.shown(self.url) if self.url else Path(self.place).name

    @contextmanager
    def _as_storage_error(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, NoConnection) as error:
            if self.url and postgres_server.is_away(error):
                raise DatabaseAway("The database does not answer.") from error     # strangers, too, are told no more
            raise StorageError(f"The database could not be {verb}: {_reason(error)}.") from error


def _reason(error: DBAPIError | NoConnection) -> str:
    """What the driver says; of a full disk, what to do."""
    if not isinstance(error, DBAPIError):
        return "all connections are in use"
    is_full = getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
    if is_full or getattr(error.orig, "sqlstate", "") == DISK_FULL:
        return f"{FULL}, then try again"
    return first_line(error.orig)


def first_line(why: object) -> str:
    """Drivers tell a story of several lines."""
    return (str(why).strip().splitlines() or ["no reason is told"])[0].rstrip(".")
