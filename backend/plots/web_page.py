"""A plot as one web page that needs nothing else: labels that stay in view, zoom, and each cell in full on a click."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path
from typing import IO

from backend.plots.export_layout import Page, Sheet, SheetCell, View
from backend.plots.grid_picture import opened

QUALITY = 90
SMALLEST, WIDEST = 40, 2000     # pixels of a cell while one zooms

_STYLE, _SCRIPT = (Path(__file__).with_suffix(ending) for ending in (".css", ".js"))


def write_web_page(sheet: Sheet, view: View, scale: float, out: IO[bytes]) -> None:
    """Write the page cell by cell; their pictures are WebP at `scale` of their size."""
    pages = sheet.blocks(view)
    size = tuple(max(1, round(side * scale)) for side in sheet.cell_size)
    title = escape(sheet.title)
    side = min(max(*size, SMALLEST), 512)
    data = (f'style="--shape: {size[1] / size[0]:.4f}" data-side="{side}" data-smallest="{SMALLEST}" '
            f'data-widest="{WIDEST}"')

    def write(text: str) -> None:
        out.write(text.encode("utf-8", "replace"))

    style = _STYLE.read_text("utf-8")
    write(f'<!doctype html><html {data}><head><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
          f'<meta name="viewport" content="width=device-width, initial-scale=1"></head><body>'
          f'<header><h1>{title}</h1><span><button id="smaller" aria-label="Smaller cells">\u2212</button> '
          f'<button id="larger" aria-label="Larger cells">+</button></span></header><main>')
    for page in pages:
        write(f"<h2>{escape(page.name)}</h2>" if page.name else "")
        write(_head(page))
        for name, cells in zip(page.rows, page.cells, strict=True):
            write(f'<tr><th scope="row">{escape(name)}</th>')
            for column, cell in zip(page.columns, cells, strict=True):
                write(_cell(cell, ", ".join(filter(None, (page.name, column, name))), size))
            write("</tr>")
        write("</tbody></table>")
    write(f"</main><pre>{escape(sheet.text)}</pre><dialog><p></p><img alt=''></dialog>")
    write(f"<script>{_SCRIPT.read_text('utf-8')}</script></body></html>")


def _head(page: Page) -> str:
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in page.columns)
    return f"<table><thead><tr><td></td>{columns}</tr></thead><tbody>"


def _cell(cell: SheetCell, name: str, size: tuple[int, int]) -> str:
    picture = opened(cell, size)
    if picture is None:
        return f"<td><p>{escape(cell.message)}</p></td>"
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY)
    scores = "".join(f", {kind} {value:.3g}" for kind, value in cell.scores.items() if value is not None)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    image = f'<img alt="{escape(name + scores)}" src="data:image/webp;base64,{data}">'
    return f"<td><button>{image}</button></td>"
