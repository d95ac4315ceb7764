"""Whatever the description of the API allows, and what it does not, is answered and never with a mistake of Easel's.

schemathesis makes the requests from /openapi.json. `CASES` in the environment is how many each operation gets.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from backend import Backend, Settings
from backend.http import create_app
from tests.tiny.house import FakeCatalog

DOORS = ("/api/", "/v1/", "/easel/", "/sdapi/", "/controlnet/", "/internal/")
ENDLESS = ("/api/events", "/easel/events")      # streams without an end
CASES = int(os.environ.get("CASES", "1"))
MODES = tuple(GenerationMode) if CASES > 1 else (GenerationMode.POSITIVE,)      # what is wrong takes long to think of


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
    failures = [failure for operation in found for mode in MODES for failure in tried(operation, mode)]
    assert not failures, "\n\n".join(failures)


def tried(operation: Any, mode: GenerationMode) -> list[str]:
    """What went wrong with CASES requests, all as the description allows, or each with something that it does not."""
    tries: list[str] = []

    @seed(int(os.environ.get("SEED", "0")))
    @settings(max_examples=CASES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: Any) -> None:
        tries.append(case.method)
        answer = case.call()
        assert answer.status_code != 500, answer.text

    try:
        answered()
    except (Unsatisfiable, SkipTest):
        return []       # there is nothing that could be wrong
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all are tried, then all failures told
        return [f"{operation.label}, {mode.value}: {error!r}"[:3000]]
    finally:
        report(operation.label, len(tries))
    return []


def report(label: str, tries: int) -> None:
    if path := os.environ.get("REPORT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{tries} {label}\n")
