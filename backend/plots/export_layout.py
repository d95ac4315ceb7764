"""A plot as it is exported: its cells laid out over two axes, on a page for each choice of the others' values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from backend.errors import InvalidRequest
from backend.plots.axis_table import NOTHING
from backend.plots.cells import Coordinates


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetCell:
    """A cell; `file` is None where there is no picture, and then `message` may say why."""

    state: str = "queued"
    file: Path | None = None
    width: int = 0
    height: int = 0
    seed: int | None = None
    message: str = ""
    scores: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SheetAxis:
    """An axis and its values, as they are shown."""

    label: str
    values: Sequence[str]

    def named(self, index: int) -> str:
        """A value with the axis' name, "" for the axis that is none."""
        return "" if self.label == NOTHING.label else f"{self.label}: {self.values[index]}"


@dataclass(frozen=True, slots=True)
class View:
    """What of a plot is wanted: the axes along the columns and the rows, one page or all, and what is hidden.

    `page`: an index on each of the other axes, in their order. `hidden`: (axis, index) of rows, columns and pages.
    `line`: where no axis is along the rows, the columns go on below after so many; 0 for one row of them.
    """

    columns: int = 0
    rows: int = 1
    page: tuple[int, ...] | None = None
    hidden: frozenset[tuple[int, int]] = frozenset()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """One grid: what its columns, its rows and it as a whole are called, and its cells row by row."""

    name: str
    columns: Sequence[str]
    rows: Sequence[str]
    cells: Sequence[Sequence[SheetCell]]

    def in_lines(self, length: int) -> Iterator[Page]:
        """A page of one row in several of at most `length` cells; any other as it is."""
        if not length or len(self.rows) != 1 or any(self.rows):
            yield self
            return
        for start in range(0, len(self.columns), length):
            part = slice(start, start + length)
            yield Page("" if start else self.name, self.columns[part], self.rows, [self.cells[0][part]])


NOT_THERE = SheetCell(message="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`text` is the settings text of the plot, `cells` are those that it has, by coordinates."""

    title: str
    axes: Sequence[SheetAxis]
    cells: Mapping[Coordinates, SheetCell]
    text: str = ""

    @property
    def cell_size(self) -> tuple[int, int]:
        """Width and height that hold the picture of every cell."""
        drawn = [cell for cell in self.cells.values() if cell.file]
        return max((cell.width for cell in drawn), default=256), max((cell.height for cell in drawn), default=256)

    def pages(self, view: View) -> list[Page]:
        """Those that are wanted. InvalidRequest for axes, pages or values that the plot does not have."""
        shown = [self._shown(number, view) for number in range(len(self.axes))]
        return [self._page(view, at, shown) for at in self._chosen(view, shown)]

    def blocks(self, view: View) -> list[Page]:
        """The same as they lie below each other in one picture: a long row in lines."""
        return [block for page in self.pages(view) for block in page.in_lines(view.line)]

    def shows(self, cell: Coordinates, view: View) -> bool:
        """Whether nothing hides the cell."""
        return not any((axis, index) in view.hidden for axis, index in enumerate(cell))

    def _chosen(self, view: View, shown: Sequence[Sequence[int]]) -> list[dict[int, int]]:
        """For each wanted page, the index on every axis that is neither along the columns nor the rows."""
        if view.columns == view.rows or min(view.columns, view.rows) < 0:
            raise InvalidRequest("must be another axis than that of the columns", field="rows")
        others = [number for number in range(len(self.axes)) if number not in (view.columns, view.rows)]
        if view.page is None:
            return [dict(zip(others, at, strict=True)) for at in _in_order([shown[number] for number in others])]
        sizes = [len(self.axes[number].values) for number in others]
        if len(view.page) != len(others) or any(not 0 <= at < size for at, size in zip(view.page, sizes, strict=False)):
            raise InvalidRequest("must name one value of each further axis, by number", field="page")
        return [dict(zip(others, view.page, strict=True))]

    def _shown(self, number: int, view: View) -> list[int]:
        indices = range(len(self.axes[number].values))
        return [index for index in indices if (number, index) not in view.hidden]

    def _page(self, view: View, at: Mapping[int, int], shown: Sequence[Sequence[int]]) -> Page:
        columns, rows = (shown[axis] if axis < len(self.axes) else [0] for axis in (view.columns, view.rows))
        cells = [[self.cells.get(self._place(view, at, column, row), NOT_THERE) for column in columns] for row in rows]
        name = ", ".join(filter(None, (self.axes[number].named(index) for number, index in at.items())))
        return Page(name, self._names(view.columns, columns), self._names(view.rows, rows), cells)

    def _place(self, view: View, at: Mapping[int, int], column: int, row: int) -> Coordinates:
        known = {**at, view.columns: column, view.rows: row}
        return tuple(known[number] for number in range(len(self.axes)))

    def _names(self, axis: int, indices: Sequence[int]) -> list[str]:
        return [self.axes[axis].named(index) if axis < len(self.axes) else "" for index in indices]


def _in_order(indices: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Every choice, the first axis quickest."""
    for turned in product(*reversed(indices)):
        yield turned[::-1]
