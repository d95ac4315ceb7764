"""How torch's threads wait is set in the worker alone, before torch is loaded; what the system has set stays.

Garbage is looked for, but not among what the worker has imported.
"""

from __future__ import annotations

import os

import pytest

from backend.dispatch.worker_handle import WAITING, ProcessHandle
from backend.messages import Refused


def told(environment: dict[str, str] | None = None) -> str:
    more = {} if environment is None else {"environment": environment}
    handle = ProcessHandle("tests.pure.environment_worker", "cpu", "solo", **more)
    try:
        event = handle.receive(60)
        assert isinstance(event, Refused)
        return event.message
    finally:
        handle.kill()


def test_the_worker_alone_is_told_how_its_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    assert WAITING and told() == f"{dict(WAITING)} False looked for", "and torch is not loaded before"
    assert told({}) == f"{dict.fromkeys(WAITING)} False looked for"
    assert not WAITING.keys() & os.environ.keys()


def test_what_the_system_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(iter(WAITING))
    monkeypatch.setenv(name, "mine")
    assert "'mine'" in told()
