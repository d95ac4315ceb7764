"""A database of each version that there has been, with rows in its tables, opens and has everything in it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from backend.request.request import Request
from backend.store.database_recovery import open_database
from backend.store.history import History
from backend.store.jobs import Jobs
from backend.store.revisions import MIGRATIONS
from backend.store.search import Query
from backend.store.tables import REVISION
from tests.tiny.house import open_house

VERSIONS = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
STATES = ("done", "failed", "cancelled", "queued", "running")
MOMENT = "2026-01-02 03:04:0{}.000000"
FILLED = {"VARCHAR": "", "INTEGER": 0, "BOOLEAN": 0, "DATETIME": MOMENT.format(0), "JSON": "[]", "FLOAT": 0.0}


def at_version(path: Path, version: str) -> None:
    """An empty database as the Easel of that version made it."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, version)
    engine.dispose()


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """A row with what of `values` the table had columns for then, and something for all that must not be empty."""
    row: dict[str, object] = {}
    for _, name, kind, required, default, key in connection.execute(f"PRAGMA table_info({table})"):
        if name in values:
            row[name] = values[name]
        elif required and default is None and not (key and kind == "INTEGER"):
            row[name] = FILLED[kind.partition("(")[0]]
    columns = ", ".join(f'"{name}"' for name in row)
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def fill(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for place, state in enumerate(STATES, 1):
            request = {**Request(prompt=f"a {state} lighthouse", seed=place, variation_seed=0).to_json()}
            ended = MOMENT.format(place) if state in ("done", "failed", "cancelled") else None
            insert(connection, "jobs", id=f"job-{state}", owner="local", state=state, place=place if ended is None else -place,
                   request=json.dumps(request), checkpoint="demo", created=MOMENT.format(0), ended=ended, lease="x" if state == "running" else None,
                   problems=json.dumps([{"message": "it broke", "field": ""}] if state == "failed" else []), notes="[]")
        insert(connection, "images", number=1, id="picture", job="job-done", index=0, owner="local", path="picture.png", width=8, height=8, seed=1,
               infotext="a done lighthouse\nSteps: 3, Sampler: Euler a, Seed: 1, Size: 8x8, Model: demo", format="png", created=MOMENT.format(1),
               model="demo", sampler="Euler a")
        insert(connection, "meta", key="kept", value="as it was")


def test_no_version_is_missing() -> None:
    assert VERSIONS[0] == "0001" and VERSIONS[-1] == REVISION and len(VERSIONS) == int(REVISION)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_database_of_each_version_opens_with_everything_in_it(version: str, tmp_path: Path) -> None:
    path = tmp_path / "easel.db"
    at_version(path, version)
    fill(path)
    database, rescue = open_database(path)
    assert rescue is None
    try:
        jobs, history = Jobs(database), History(database)
        found = {job.id: job for job in jobs.recent("local", 50)}
        assert set(found) == {f"job-{state}" for state in STATES}
        assert {job.id.removeprefix("job-"): job.state for job in found.values()} in ({state: state for state in STATES}, {state: "queued" if state == "running" else state for state in STATES}), "what runs is told to wait again when the workers start"
        assert [problem.message for problem in found["job-failed"].problems] == ["it broke"]
        assert [job.request.prompt for job in found.values() if job.id == "job-done"] == ["a done lighthouse"]
        assert [image.id for image in found["job-done"].images] == ["picture"]
        assert history.image("picture", "local").infotext.startswith("a done lighthouse")
    finally:
        database.close()


@pytest.mark.parametrize("version", VERSIONS[::6])
def test_what_waited_is_drawn_and_the_search_finds_what_was_there(version: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    at_version(tmp_path / "data" / "easel.db", version)
    fill(tmp_path / "data" / "easel.db")
    house = open_house(tmp_path)
    try:
        for state in ("queued", "running"):
            assert house.wait(f"job-{state}", 60).state == "done"
        images, total = house.gallery.search(Query(words="done lighthouse"), 10)
        assert total == 1 and images[0].image.id == "picture" and images[0].image.model == "demo"
    finally:
        house.close()
