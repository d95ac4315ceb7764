"""The order of the tests: fast and narrow first, the browser last (its driver keeps an event loop in the main thread).

A browser test that fails is run once more, and the report says so: a busy machine stalls a page for longer than any
honest waiting time, while a defect fails twice.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastapi.routing
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine

from backend import gradio_stubs
from backend.house import House
from backend.store import accounts, sqlite_file
from backend.store.database import Database
from tests import examples
from tests.postgres import NoServer, PostgresServer, running

gc.disable()                # until all tests are collected: nothing of what they import is garbage
gradio_stubs.leave_out()    # as app.py does
examples.register()

ORDER = ("pure", "test_house.py", "tiny", "gpu", "browser")


@pytest.hookimpl(tryfirst=True)     # before the slow ones are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((n for n, place in enumerate(ORDER) if place in item.path.parts), len(ORDER)))
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))
        if "postgres" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Looking for garbage among everything that was imported would take a fifth of the tests' time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)     # the oldest wait for the end of their file
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def garbage() -> Iterator[None]:
    """What the tests of a file have left is taken away; what is still in use then stays, and is not looked through again."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def statements_compiled_once() -> Iterator[None]:
    """Almost every test has a database of its own, for each of which all statements would be compiled anew."""
    create, first = sqlite_file.create_engine, []

    def created(*arguments: Any, **options: Any) -> Engine:
        engine = create(*arguments, **options)
        first.append((engine.dialect, engine._compiled_cache))
        del first[1:]
        engine.dialect, engine._compiled_cache = first[0]
        engine.pool._dialect = engine.dialect
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_file, "create_engine", created)
        yield


@pytest.fixture(scope="session", autouse=True)
def routes_read_once() -> Iterator[None]:
    """Almost every test has an application of its own, for each of which FastAPI would read the signatures of all routes anew."""
    populate = fastapi.routing._populate_api_route_state

    def populated(route: Any, path: str, endpoint: Any, *, dependency_overrides_provider: Any = None, **options: Any) -> None:
        original, asked = getattr(route, "original_route", None), {"path": path, **options}
        if original and getattr(original, "read", ({}, {}))[0] == asked:
            vars(route).update(original.read[1])
        else:
            populate(route, path, endpoint, **options)
            if original:        # this is an application's view of it
                original.read = asked, {**vars(route)}
        route.dependency_overrides_provider = dependency_overrides_provider

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastapi.routing, "_populate_api_route_state", populated)
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[PasswordHasher]:
    """Passwords are hashed as ever, but in microseconds; gives what hashes them outside tests."""
    with pytest.MonkeyPatch.context() as patch:
        dear = accounts.HASHER
        patch.setattr(accounts, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield dear


@pytest.fixture
def dear_passwords(cheap_passwords: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a password costs what it costs outside tests."""
    monkeypatch.setattr(accounts, "HASHER", cheap_passwords)


@pytest.fixture(autouse=True)
def process_tables() -> Iterator[None]:
    """A test that freezes the tables of its process takes them from every test after it: it fails itself instead."""
    yield
    assert not House().fields.frozen and not House().families.frozen, "this test froze the tables of its process"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for this run of the tests, which are skipped where none can be started."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        with running() as server:
            yield server
    except NoServer as reason:
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty one of either kind."""
    is_file = request.param == "sqlite"
    database = Database(tmp_path / "easel.db" if is_file else request.getfixturevalue("postgres").empty_tables())
    yield database
    database.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a first try died of, without which nobody could mend it."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.write_sep("_", f"first try of {report.nodeid}, {report.when}")
        terminalreporter.write_line("\n".join(report.longreprtext.splitlines()[-40:]))
