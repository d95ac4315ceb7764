"""Whoever waits for what a preprocessor makes: answered, cancelled, or told that the worker is gone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.dispatch.preprocessing import CANCELLED, KILLED, Preprocessing
from backend.errors import NotAllowed, WorkerLost
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
