"""Which cells of plots have changed since when, and how fast plots are drawn. In memory: a restart tells everything."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MEASURED = 32       # ends of cells from which the pace follows


@dataclass(slots=True)
class _Plot:
    """`whole`: when more than single cells changed; `ends`: when cells were done (monotonic seconds)."""

    cells: dict[str, int] = field(default_factory=dict)
    whole: int = 0
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=MEASURED))


class PlotChanges:
    """Thread-safe. Cursors start at the clock, so one from before a restart is older than every cursor of now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first = self._cursor = int(time.time() * 1000)
        self._plots: dict[str, _Plot] = {}
        self._untold: dict[str, dict[str, int]] = {}    # owner -> plot -> its newest change
        self._lock = threading.Lock()

    def cell(self, owner: str, plot: str, cell: str, done: bool = False) -> None:
        """A cell has another state; `done`: its pictures are there."""
        with self._lock:
            known = self._plot(owner, plot)
            known.cells[cell] = self._cursor
            if done:
                known.ends.append(self._clock())

    def whole(self, owner: str, plot: str) -> None:
        """The plot itself, or many of its cells have changed; what was measured before says nothing of the time now."""
        with self._lock:
            known = self._plot(owner, plot)
            known.whole = self._cursor
            known.cells.clear()
            known.ends.clear()

    def beside(self, owner: str, plot: str) -> None:
        """What belongs to the plot and to none of its cells has changed, such as a distance between two sets."""
        with self._lock:
            self._plot(owner, plot)

    def since(self, plot: str, cursor: int) -> tuple[int, set[str] | None]:
        """The cursor of now, and the cells that changed after another one; None for all of them.

        Changes are told after they are stored, so a cell read in between is told again; none is left out.
        """
        with self._lock:
            known = self._plots.get(plot)
            if not self._first <= cursor <= self._cursor or known and known.whole > cursor:
                return self._cursor, None
            return self._cursor, {cell for cell, at in known.cells.items() if at > cursor} if known else set()

    def pace(self, plot: str) -> float | None:
        """Seconds from the end of one cell to that of the next; None until that is measured."""
        with self._lock:
            ends = self._plots[plot].ends if plot in self._plots else ()
            return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else None

    def untold(self, owner: str) -> Mapping[str, int]:
        """The owner's plots with changes that no page was told of, to be given to `told`."""
        with self._lock:
            return dict(self._untold.get(owner, {}))

    def told(self, owner: str, plots: Mapping[str, int]) -> None:
        """The pages know of these changes; what has changed since then is still untold."""
        with self._lock:
            untold = self._untold.get(owner, {})
            for plot, cursor in plots.items():
                if untold.get(plot) == cursor:
                    del untold[plot]

    def forget(self, owner: str, plot: str) -> None:
        """The plot is gone."""
        with self._lock:
            self._plots.pop(plot, None)
            self._untold.get(owner, {}).pop(plot, None)

    def _plot(self, owner: str, plot: str) -> _Plot:
        self._cursor += 1
        self._untold.setdefault(owner, {})[plot] = self._cursor
        return self._plots.setdefault(plot, _Plot())
