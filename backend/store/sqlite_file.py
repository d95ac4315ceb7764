"""The SQLite file: opened, checked, and locked to one Easel."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event

from backend.errors import StorageError
from backend.store.revisions import known_revisions
from backend.store.tables import REVISION, WORDS, Base, tolerant_json

BUSY_SECONDS = 10.0             # another program may look into the file; wait this long for it
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def engine_of(path: Path) -> Engine:
    """Its connections write in transactions that begin as writers where the option `write` is set."""
    engine = create_engine(f"sqlite:///{path}", json_deserializer=tolerant_json,
                           connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, record: object) -> None:
    connection.text_factory = _read             # one damaged text would make every list that it is in unreadable
    connection.isolation_level = None           # pysqlite's own BEGIN comes too late and only before writes
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _read(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


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
    if not revision or revision[0] not in known_revisions(revision[0]):
        return "it was written by a newer Easel"
    missing = {*Base.metadata.tables, WORDS} - tables
    return f"the table {min(missing)} is missing" if missing and revision[0] == REVISION else ""
