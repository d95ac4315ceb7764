"""Threads that work beside the pages: an error that nobody foresaw is told in the log and does not end them for good."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend import Backend, Settings, logs
from backend.cluster import growth
from backend.facade import housekeeping
from backend.store.database import Database
from backend.store.uploads import Uploads
from tests.guest import Guest
from tests.pure.test_history import file
from tests.tiny.house import until


def odd_once(call: Callable[..., Any]) -> Callable[..., Any]:
    """The same call, which the first time raises what nobody foresaw."""
    odd = [ZeroDivisionError("something odd")]

    def called(*arguments: Any) -> Any:
        if odd:
            raise odd.pop()
        return call(*arguments)
    return called


def test_what_ends_a_thread_is_in_the_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(threading, "excepthook", logs._tell_of_thread)
    thread = threading.Thread(target=odd_once(int), name="sweeper")
    thread.start()
    thread.join()
    told, = caplog.records
    assert (told.levelno, told.getMessage()) == (logging.CRITICAL, "the thread sweeper has ended by an error")
    assert told.exc_info and isinstance(told.exc_info[1], ZeroDivisionError)


@pytest.mark.parametrize("part", ["pictures", "uploads", "jobs", "webhooks"])
def test_a_sweep_that_fails_costs_neither_the_others_nor_itself_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_SECONDS", 0.02)
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False))
    parts = house.backend._components
    method = {"pictures": "sweep", "uploads": "sweep_unfinished", "jobs": "pictures", "webhooks": "forget"}[part]
    monkeypatch.setattr(getattr(parts, part), method, odd_once(getattr(getattr(parts, part), method)))
    swept, sweep = threading.Event(), Uploads.sweep

    def counted(*arguments: Any) -> int:
        swept.set()
        return sweep(*arguments)

    monkeypatch.setattr(Uploads, "sweep", counted)
    path = house.uploaded(house.upload(file(1)).id)
    os.utime(path, (1, 1))
    sweeper = housekeeping.Housekeeping(parts)
    sweeping = threading.Thread(target=sweeper._sweep_often, daemon=True)
    sweeping.start()
    until(lambda: not path.exists() and swept.is_set())
    sweeper.close()
    sweeping.join(30)
    house.close()


def test_the_cluster_goes_on_growing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(growth, "LOOK_SECONDS", 0.01)
    there, added = {"one": object}, []
    workers = SimpleNamespace(add=lambda name, _: added.append(name), rest=lambda seconds: None, resume=lambda count: None)
    grows = growth.Growth(lambda: there, workers, lambda jobs: None, lambda: 0, 600)
    grows.start()
    monkeypatch.setattr(grows, "_room", odd_once(lambda: {**there, "two": object}))
    until(lambda: added == ["one", "two"])
    grows.close()
    assert "looking for workers on the cluster" in caplog.messages


def test_a_front_goes_on_giving_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    others = pytest.importorskip("backend.dispatch.other_fronts", reason="psycopg is not installed")
    monkeypatch.setattr(others, "BEAT_SECONDS", 0.01)
    database, beats = Database(tmp_path / "easel.db"), []
    front = others.OtherFronts(database, SimpleNamespace(), SimpleNamespace(notice=lambda *_: None), "here")
    front._fronts = SimpleNamespace(beat=odd_once(lambda: beats.append(1) or (1, [])))
    front._beats.start()
    until(lambda: len(beats) > 1)
    front._closed.set()
    front._beats.join(30)
    database.close()
    assert "this front's sign of life" in caplog.messages


def test_fronts_go_on_hearing_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    messages = pytest.importorskip("backend.store.front_messages", reason="psycopg is not installed")
    monkeypatch.setattr(messages, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(messages, "connection_of", lambda url: nullcontext())
    hearing = messages.FrontMessages(SimpleNamespace(url="", front="me"), SimpleNamespace())
    hearing._kept_up(odd_once(lambda connection: hearing._closed.set()))
    assert "what another front said could not be dealt with" in caplog.messages
