"""A house with a fake worker, for tests of the front."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from backend import Backend, Job, Settings
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.store.database import Database
from tests.guest import Guest


class FakeCatalog(ModelCatalog):
    """Two checkpoints without files; of other kinds what lies in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__((folder,))
        self.known = [ModelFile("checkpoint", key, str(folder / key), f"{key}.safetensors", family="sd1") for key in ("demo", "other")]
        self.hashes: dict[str, str] = {}

    def scan(self, kind: str = "checkpoint") -> tuple[ModelFile, ...]:
        return tuple(self.known) if kind == "checkpoint" else super().scan(kind)

    def listed(self, kind: str = "checkpoint") -> tuple[ModelFile, ...]:
        return tuple(self.known) if kind == "checkpoint" else super().listed(kind)

    def find(self, kind: str, name: str = "") -> ModelFile:
        for checkpoint in self.known if kind == "checkpoint" else ():
            if name in ("", checkpoint.key, checkpoint.title):
                return checkpoint
        return super().find(kind, name)

    def remember_hash(self, kind: str, key: str, sha256: str) -> None:
        self.hashes[key] = sha256


def open_house(folder: Path, *, start_workers: bool = True, **settings: Any) -> Guest:
    """As the local user finds it."""
    backend = Backend(Settings(data=folder / "data", **settings), catalog=FakeCatalog(folder), worker="tests.tiny.fake_worker",
                      start_workers=start_workers)
    return Guest(backend)


def submit(house: Guest, prompt: str = "", **values: Any) -> Job:
    return house.submit(prompt, **values)


def let_go(house: Guest, job: str) -> None:
    """The fake worker goes on with a job whose prompt says "hold=step:2", where it stands."""
    (house.backend.settings.data.parent / f"{job}.go").touch()


def waits_again(database: Database) -> bool:
    """Whether a job has lost its worker and has not ended since: a second loss at the same picture fails it.

    To be asked right before the next kill, of the database itself: what takes longer tells of what was.
    """
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM jobs WHERE attempts > 0 AND state IN ('queued', 'running')")))


def until(true: Callable[[], Any], seconds: float = 60.0, every: float = 0.01) -> Any:
    """What `true()` gives once it is something, asked so often; AssertionError when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(every)
    return value
