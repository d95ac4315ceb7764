"""Which job's next picture starts when calls are shared: those of one checkpoint, in turns with other checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile

from backend.worker.draw.work_items import Shared
from backend.worker.engine.program import Program, Task
from backend.worker.engine.row_counts import BUCKETS, STARTING_ROWS

FAIR_CALLS = 400          # network calls on one checkpoint after which jobs of another come first
PASSES = 8                # pictures that start before one that was to start next and had no room
CELLS = 16                # of one plot in work at a time, those included that wait for what another one makes


HasRoom = Callable[[Task, Sequence[Program]], bool]
"""Whether memory has room for what a job's next picture needs beside these; always beside none."""


class Admission:
    """Pictures of one checkpoint start until a call is full. Other checkpoints wait for their turn.

    They are dealt round-robin over the users, and over the jobs of each: who has fewest in work is next, so that nobody
    has fewer rows of a call because another one has sent more jobs.

    One whose networks have no room beside those in work lets a few others go first that have it, and then none: so it
    starts at the latest when those in work are done.

    A turn ends when nothing of its checkpoint waits, or after `FAIR_CALLS` once another checkpoint's job waits: then
    no picture starts until those in work are done, and the checkpoint whose last turn is longest ago comes next.
    """

    def __init__(self, has_room: HasRoom = lambda task, programs: True) -> None:
        self._has_room = has_room
        self._held_back: Task | None = None
        self._passes = 0                # by others since that is held back
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
        elif self._is_over(waiting) or _is_full(programs):
            return None
        same = [task for task in waiting if task.key == self._turns[-1]]
        taken = Counter(program.task.run.owner for program in drawing)
        return self._with_room(sorted(same, key=lambda task: (taken[task.run.owner], len(task.drawing))), drawing)

    def next_cell(self, tasks: Iterable[Task], programs: Sequence[Program]) -> Task | None:
        """Where requests do not share calls: the cell of the foremost plot that may start beside those in work.

        No job between them is passed over, and no checkpoint is changed before the last cell on it is done.
        """
        cells = list(takewhile(lambda task: task.run.plot == tasks[0].run.plot, tasks := list(tasks)))
        key = programs[0].task.key if programs else cells[0].key if cells else ""
        same = list(takewhile(lambda task: task.key == key, cells))
        cell = None if _is_full(programs) else next((task for task in same if task.waiting), None)
        return cell if cell and self._has_room(cell, programs) else None

    def _with_room(self, waiting: Sequence[Task], programs: Sequence[Program]) -> Task | None:
        """The first that has room, unless one before it has been passed by often enough."""
        if not any(task is self._held_back for task in waiting):
            self._held_back = None
        first = self._held_back or next(iter(waiting), None)
        if first is None or self._has_room(first, programs):
            self._held_back = None
            return first
        if self._held_back is None:
            self._held_back, self._passes = first, 0
        if self._passes == PASSES:
            return None
        other = next((task for task in waiting if task is not first and self._has_room(task, programs)), None)
        self._passes += other is not None
        return other

    def _is_over(self, waiting: list[Task]) -> bool:
        """Whether the present checkpoint has had its turn and another one is waited for, not by cells of its plots."""
        here = {task.run.plot for task in waiting if task.key == self._turns[-1]} - {""}
        others = [task for task in waiting if task.key != self._turns[-1] and task.run.plot not in here]
        return self._calls >= FAIR_CALLS and bool(others)

    def _following(self, waiting: list[Task]) -> str:
        """The checkpoint to go on with when nothing is in work."""
        if not self._turns or not self._is_over(waiting):
            return waiting[0].key
        others = [task.key for task in waiting if task.key != self._turns[-1]]
        return min(others, key=lambda key: self._turns.index(key) if key in self._turns else -1)

    def _begin(self, key: str) -> None:
        if self._turns[-1:] != [key]:
            self._turns = [*(known for known in self._turns if known != key), key]
            self._calls = 0


def _is_full(programs: Sequence[Program]) -> bool:
    """Whether there are rows for a whole call; who is about to share another picture's work asks for none."""
    rows = sum(0 if isinstance(each.work, Shared) else len(each.rows) or STARTING_ROWS for each in programs)
    return rows >= BUCKETS[-1] or len(programs) >= CELLS
