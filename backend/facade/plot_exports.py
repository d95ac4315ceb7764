"""A user's plots as files: one picture, a page of its own, an archive of the cells, a table. Part of the facade."""

from __future__ import annotations

from functools import partial
from typing import IO

from backend.errors import NotFound
from backend.facade.components import Components
from backend.files.atomic_write import temporary_file
from backend.files.path_containment import leads_inside
from backend.files.write_errors import Purpose
from backend.plots import grid_picture
from backend.plots.archive import write_archive
from backend.plots.export_layout import Sheet, SheetAxis, SheetCell, View
from backend.plots.grid_picture import Look
from backend.plots.infotext import plot_infotext
from backend.plots.table_csv import table_csv
from backend.plots.web_page import write_web_page
from backend.store.plot_reading import Cell, PlotHead
from backend.store.scores import Scores
from backend.store.view_types import User

MAKING = Purpose("The file could not be made")


class PlotExports:
    """The files are open at their start and gone when they are closed. NotFound for someone else's plots.

    StorageError when the disk is full.
    """

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._owner = components, user.id
        self._scores = Scores(components.database)

    def picture(self, plot: str, view: View, look: Look, kind: str) -> IO[bytes]:
        """One picture with a legend; `kind` is PNG, JPEG or WEBP. InvalidRequest says what fits where it would not."""
        return temporary_file(partial(grid_picture.draw, self._sheet(plot), view, look, kind), MAKING)

    def web_page(self, plot: str, view: View, scale: float) -> IO[bytes]:
        """A page that needs nothing else, with the cells' pictures at `scale` of their size."""
        return temporary_file(partial(write_web_page, self._sheet(plot), view, scale), MAKING)

    def archive(self, plot: str, view: View, grids: bool) -> IO[bytes]:
        """A ZIP of the cells' files, with `grids` also of each page as one picture. NotFound where there is none."""
        sheet = self._sheet(plot)
        if not any(cell.file and cell.file.is_file() for cell in sheet.cells.values()):
            raise NotFound("No cell of this plot has a picture.")
        return temporary_file(partial(write_archive, sheet, view, grids), MAKING)

    def table(self, plot: str, view: View) -> str:
        """Values, states and scores of the cells that are not hidden as CSV."""
        return table_csv(self._sheet(plot), view)

    def title(self, plot: str) -> str:
        return self._parts.plots.head(plot, self._owner).title

    def _sheet(self, plot: str) -> Sheet:
        head, cells = self._parts.plots.head(plot, self._owner), self._parts.plots.cells(plot, self._owner)
        paths, board = self._parts.plots.paths(plot), self._scores.board(plot, self._owner)
        scores = board.values() if board else {}
        axes = [SheetAxis(str(axis.get("label", "")), [str(value) for value in axis.get("shown", [])])
                for axis in head.axes]

        def shown(cell: Cell) -> SheetCell:
            outputs = self._parts.pictures.outputs
            file = outputs / paths[cell.image] if cell.image in paths else None
            if file and not leads_inside(outputs, file):
                file = None
            return SheetCell(state=cell.state, file=file, width=cell.width, height=cell.height, seed=cell.seed,
                             message=cell.message, scores=scores.get(cell.cell, {}))

        found = {tuple(map(int, filter(None, cell.cell.split(",")))): shown(cell) for cell in cells}
        return Sheet(title=head.title, axes=axes, cells=found, text=self._text(head, cells))

    def _text(self, head: PlotHead, cells: list[Cell]) -> str:
        """As in AUTOMATIC1111, that of the first picture with the keys of the plot."""
        first = next((cell.image for cell in cells if cell.image and cell.state == "done"), "")
        text = self._parts.history.image(first, self._owner).infotext if first else ""
        return plot_infotext(text, head.kind, head.axes, head.options)
