"""Whoever waits for what a preprocessor makes: answered, cancelled, or told that the worker is gone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.dispatch.picture_inspection import CANCELLED, KILLED, Preprocessing
from backend.errors import NotAllowed, WorkerLost
from backend.facade.guides import UserGuides
from backend.messages import Preprocess, Preprocessed
from backend.request.record import Record
from backend.store.view_types import Worker

ASKED = Preprocess("me/1", Record({}), b"", (8, 8))


class Slow:
    """A worker that never answers."""

    def __init__(self) -> None:
        self.worker, self.left, self.asked = Worker(name="slow", state="ready"), [], threading.Event()

    def is_free(self, *, alone: bool) -> bool:
        return True

    def measure(self, command: object) -> None:
        self.asked.set()

    def leave(self, task: str) -> None:
        self.left.append(task)


@pytest.mark.parametrize("end", ["answer", "cancel", "lost"])
def test_how_it_ends(end: str) -> None:
    preprocessing, worker = Preprocessing(), Slow()
    preprocessing.start([worker])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(preprocessing.made, ASKED)
        assert worker.asked.wait(5)
        preprocessing.cancel("somebody else's")
        assert not worker.left and not waiting.done()
        if end == "answer":
            preprocessing.received(Preprocessed("me/1", 8, 8))
            assert waiting.result(5).width == 8
        elif end == "cancel":
            preprocessing.cancel("me/1")
            preprocessing.received(Preprocessed("me/1", 8, 8))
            with pytest.raises(NotAllowed, match=CANCELLED):
                waiting.result(5)
            assert worker.left == ["me/1"]
        else:
            preprocessing.lost("slow")
            with pytest.raises(WorkerLost, match=KILLED):
                waiting.result(5)
    preprocessing.cancel("me/1")
    assert len(worker.left) == (end == "cancel"), "what is over is not cancelled"


def test_an_answer_that_comes_while_it_is_cancelled_is_whole() -> None:
    preprocessing, worker = Preprocessing(), Slow()
    preprocessing.start([worker])
    worker.leave = lambda task: preprocessing.received(Preprocessed(task, 8, 8))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(preprocessing.made, ASKED)
        assert worker.asked.wait(5)
        preprocessing.cancel("me/1")
        assert waiting.result(5).width == 8


@pytest.mark.parametrize("own, wanted", [((1, 20_000), (2048, 1)), ((20_000, 1), (1, 2048)), ((40, 30), (30, 40))])
def test_a_preview_has_a_pixel_at_least_in_each_direction(tmp_path: Path, own: tuple[int, int], wanted: tuple[int, int]) -> None:
    (tmp_path / "picture").write_bytes(b"")
    asked: list[Preprocess] = []
    uploads = SimpleNamespace(file=lambda name, owner: tmp_path / "picture", size=lambda name, owner: own, keep=lambda *made: None)
    preprocessing = SimpleNamespace(made=lambda one: asked.append(one) or Preprocessed(one.task, 1, 1, bytes(3)))
    UserGuides(SimpleNamespace(uploads=uploads, catalog=None, dispatcher=SimpleNamespace(preprocessing=preprocessing)), SimpleNamespace(id="me")).preview({"image": "0" * 64, "module": "canny"})
    assert asked[0].size == wanted
