"""The tables of a database brought up to date: a new one gets today's at once, an older one Alembic's migrations."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_mock_engine, inspect, text

from backend.store.postgres_objects import create_objects
from backend.store.tables import REVISION, Base

MIGRATIONS = Path(__file__).parent / "migrations"


def known_revisions(current: str) -> set[str]:
    """The revisions that this Easel can start from; Alembic is asked only when the newest is not the current one."""
    if current == REVISION:
        return {REVISION}
    from alembic.script import ScriptDirectory
    return {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}


def revision_of(connection: Connection) -> str | None:
    """None where there are no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or ""


def migrate(connection: Connection) -> None:
    """Inside the caller's transaction; only an old database needs Alembic, and pays for its import."""
    revision = revision_of(connection)
    if revision is None:
        for statement in _todays_tables(connection.engine.url.drivername):
            connection.exec_driver_sql(statement)
        if connection.dialect.name == "postgresql":
            create_objects(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY NOT NULL)")
        connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
    elif revision != REVISION:
        upgrade(connection)


@cache
def _todays_tables(driver: str) -> tuple[str, ...]:
    """The statements that make them, in the words of this kind of database."""
    statements: list[Any] = []
    engine = create_mock_engine(f"{driver}://", lambda statement, *_: statements.append(statement))
    Base.metadata.create_all(engine, checkfirst=False)
    return tuple(str(each.compile(dialect=engine.dialect)) for each in statements)


def upgrade(connection: Connection) -> None:
    """Run every migration that the database has not seen, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
