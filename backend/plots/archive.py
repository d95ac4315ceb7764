"""The cells of a plot as files in a ZIP, in folders by page, named by their places and values."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from backend.image.batch_names import component
from backend.plots.export_layout import Page, Sheet, View
from backend.plots.grid_picture import draw_largest

LONGEST_LABEL = 60


def write_archive(sheet: Sheet, view: View, grids: bool, out: IO[bytes]) -> int:
    """Pack the pictures that there are, one after the other; how many. Files that were moved are left out.

    `grids`: each page as one picture with its legend comes with them, smaller than its cells where it must be.
    """
    packed = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:      # pictures are compressed already
        for name, file in _named(sheet.pages(view)):
            archive.write(file, name)
            packed += 1
        for number, page in enumerate(sheet.pages(view) if grids else (), 1):
            with archive.open(component(f"grid {number:03} {_short(page.name)}") + ".png", "w") as file:
                draw_largest(sheet, page, view.line, file)
    return packed


def _named(pages: Sequence[Page]) -> Iterator[tuple[str, Path]]:
    for page_number, page in enumerate(pages, 1):
        folder = component(f"page {page_number:03} {_short(page.name)}") + "/" if len(pages) > 1 else ""
        for row_number, (row, cells) in enumerate(zip(page.rows, page.cells, strict=True), 1):
            for column_number, (column, cell) in enumerate(zip(page.columns, cells, strict=True), 1):
                if cell.file and cell.file.is_file():
                    labels = " - ".join(filter(None, (_short(column), _short(row))))
                    place = f"row {row_number:03} column {column_number:03}"
                    yield f"{folder}{component(f'{place} {labels}')}{cell.file.suffix}", cell.file


def _short(label: str) -> str:
    return component(label[:LONGEST_LABEL]) if label else ""
