"""Labels of small cells: where "CFG Scale: 7" finds no room, the value stands alone, and the axis is told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backend.plots import legend
from backend.plots.export_layout import Page

BETWEEN = ": "          # the name of an axis and its value


@dataclass(frozen=True, slots=True)
class Room:
    """What a label may take: pixels of its lines, and how many of them."""

    width: int
    lines: int

    def holds(self, text: str, font: int) -> bool:
        return len(legend.wrapped(text, font, self.width, self.lines + 1)) <= self.lines


def shortened(page: Page, font: int, columns: Room, rows: Room) -> Page:
    """The page with the values alone where one of them has no room with its axis; its name then tells the axis."""
    across, down = _short(page.columns, font, columns), _short(page.rows, font, rows)
    named = [f"{names[0].partition(BETWEEN)[0]} {arrow}"
             for names, found, arrow in ((page.columns, across, "→"), (page.rows, down, "↓")) if found is not names]
    return replace(page, columns=across, rows=down, name=", ".join(filter(None, (page.name, *named))))


def _short(names: Sequence[str], font: int, room: Room) -> Sequence[str]:
    if all(BETWEEN not in name or room.holds(name, font) for name in names):
        return names
    return [name.partition(BETWEEN)[2] or name for name in names]
