"""The worker as a process of its own: what it says, and that it goes when it should."""

import multiprocessing

import pytest

from backend.catalog.checkpoints import Catalog
from backend.messages import Cancel, Cancelled, Done, Picture, Progress, Ready, Refused, Run, Stop
from backend.request.request import Request
from backend.worker.process import main
from tests.tiny.ldm import save_folder, tiny

REQUEST = Request(prompt="a cat", width=64, height=64, steps=2, seed=1, variation_seed=1)
PATIENCE = 120      # seconds: a worker imports torch


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(), folder / "checkpoints" / "tiny")
    return Catalog((folder,), folder / "data").find("tiny")


class Worker:
    def __init__(self, device="cpu"):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=main, args=(theirs, device, "solo"), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self):
        assert self.connection.poll(PATIENCE), "the worker says nothing"
        return self.connection.recv()

    def until(self, kind):
        while not isinstance(event := self.hear(), kind):
            pass
        return event


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.process.kill()
    worker.process.join()


def test_it_draws_cancels_and_stops(worker, checkpoint):
    assert isinstance(worker.hear(), Ready)
    worker.connection.send(Run("one", "local", REQUEST, checkpoint, (0,)))
    assert len(worker.until(Picture).pixels) == 64 * 64 * 3
    assert worker.until(Done).job == "one"
    worker.connection.send(Run("long", "local", REQUEST.replace(steps=1000), checkpoint, (0,)))
    worker.until(Progress)
    worker.connection.send(Cancel("long"))
    assert worker.until(Cancelled).job == "long"
    worker.connection.send(Stop())
    worker.process.join(PATIENCE)
    assert worker.process.exitcode == 0


def test_it_goes_when_the_front_is_gone_even_in_the_middle_of_a_job(worker, checkpoint):
    worker.connection.send(Run("long", "local", REQUEST.replace(steps=1000), checkpoint, (0,)))
    worker.until(Progress)
    worker.connection.close()
    worker.process.join(PATIENCE)
    assert worker.process.exitcode == 0


def test_a_device_that_does_not_exist_is_refused_with_a_sentence():
    worker = Worker("cuda:99")
    refused = worker.hear()
    assert isinstance(refused, Refused) and "cuda:99" in refused.message
    worker.process.join(PATIENCE)
