"""What the engine keeps of its work: jobs, the pictures being made for them, answers that may be asked for again."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from backend.messages import Run
from backend.worker.checkpoints.base import Model
from backend.worker.guidance import Row
from backend.worker.pipeline import Drawing, Work
from backend.worker.plan import Plan
from backend.worker.source import Source


@dataclass(slots=True, eq=False)
class Task:
    """A job in the engine's hands: which of its pictures wait, which are being drawn, and what they start from."""

    run: Run
    waiting: deque[int]
    source: Source | None = None
    drawing: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Program:
    """A picture being drawn: its plan, its generator and what that waits for."""

    task: Task
    index: int
    model: Model
    plan: Plan
    drawing: Drawing | None = None
    work: Work | None = None
    answers: list[Tensor | None] = field(default_factory=list)
    call: int = 0           # network calls made, and tiles enlarged
    expected: int = 0       # how many there will be
    sigma: float = 0.0
    previewed: float = 0.0
    notes: list[str] = field(default_factory=list)

    def key(self, row: Row) -> tuple[str, tuple[int, ...], int, bool]:
        """Rows with one key fit into one call: checkpoint, latent shape, context length, whether a mask is shown."""
        return self.task.run.checkpoint.key, tuple(row.x.shape), len(row.context), row.inpaint is not None


def kept(store: OrderedDict[tuple, Tensor], key: tuple, most: int, make: Callable[[], Tensor]) -> Tensor:
    """What the store has under the key, else what `make` gives, kept in place of what was used longest ago."""
    if key not in store:
        store[key] = make()
        if len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
