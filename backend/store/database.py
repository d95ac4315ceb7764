"""The SQLite file: opened, checked, locked to one Easel, migrated; transactions for everyone else."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, create_mock_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import StorageError
from backend.store.tables import REVISION, WORDS, Base

BUSY_SECONDS = 10.0             # another program may look into the file; wait this long for it
MIGRATIONS = Path(__file__).parent / "migrations"
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


class Database:
    """An open, current database. Thread-safe: many readers, one writer at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create the file at `path` and bring its tables up to date; StorageError where that fails."""
        self.path = path
        self._writing = threading.RLock()
        self._engine = _engine(path)
        writer = self._engine.execution_options(write=True)
        self._sessions = sessionmaker(writer, expire_on_commit=False)
        try:
            with writer.begin() as connection:
                _migrate(connection)
        except DBAPIError as error:
            self.close()
            raise StorageError(f"The database {path.name} cannot be opened: {error.orig}") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; raises StorageError when the file cannot be read."""
        with _as_storage_error("read"), Session(self._engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any error; StorageError when it cannot be written."""
        with _as_storage_error("written"), self._writing, self._sessions.begin() as session:
            yield session

    def close(self) -> None:
        self._engine.dispose()


class Lock:
    """Holds the data folder for one Easel: a second one would take the first one's running jobs for lost.

    A lock on an SQLite file is used because it works on every system and ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        """StorageError when another Easel holds `path`, or when its folder cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise StorageError(f"Another Easel already works in {path.parent}.") from error
            raise StorageError(f"{path} cannot be used ({error}); delete it.") from error
        except OSError as error:
            raise StorageError(f"The folder {path.parent} cannot be made: {error.strerror}.") from error

    def release(self) -> None:
        self._connection.close()


def trouble(path: Path) -> str:
    """Why the file at `path` cannot serve as Easel's database; "" when it can, or when there is none yet.

    Raises StorageError when it cannot be told: another program holds the file, or the disk fails.
    """
    if path.is_dir():
        return "a folder lies in its place"
    if not path.exists():
        return ""
    if path.stat().st_size == 0 and not path.with_name(path.name + "-wal").exists():
        return "the file is empty"
    connection = None
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        return _trouble_inside(connection)
    except sqlite3.DatabaseError as error:
        if (error.sqlite_errorcode & 0xFF) in BROKEN:
            return str(error)
        raise StorageError(f"The database {path.name} cannot be opened now: {error}") from error
    finally:
        if connection:
            connection.close()


def _trouble_inside(connection: sqlite3.Connection) -> str:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        return verdict
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA user_version = {version}")      # fails where the file may only be read
    connection.execute("ROLLBACK")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return "the file holds no tables"
    if "alembic_version" not in tables:
        return "it is not a database of Easel"
    revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if not revision or revision[0] not in _known_revisions(revision[0]):
        return "it was written by a newer Easel"
    missing = {*Base.metadata.tables, WORDS} - tables
    return f"the table {min(missing)} is missing" if missing and revision[0] == REVISION else ""


def _known_revisions(current: str) -> set[str]:
    """The revisions that this Easel can start from; Alembic is asked only when the newest is not the current one."""
    if current == REVISION:
        return {REVISION}
    from alembic.script import ScriptDirectory
    return {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}


@contextmanager
def _as_storage_error(verb: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StorageError(f"The database could not be {verb}: {error.orig}.") from error


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", json_deserializer=_json,
                           connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _json(text: str) -> Any:
    """None for what is no JSON: one damaged row must not make a whole list unreadable."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def _prepare(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None           # pysqlite's own BEGIN comes too late and only before writes
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: Connection) -> None:
    """A new file gets today's tables at once; only an old one needs Alembic, and pays for its import."""
    if not inspect(connection).has_table("alembic_version"):
        for statement in _todays_tables():
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (REVISION,))
    elif connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() != REVISION:
        upgrade(connection)


@cache
def _todays_tables() -> tuple[str, ...]:
    """The statements that make them, in SQLite's words."""
    statements: list[Any] = []
    engine = create_mock_engine("sqlite://", lambda statement, *_: statements.append(statement))
    Base.metadata.create_all(engine, checkfirst=False)
    return tuple(str(each.compile(dialect=engine.dialect)) for each in statements)


def upgrade(connection: Connection) -> None:
    """Run every migration that the database has not seen, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
