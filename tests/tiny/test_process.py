"""The worker as a process of its own: what it says, and that it goes when it should."""

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from types import SimpleNamespace

import pytest
import torch

import backend.worker.engine.engine as engines
from backend.catalog.model_catalog import ModelCatalog
from backend.dispatch.worker_handle import run_worker
from backend.messages import (
    ALIVE_SECONDS,
    Alive,
    Cancel,
    Cancelled,
    Done,
    MemoryUse,
    Picture,
    Progress,
    Ready,
    Refused,
    Run,
    Stop,
)
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.models.memory import Memory
from backend.worker.process import MAX_EVENTS, _read, _write
from tests.tiny.ldm import save_folder, tiny

REQUEST = Request(prompt="a cat", width=64, height=64, steps=2, seed=1, variation_seed=1)
PATIENCE = 120      # seconds: a worker imports torch


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(), folder / "checkpoints" / "tiny")
    return ModelCatalog((folder,)).find("checkpoint", "tiny")


class Worker:
    def __init__(self, device="cpu", start="spawn"):
        context = multiprocessing.get_context(start)
        self.connection, theirs = context.Pipe()
        arguments = ("backend.worker.process", theirs, device, "solo", (), {})
        self.process = context.Process(target=run_worker, args=arguments, daemon=True)
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


def test_it_tells_of_itself_draws_cancels_and_stops(worker, checkpoint):
    assert isinstance(ready := worker.hear(), Ready)
    assert ready.memory > 2**29 and 1e8 < ready.speed < 1e15
    idle = worker.until(Alive)
    assert idle.activity == "idle" and 2**20 < idle.memory.worker <= idle.memory.device
    assert_silent_while_it_is_stopped(worker)
    worker.connection.send(Run("one", "local", REQUEST, (0,), {("checkpoint", ""): checkpoint}))
    assert len(worker.until(Picture).pixels) == 64 * 64 * 3
    assert worker.until(Done).job == "one"
    worker.connection.send(Run("long", "local", REQUEST.replace(steps=1000), (0,), {("checkpoint", ""): checkpoint}))
    worker.until(Progress)
    worker.connection.send(Cancel("long"))
    assert worker.until(Cancelled).job == "long"
    worker.connection.send(Stop())
    worker.process.join(PATIENCE)
    assert worker.process.exitcode == 0


def assert_silent_while_it_is_stopped(worker):
    os.kill(worker.process.pid, signal.SIGSTOP)
    while worker.connection.poll(ALIVE_SECONDS):
        worker.connection.recv()
    assert not worker.connection.poll(3 * ALIVE_SECONDS)
    os.kill(worker.process.pid, signal.SIGCONT)
    worker.until(Alive)


def test_it_goes_when_the_front_is_gone_even_in_the_middle_of_a_job(worker, checkpoint):
    worker.connection.send(Run("long", "local", REQUEST.replace(steps=1000), (0,), {("checkpoint", ""): checkpoint}))
    worker.until(Progress)
    worker.connection.close()
    worker.process.join(PATIENCE)
    assert worker.process.exitcode == 0


def test_a_long_call_is_told_while_it_lasts(checkpoint, monkeypatch):
    begun, over = threading.Event(), threading.Event()
    original = engines.denoise

    def denoise(rows):
        begun.set()
        assert over.wait(PATIENCE)
        return original(rows)

    monkeypatch.setattr(engines, "denoise", denoise)
    engine = engines.Engine(Memory(place("cpu", exact=True)), "packed", [].append)
    for job in ("one", "two"):
        engine.add(Run(job, "local", REQUEST, (0,), {("checkpoint", ""): checkpoint}))

    def drive():
        with torch.inference_mode():
            while engine.step():
                pass

    thread = threading.Thread(target=drive)
    thread.start()
    assert begun.wait(PATIENCE)
    time.sleep(0.05)
    told = engine.current_work.alive("", MemoryUse())
    over.set()
    thread.join(PATIENCE)
    assert (told.activity, set(told.jobs)) == ("denoising", {"one", "two"}) and told.seconds >= 0.05
    assert (engine.current_work.alive("", MemoryUse()).activity, engine.current_work.alive("", MemoryUse()).jobs) == ("idle", ())


def test_drawing_goes_on_while_a_picture_is_being_sent(checkpoint):
    sending, sent = threading.Event(), threading.Event()

    class Slow:
        def send(self, event):
            if isinstance(event, Picture):
                sending.set()
                assert sent.wait(PATIENCE)

    events = queue.Queue(MAX_EVENTS)
    writer = threading.Thread(target=_write, args=(Slow(), events))
    writer.start()
    engine = engines.Engine(Memory(place("cpu", exact=True)), "solo", events.put)
    engine.add(Run("mine", "local", REQUEST.replace(batch_count=3), (0, 1, 2), {("checkpoint", ""): checkpoint}))
    with torch.inference_mode():
        while engine.step():
            pass
    assert sending.is_set() and not sent.is_set() and not engine.tasks, "all are drawn before the first has been sent"
    sent.set()
    events.put(None)
    writer.join(PATIENCE)


def test_a_device_that_does_not_exist_is_refused_with_a_sentence():
    worker = Worker("cuda:99", "fork")      # it has torch from here, and computes nothing
    refused = worker.hear()
    assert isinstance(refused, Refused) and "cuda:99" in refused.message
    worker.process.join(PATIENCE)


class Gone(BaseException):
    """In the place of the end of the process."""


def test_a_worker_that_hears_or_says_nothing_any_more_ends(monkeypatch):
    def end(code):
        raise Gone(code)

    def broken(*_):
        raise pickle.UnpicklingError("no command")

    monkeypatch.setattr(os, "_exit", end)
    events = queue.Queue()
    events.put("an event")
    for work in (lambda: _read(SimpleNamespace(recv=broken), queue.SimpleQueue(), SimpleNamespace()), lambda: _write(SimpleNamespace(send=broken), events)):
        with pytest.raises(Gone, match="1"):
            work()
