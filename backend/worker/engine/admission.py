"""Which job's next picture starts when calls are shared: those of one checkpoint, in turns with other checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backend.worker.engine.program import Program, Task
from backend.worker.engine.row_counts import BUCKETS

FAIR_CALLS = 400          # network calls on one checkpoint after which jobs of another come first
STARTING_ROWS = 2         # of a picture that has not asked for the network yet


class Admission:
    """Pictures of one checkpoint start until a call is full. Other checkpoints wait for their turn.

    A turn ends when nothing of its checkpoint waits, or after `FAIR_CALLS` once another checkpoint's job waits: then
    no picture starts until those in work are done, and the checkpoint whose last turn is longest ago comes next.
    """

    def __init__(self) -> None:
        self._turns: list[str] = []     # keys of checkpoints by their last turn, the present one last
        self._calls = 0                 # of the network in the present turn

    def called(self) -> None:
        """The network of the present checkpoint was called once."""
        self._calls += 1

    def next(self, tasks: Iterable[Task], programs: Sequence[Program]) -> Task | None:
        """The job that may start a picture now, given those that are in work; None when none may."""
        waiting = [task for task in tasks if task.waiting]
        post = [task for task in waiting if task.postprocesses]
        if post and not any(program.task.postprocesses for program in programs):
            return post[0]      # they need no checkpoint; one at a time, because such a picture may be large
        waiting = [task for task in waiting if not task.postprocesses]
        drawing = [program for program in programs if not program.task.postprocesses]
        if not waiting:
            return None
        if not drawing:
            self._begin(self._following(waiting))
        elif self._is_over(waiting) or sum(len(p.rows) or STARTING_ROWS for p in programs) >= BUCKETS[-1]:
            return None
        same = [task for task in waiting if _key(task) == self._turns[-1]]
        return min(same, key=lambda task: len(task.drawing), default=None)

    def _is_over(self, waiting: list[Task]) -> bool:
        """Whether the present checkpoint has had its turn and another one is waited for."""
        return self._calls >= FAIR_CALLS and any(_key(task) != self._turns[-1] for task in waiting)

    def _following(self, waiting: list[Task]) -> str:
        """The checkpoint to go on with when nothing is in work."""
        if not self._turns or not self._is_over(waiting):
            return _key(waiting[0])
        others = [_key(task) for task in waiting if _key(task) != self._turns[-1]]
        return min(others, key=lambda key: self._turns.index(key) if key in self._turns else -1)

    def _begin(self, key: str) -> None:
        if self._turns[-1:] != [key]:
            self._turns = [*(known for known in self._turns if known != key), key]
            self._calls = 0


def _key(task: Task) -> str:
    return task.run.checkpoint.key
