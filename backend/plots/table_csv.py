"""A plot as a table: a row for each cell with its values, its state and its scores."""

from __future__ import annotations

import csv
import io

from backend.plots.export_layout import Sheet, SheetCell, View

FORMULA = ("=", "+", "@", "\t", "\r")     # how a text begins that a spreadsheet would compute


def table_csv(sheet: Sheet, view: View) -> str:
    """Comma-separated, the first row naming the columns; "-" and digits stay numbers. What is hidden is left out."""
    kinds = list(dict.fromkeys(kind for cell in sheet.cells.values() for kind in cell.scores))
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    labels = [_plain(axis.label) for axis in sheet.axes]
    table.writerow([*labels, "State", "Seed", "Width", "Height", "Message", *kinds])
    for coordinates, cell in sorted(sheet.cells.items(), key=lambda item: item[0][::-1]):
        if not sheet.shows(coordinates, view):
            continue
        values = [_plain(axis.values[at]) for axis, at in zip(sheet.axes, coordinates, strict=True)]
        table.writerow([*values, *_facts(cell), *(_score(cell, kind) for kind in kinds)])
    return out.getvalue()


def _facts(cell: SheetCell) -> list[str | int]:
    seed = "" if cell.seed is None else str(cell.seed)
    return [cell.state, seed, cell.width or "", cell.height or "", _plain(cell.message)]


def _score(cell: SheetCell, kind: str) -> float | str:
    value = cell.scores.get(kind)
    return "" if value is None else value


def _plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
