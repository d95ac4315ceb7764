"""A worker that refuses every job at once, so that requests of any size cost nothing. Else as `fake_worker`."""

from __future__ import annotations

from multiprocessing.connection import Connection

from backend.errors import Problem
from backend.messages import Failed, Run
from tests.tiny.fake_worker import Fake


def main(connection: Connection, device: str, policy: str, extensions: tuple[str, ...] = ()) -> None:
    Refusing(connection).run()


class Refusing(Fake):
    def draw(self, run: Run) -> None:
        self.say(Failed(run.job, (Problem("nothing is drawn here", "prompt"),), ""))
