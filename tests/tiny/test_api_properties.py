"""Whatever the description of the API allows, and what it does not, is answered and never with a mistake of Easel's.

schemathesis makes the requests from /openapi.json. `CASES` in the environment is how many each operation gets.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error

from backend import Backend, Settings
from backend.http import create_app
from tests.tiny.house import FakeCatalog

DOORS = ("/api/", "/v1/", "/easel/", "/sdapi/", "/controlnet/", "/internal/")
ENDLESS = ("/api/events", "/easel/events")      # streams without an end
CASES = int(os.environ.get("CASES", "2"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder = tmp_path_factory.mktemp("house")
    backend = Backend(Settings(data=folder / "data", hosts=("testserver",)), catalog=FakeCatalog(folder), worker="tests.tiny.refusing_worker")
    app = create_app(backend)
    yield app
    app.state.changes.close()
    backend.close()


def operations(schema: Any) -> list[Any]:
    found = [result.ok() for result in schema.get_all_operations()]
    return [each for each in found if each.path.startswith(DOORS) and each.path not in ENDLESS]


@pytest.mark.slow
def test_nothing_is_answered_with_a_mistake(app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    found = operations(schema)
    assert len(found) > 130
    failures: list[str] = []
    tries: list[str] = []
    for operation in found:
        tries.clear()
        tried = settings(max_examples=CASES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
                         suppress_health_check=list(HealthCheck))

        @seed(int(os.environ.get("SEED", "0")))
        @tried
        @given(case=operation.as_strategy())
        def answered(case: Any) -> None:
            tries.append(case.method)
            case.call_and_validate(checks=[not_a_server_error])

        try:
            answered()
        except Exception as error:  # noqa: BLE001 - all operations are tried, then all failures told
            failures.append(f"{operation.label}: {error}"[:3000])
        report(operation.label, len(tries))
    assert not failures, "\n\n".join(failures)


def report(label: str, tries: int) -> None:
    if path := os.environ.get("REPORT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{tries} {label}\n")
