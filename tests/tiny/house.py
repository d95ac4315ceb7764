"""A house with a fake worker, for tests of the front."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend import Backend, Job, Settings
from backend.errors import NotFound
from backend.messages import Checkpoint
from tests.guest import Guest


class FakeCatalog:
    """Two checkpoints without files."""

    def __init__(self, folder: Path) -> None:
        self.known = [Checkpoint(key, f"{key}.safetensors", str(folder / key), "sd1", True) for key in ("demo", "other")]
        self.hashes: dict[str, str] = {}

    def scan(self) -> list[Checkpoint]:
        return self.known

    listed = scan

    def find(self, name_or_hash: str = "") -> Checkpoint:
        for checkpoint in self.known:
            if name_or_hash in ("", checkpoint.key):
                return checkpoint
        raise NotFound("there is no such checkpoint", field="checkpoint")

    def remember_hash(self, key: str, sha256: str) -> None:
        self.hashes[key] = sha256

    def tokenizer_folder(self, checkpoint: Checkpoint) -> Path | None:
        return None


def open_house(folder: Path, *, start_workers: bool = True, **settings: Any) -> Guest:
    """As the local user finds it."""
    backend = Backend(Settings(data=folder / "data", **settings), catalog=FakeCatalog(folder), worker="tests.tiny.fake_worker",
                      start_workers=start_workers)
    return Guest(backend)


def submit(house: Guest, prompt: str = "", **values: Any) -> Job:
    return house.submit(prompt, **values)


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `true()` gives once it is something; AssertionError when that takes too long."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return value
