"""The order of one owner's plots when a person changes it: which of them come before others, and which take turns.

Lines of one rank take turns, lower ranks come first. Single jobs are a line of rank 0, and a new plot has rank 0, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotAllowed
from backend.store.fair_scheduler import SINGLE
from backend.store.tables import PlotRow

MOVES = ("front", "up", "down", "end")


def moved_ranks(ranks: Mapping[str, int], plot: str, to: str) -> dict[str, int]:
    """The ranks of all lines with `plot` elsewhere, which is one of them; `to` is one of `MOVES`.

    "up" leads from among lines that take turns to before them, and from there to among those that came before it;
    "down" likewise.
    """
    groups = [sorted(line for line in ranks if ranks[line] == rank) for rank in sorted(set(ranks.values()))]
    at = next(number for number, group in enumerate(groups) if plot in group)
    alone = groups[at] == [plot]
    groups[at] = [line for line in groups[at] if line != plot]
    step = {"up": -1, "down": 1}.get(to, 0)
    if step and alone:
        groups[min(max(at + step, 0), len(groups) - 1)].append(plot)
    else:
        groups.insert({"front": 0, "end": len(groups), "up": at, "down": at + 1}[to], [plot])
    left = [group for group in groups if group]
    zero = next((number for number, group in enumerate(left) if SINGLE in group), 0)
    return {line: number - zero for number, group in enumerate(left) for line in group}


def reorder_plots(session: Session, owner: str, ranks: Mapping[str, int], plot: str, to: str) -> dict[str, int]:
    """Move a plot of the owner as `moved_ranks` says; `ranks` are those of all lines that wait.

    NotAllowed where nothing of the plot waits, or there is no such move.
    """
    if to not in MOVES:
        raise NotAllowed(f"must be one of {', '.join(MOVES)}", field="to")
    if plot not in ranks:
        raise NotAllowed("No cell of this plot waits, so it cannot be moved.", field="to")
    found = moved_ranks(ranks, plot, to)
    for row in session.scalars(select(PlotRow).where(PlotRow.id.in_(found), PlotRow.owner == owner)):
        row.rank = found[row.id]
    return found
