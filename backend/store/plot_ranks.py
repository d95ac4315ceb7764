"""The order of one owner's plots when a person changes it: which of them come before others, and which take turns.

Lines of one rank take turns, lower ranks come first. Single jobs are a line of rank 0, and a new plot has rank 0, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotAllowed
from backend.store.fair_queue import SINGLE
from backend.store.tables import PlotRow

MOVES = ("front", "up", "down", "end")


def moved_ranks(ranks: Mapping[str, int], plot: str, to: str, order: Sequence[str] = ()) -> dict[str, int]:
    """The ranks of all lines with `plot` elsewhere, which is one of them; `to` is one of `MOVES` or another line.

    "up" leads from among lines that take turns to before them, and from there to among those that came before it;
    "down" likewise. Before another line means behind all that stand before that one in the queue, whose order is
    `order`: lines that took turns do so no longer where the plot comes between them.
    """
    groups = [sorted(line for line in ranks if ranks[line] == rank) for rank in sorted(set(ranks.values()))]
    at = next(number for number, group in enumerate(groups) if plot in group)
    alone = groups[at] == [plot]
    groups[at] = [line for line in groups[at] if line != plot]
    step = {"up": -1, "down": 1}.get(to, 0)
    if to not in MOVES:
        _put_before(groups, plot, to, order)
    elif step and alone:
        groups[min(max(at + step, 0), len(groups) - 1)].append(plot)
    else:
        groups.insert({"front": 0, "end": len(groups), "up": at, "down": at + 1}[to], [plot])
    left = [group for group in groups if group]
    zero = next((number for number, group in enumerate(left) if SINGLE in group), 0)
    return {line: number - zero for number, group in enumerate(left) for line in group}


def _put_before(groups: list[list[str]], plot: str, line: str, order: Sequence[str]) -> None:
    at = next(number for number, group in enumerate(groups) if line in group)
    ahead = [one for one in groups[at] if order.index(one) < order.index(line)]
    groups[at:at + 1] = [ahead, [plot], [one for one in groups[at] if one not in ahead]]


@dataclass(frozen=True, slots=True)
class Lines:
    """An owner's lines that wait: their ranks, and in which order the queue shows them."""

    ranks: Mapping[str, int]
    order: Sequence[str]


def reorder_plots(session: Session, owner: str, lines: Lines, plot: str, to: str) -> dict[str, int]:
    """Move a plot of the owner as `moved_ranks` says. NotAllowed where nothing of the plot, or of the line `to`, waits,
    or there is no such move."""
    if to not in MOVES and to not in lines.ranks:
        raise NotAllowed(f"must be one of {', '.join(MOVES)}, or a plot or job that waits", field="to")
    if plot not in lines.ranks:
        raise NotAllowed("No cell of this plot waits, so it cannot be moved.", field="to")
    if plot == to:
        return dict(lines.ranks)
    found = moved_ranks(lines.ranks, plot, to, lines.order)
    for row in session.scalars(select(PlotRow).where(PlotRow.id.in_(found), PlotRow.owner == owner)):
        row.rank = found[row.id]
    return found
