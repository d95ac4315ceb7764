"""The process around the engine: commands in, events out, one device.

Four threads: the main one drives the engine, one reads commands, one writes events, so that neither a slow pipe nor a
long network call holds up the other; one gives signs of life. When the front process is gone the worker ends itself.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from backend.errors import EaselError
from backend.extensions.blame import standing_in
from backend.house import sentences
from backend.messages import (
    ALIVE_SECONDS,
    Activity,
    Cancel,
    Command,
    CompareFaces,
    Describe,
    Event,
    LocateFaces,
    Look,
    Looked,
    MeasureDistance,
    Opening,
    Preprocess,
    Ready,
    Refused,
    Run,
    Score,
    Skip,
    Stop,
    Unload,
)
from backend.settings import Policy
from backend.worker.device import limits, place
from backend.worker.engine.current_work import CurrentWork
from backend.worker.engine.engine import Engine
from backend.worker.engine.face_comparison import faces_compared
from backend.worker.engine.face_location import faces_located
from backend.worker.engine.guide_loading import preprocessed
from backend.worker.engine.interrogation import picture_described
from backend.worker.house import WorkerHouse
from backend.worker.memory_watch import MemoryWatch
from backend.worker.models.cancellation import Cancellations
from backend.worker.models.compiled_regions import COMPILES
from backend.worker.models.memory import Memory
from backend.worker.scores.scorer import Scorer

MAX_EVENTS = 64         # that may wait for a slow front; a picture is megabytes
LOOKS: Mapping[type, tuple[Activity, Callable[[Memory, Any], Looked]]] = {
    Preprocess: ("preparing", preprocessed), CompareFaces: ("encoding", faces_compared),
    LocateFaces: ("encoding", faces_located), Describe: ("encoding", picture_described),
}
"""By the kind of a `Look`: what the worker does meanwhile, and who answers."""

log = logging.getLogger(__name__)


def main(connection: Connection, device: str, policy: Policy, extensions: tuple[str, ...] = ()) -> None:
    """Entry point of a spawned worker. Returns after `Stop`, or ends the process when the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)      # Ctrl+C is the front's to handle
    house = WorkerHouse()
    troubles = house.open(extensions, lambda package: connection.send(Opening(package)))
    try:
        placement = place(device)
    except EaselError as error:
        connection.send(Refused(str(error)))
        return
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    events: queue.Queue[Event | None] = queue.Queue(MAX_EVENTS)
    cancellations = Cancellations()
    reads = connection, commands, cancellations
    threading.Thread(target=_read, args=reads, daemon=True, name="commands").start()
    writer = threading.Thread(target=_write, args=(connection, events), daemon=True, name="events")
    writer.start()
    device_limits = limits(placement)
    switch_off = partial(house.switch_off_at_fault, extensions)
    engine = Engine(Memory(placement), policy, events.put, device_limits, switch_off, cancellations)
    events.put(Ready(placement.name, placement.dtype, sentences(troubles), device_limits.memory, device_limits.speed))
    watch = MemoryWatch(placement.device)
    signs = (engine.current_work, watch, events, partial(_standing_in, threading.get_ident(), extensions))
    threading.Thread(target=_give_signs, args=signs, daemon=True, name="alive").start()
    with torch.inference_mode():
        _serve(engine, Scorer(engine.memory, engine.current_work, events.put), watch, commands)
    events.put(None)
    writer.join(timeout=5)


def _serve(engine: Engine, scorer: Scorer, watch: MemoryWatch, commands: queue.SimpleQueue[Command]) -> None:
    busy = False
    while True:
        try:
            while command := commands.get(block=not busy):
                if isinstance(command, Stop):
                    return
                _obey(engine, scorer, command)
                busy = True
        except queue.Empty:
            pass
        drawing = engine.step()
        busy = scorer.step(idle=not drawing) or drawing
        watch.look(resting=not busy)


def _obey(engine: Engine, scorer: Scorer, command: Command) -> None:
    if isinstance(command, Score | MeasureDistance):
        scorer.add(command)
    elif isinstance(command, Look):
        activity, look = LOOKS[type(command)]
        doing = engine.current_work.doing(activity, (command.task,))
        with doing, engine.cancellations.heeded((command.task,)):
            looked = look(engine.memory, command)
        engine.emit(looked)
    elif isinstance(command, Run):
        engine.add(command)
    elif isinstance(command, Cancel):
        engine.cancel(command.job)
        engine.cancellations.obeyed(command.job)
    elif isinstance(command, Skip):
        engine.skip(command.job)
    elif isinstance(command, Unload):
        engine.memory.free_idle()


def _read(connection: Connection, commands: queue.SimpleQueue[Command], cancellations: Cancellations) -> None:
    while True:
        try:
            command = connection.recv()
            if isinstance(command, Cancel):
                cancellations.ask(command.job)
            commands.put(command)
        except (EOFError, OSError):
            os._exit(0)     # the front is gone: nobody is left to hear, and a call in flight cannot be interrupted
        except Exception:   # a border: a worker that hears nothing any more would be taken for a busy one
            log.exception("a command could not be understood")
            os._exit(1)


def _give_signs(current: CurrentWork, watch: MemoryWatch, events: queue.Queue[Event | None],
                extension: Callable[[], str]) -> None:
    while True:
        time.sleep(ALIVE_SECONDS)
        if events.empty():          # an event that waits is as good a sign
            events.put(current.alive(extension(), watch.latest, compiles=COMPILES.is_set()))


def _standing_in(thread: int, extensions: tuple[str, ...]) -> str:
    """In the code of which of these packages the thread is at the moment; "" for none."""
    return standing_in(sys._current_frames().get(thread), extensions)


def _write(connection: Connection, events: queue.Queue[Event | None]) -> None:
    while (event := events.get()) is not None:
        try:
            connection.send(event)
        except (BrokenPipeError, OSError):
            os._exit(0)
        except Exception:   # a border: nothing that this worker did would be heard of
            log.exception("an event could not be sent")
            os._exit(1)
