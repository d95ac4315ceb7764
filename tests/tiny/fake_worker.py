"""A worker without a model: draws plain colours, and obeys orders hidden in the prompt. Speaks `backend.messages`.

Orders are words of the prompt, each acts on the first attempt only unless there is the word `always`:
    die_at=load | start | step:N | picture:N | done     kill this process there (SIGKILL), N counts from 0; or several, with commas
    stop_at=...     the same places: stop this process there (SIGSTOP), as a hanging driver would
    deaf            do not hear commands while drawing this
    fail=N          report an error at picture N
    slow=SECONDS    wait before each step
    in=PACKAGE      say with each sign of life that it is in this extension's code
    refuse          (as EASEL_FAKE=refuse in the environment) end before Ready
    die_at=score    when this prompt is compared with a picture

Scores are made up from the pictures' bytes: of one content they are the same each time.
"""

from __future__ import annotations

import hashlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from backend.errors import Problem
from backend.messages import (
    UNFINISHED,
    Alive,
    Cancel,
    Cancelled,
    CompareFaces,
    Describe,
    Described,
    Done,
    FacesCompared,
    FacesLocated,
    Failed,
    Hashed,
    Loading,
    LocateFaces,
    MeasureDistance,
    MemoryUse,
    Picture,
    Preprocess,
    Preprocessed,
    Preview,
    Progress,
    Ready,
    Run,
    Score,
    Scored,
    Skip,
    Skipped,
    Stop,
    Unload,
)
from backend.request.guide_unit import FACE_ORDERS

STEPS = 3
MEMORY = MemoryUse(tensors=3 * 2**20, worker=5 * 2**20, device=9 * 2**20)
BOXES = ((0.1, 0.1, 0.4, 0.4), (0.6, 0.5, 0.8, 0.7))       # of the faces in every picture, in shares of its sides


def main(connection: Connection, device: str, policy: str, extensions: tuple[str, ...] = ()) -> None:
    if os.environ.get("EASEL_FAKE") == "refuse":
        sys.exit(3)
    Fake(connection).run()


ENDLESS = 254       # as the second threshold of what is preprocessed: it takes a minute


class Ended(Exception):
    """The job is over before its pictures are."""


class Fake:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.commands: queue.SimpleQueue[Run | Cancel | Skip | Score | MeasureDistance | Unload | Stop] = queue.SimpleQueue()
        self.waiting: list[Run] = []
        self.told: set[Cancel | Skip] = set()      # what concerns the job that is drawn
        self.loaded = ""
        self.since = time.monotonic()
        self.at: tuple[str, ...] = ()
        self.extension = ""
        self.sending = threading.Lock()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        while True:
            try:
                self.commands.put(self.connection.recv())
            except (EOFError, OSError):
                os._exit(0)

    def say(self, event: object) -> None:
        with self.sending:
            self.connection.send(event)

    def give_signs(self) -> None:
        while True:
            activity = "preparing" if self.at or self.extension else "idle"
            self.say(Alive(activity, self.at, time.monotonic() - self.since, self.extension, memory=MEMORY))
            time.sleep(0.1)

    def run(self) -> None:
        self.say(Ready("fake", "float32"))
        threading.Thread(target=self.give_signs, daemon=True).start()
        while self.obey(block=not self.waiting):
            while self.waiting:
                self.draw(self.waiting.pop(0))

    def obey(self, block: bool = False) -> bool:
        """Take in the commands; False on Stop."""
        while True:
            try:
                command = self.commands.get(block=block)
            except queue.Empty:
                return True
            block = False
            if isinstance(command, Stop):
                os._exit(0)
            elif isinstance(command, Run):
                self.waiting.append(command)
            elif isinstance(command, Unload):
                self.loaded = ""
            elif isinstance(command, Score):
                self.score(command)
            elif isinstance(command, Preprocess):
                if command.unit.get("threshold_b") == ENDLESS:
                    self.at = (command.task,)
                    time.sleep(60)
                self.say(Preprocessed(command.task, 8, 8, bytes(range(192))[:: -1 if command.points else 1]))
            elif isinstance(command, LocateFaces):
                self.say(FacesLocated(command.task, BOXES, (True, False), dict.fromkeys(FACE_ORDERS, (0, 1))))
            elif isinstance(command, Describe):
                tags = (("red_circle", 0.9), ("1girl", 0.6)) if command.file.kind == "tagger" else ()
                self.say(Described(command.task, "" if tags else f"a plain square, {command.longest}", tags))
            elif isinstance(command, CompareFaces):
                self.say(FacesCompared(command.task, 0.5))
            elif isinstance(command, MeasureDistance):
                self.say(Scored(command.task, {"fid": float(len(command.first) + len(command.second))}))
            elif waiting := next((run for run in self.waiting if run.job == command.job), None):
                self.forget(waiting, command)
            else:
                self.told.add(command)

    def score(self, command: Score) -> None:
        words, done = command.prompt.split(), Path(command.encoder.path).with_suffix(".once") if command.encoder else None
        if "die_at=score" in words and done and ("always" in words or not done.exists()):
            done.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        content = hashlib.sha256(b" ".join((*command.pictures, command.reference, command.prompt.encode()))).digest()
        values = {kind: int.from_bytes(content[4 * number : 4 * number + 4]) / 2**32 for number, kind in enumerate(command.kinds)}
        self.say(Scored(command.task, values))

    def forget(self, waiting: Run, command: Cancel | Skip) -> None:
        if isinstance(command, Cancel):
            self.waiting.remove(waiting)
            self.say(Cancelled(command.job))

    def stopped(self, run: Run, index: int, half: Callable[[], Picture | None]) -> bool:
        """Whether the picture is to be left out; Ended when the job is. `half` is what there is of it."""
        cancelled, skipped = Cancel(run.job) in self.told, Skip(run.job) in self.told
        if not (cancelled or skipped):
            return False
        self.told.discard(Skip(run.job))
        if picture := half():
            self.say(picture)
        if cancelled:
            self.say(Cancelled(run.job))
            raise Ended
        self.say(Skipped(run.job, index))
        return True

    def draw(self, run: Run) -> None:
        self.told -= {Cancel(run.job), Skip(run.job)}
        orders = Orders(run)
        self.extension, self.since = orders.extension, time.monotonic()
        self.at = (run.job,) if orders.extension else ()
        try:
            orders.reach("load")
            if run.checkpoint and self.loaded != run.checkpoint.key:
                self.say(Loading(run.checkpoint.key))
                self.say(Loading(run.checkpoint.key, done=True))
                self.say(Hashed(run.checkpoint.key, "ab" * 32))
                self.loaded = run.checkpoint.key
            orders.reach("start")
            for index in run.indices:
                self.picture(run, index, orders)
            orders.reach("done")
            self.say(Done(run.job))
        except Ended:
            pass
        self.extension, self.at, self.since = "", (), time.monotonic()

    def picture(self, run: Run, index: int, orders: Orders) -> None:
        for step in range(1, STEPS + 1):
            time.sleep(orders.slow)
            waits = True
            while waits:
                if not orders.deaf:
                    self.obey()
                if self.stopped(run, index, lambda step=step: half_drawn(self.plain(run, index), step - 1, STEPS)):
                    return
                if waits := orders.holds(f"step:{index * STEPS + step}"):
                    time.sleep(0.01)
            orders.reach(f"step:{index * STEPS + step}")
            self.say(Progress(run.job, index, step, STEPS))
            self.say(Preview(run.job, index, b"\xff\xd8" + bytes([step])))
        if orders.fails(index):
            self.say(Failed(run.job, (Problem("too wild", "prompt"),), "Traceback of a fake"))
            raise Ended
        self.say(self.plain(run, index))
        orders.reach(f"picture:{index}")

    def plain(self, run: Run, index: int) -> Picture:
        width, height = run.request.width, run.request.height
        colour = run.request.of_image(index).seed.to_bytes(8, "big")[-3:]
        return Picture(run.job, index, width, height, colour * (width * height), {"Model hash": "abababab"})


def half_drawn(picture: Picture, step: int, steps: int) -> Picture | None:
    """As it is after so many steps; None before the first."""
    facts = {**picture.facts, UNFINISHED: f"step {step} of {steps}"}
    return replace(picture, facts=facts, unfinished=True) if step else None


class Orders:
    """What the prompt tells this fake to do. A file beside the model remembers what was done once."""

    def __init__(self, run: Run) -> None:
        words = dict(word.partition("=")[::2] for word in run.request.prompt.split())
        self.always = "always" in words
        self.die_at, self.stop_at = (words.get(order, "").split(",") for order in ("die_at", "stop_at"))
        self.fail_at, self.slow, self.deaf = words.get("fail"), float(words.get("slow", 0)), "deaf" in words
        self.extension = words.get("in", "")
        self.hold_at = words.get("hold", "")
        self.let_go = Path(run.checkpoint.path).with_name(f"{run.job}.go") if run.checkpoint else None
        self.memory = Path(run.checkpoint.path).with_name(f"{run.job}.once") if run.checkpoint else None

    def holds(self, place: str) -> bool:
        """Whether the worker stands here until a test lets the job go."""
        return place == self.hold_at and not (self.let_go and self.let_go.exists())

    def once(self, place: str) -> bool:
        """Whether it is the first time; an empty file says that all has been done. Without a model it never is."""
        if self.memory is None:
            return False
        before = self.memory.read_text().split() if self.memory.exists() else None
        if self.always or before is None or before and place not in before:
            self.memory.write_text(" ".join([*(before or ()), place]))
            return True
        return False

    def reach(self, place: str) -> None:
        for order, number in ((self.die_at, signal.SIGKILL), (self.stop_at, signal.SIGSTOP)):
            if place in order and self.once(place):
                time.sleep(0.05)        # what was sent is on its way
                os.kill(os.getpid(), number)

    def fails(self, index: int) -> bool:
        return self.fail_at == str(index) and self.once(f"fail:{index}")
