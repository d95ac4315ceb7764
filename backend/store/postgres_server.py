"""A PostgreSQL server: its connections, and what its errors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from backend.errors import StorageError
from backend.store.tables import tolerant_json

if TYPE_CHECKING:
    import psycopg

NO_DRIVER = "--database needs psycopg: install it with pip install -r requirements-postgres.txt"
DRIVER = "postgresql+psycopg"
READING = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
WRITER = 0x4561_7365_6C       # the lock of who writes; "Easel" as a number
CONNECTIONS, MORE_CONNECTIONS = 5, 15
OPTIONS = ("-c lock_timeout=10s "                               # a front that hangs in a transaction
           "-c idle_in_transaction_session_timeout=10s")        # ends it, so that the others write on
CONNECTING: dict[str, Any] = {"connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 2,
                              "keepalives_count": 3, "options": OPTIONS}        # seconds
_BEGIN = "SELECT pg_advisory_xact_lock(%s), set_config('easel.front', %s, true)"


def url_of(text: str) -> URL:
    """StorageError for what is no address of a PostgreSQL's database."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise StorageError("--database takes postgresql://user:password@host:5432/name") from None
    if url.drivername not in ("postgresql", "postgres", DRIVER) or not url.database:
        raise StorageError("--database takes postgresql://user:password@host:5432/name")
    return url.set(drivername=DRIVER)


def shown(text: str) -> str:
    """The address without its password."""
    return url_of(text).set(drivername="postgresql", query={}).render_as_string(hide_password=True)


def engine_of(text: str, front: str) -> Engine:
    """Transactions with the option `write` wait for each other, in all processes that share the database.

    What they change is told to the others as `front`'s: see `postgres_objects`.
    """
    try:
        engine = create_engine(url_of(text), json_deserializer=tolerant_json, connect_args=CONNECTING,
                               pool_pre_ping=True, pool_size=CONNECTIONS, max_overflow=MORE_CONNECTIONS,
                               pool_timeout=10)
    except ModuleNotFoundError:
        raise StorageError(NO_DRIVER) from None

    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("write"):
            connection.exec_driver_sql(_BEGIN, (WRITER, front))

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", _without_nul, retval=True)
    return engine


def connection_of(text: str) -> psycopg.Connection:
    """One of its own, in which each statement is a transaction. Raises psycopg.Error."""
    import psycopg

    address = url_of(text).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True, **CONNECTING)


def _without_nul(connection: Connection, cursor: object, statement: str, parameters: Any, context: object,
                 many: bool) -> tuple[str, Any]:
    """PostgreSQL's texts hold no NUL: it becomes U+FFFD, which is found nowhere either."""
    return statement, _cleaned(parameters)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    if isinstance(value, Mapping):
        return {name: _cleaned(each) for name, each in value.items()}
    return type(value)(map(_cleaned, value)) if type(value) in (list, tuple) else value


def is_away(error: DBAPIError | NoConnection) -> bool:
    """Whether the server is not there or does not answer now; then the same may succeed later."""
    return isinstance(error, OperationalError | NoConnection) or error.connection_invalidated
