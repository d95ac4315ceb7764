"""Plots as files to keep: pictures with a legend, a page of its own, an archive of the cells, a table."""

from __future__ import annotations

from functools import partial
from typing import IO, Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from backend.errors import InvalidRequest
from backend.http.decode_threads import run_decoding
from backend.http.dependencies import FrontDoor
from backend.image.batch_names import component
from backend.plots.export_layout import View
from backend.plots.grid_picture import Look

PIECE = 2**18           # bytes that are sent at once
KINDS = {"png": ("PNG", "image/png"), "jpg": ("JPEG", "image/jpeg"), "webp": ("WEBP", "image/webp")}
Scale = Annotated[float, Query(ge=0.01, le=1)]
router = APIRouter(prefix="/easel/plots")


def asked(
    columns: Annotated[int, Query(ge=0, le=9)] = 0, rows: Annotated[int, Query(ge=0, le=9)] = 1, page: str = "",
    hide: str = "", line: Annotated[int, Query(ge=0, le=1000)] = 0,
) -> View:
    """The axes along the columns and the rows; `page` like "2,0": one value of each other axis, by number, or all
    pages; `hide` like "0:3,1:5": rows and columns that are left out, as axis and value; `line`: cells side by side
    where only one axis is seen."""
    hidden = [_numbers(pair, ":", "hide", 2) for pair in hide.split(",") if pair]
    return View(columns, rows, _numbers(page, ",", "page") if page else None,
                frozenset((axis, value) for axis, value in hidden), line)


Wanted = Annotated[View, Depends(asked)]


@router.get("/{plot}/export.{kind}", response_class=StreamingResponse)
async def export(
    door: FrontDoor, plot: str, kind: str, view: Wanted, scale: Scale = 1.0,
    margin: Annotated[int, Query(ge=0, le=1000)] = 0, legend: bool = True, grids: bool = False,
) -> Response:
    """The plot as png, jpg or webp (one picture), html (one page), zip (its pictures) or csv (a table).

    With `grids` the zip has each page as one picture, too.

    What is too large for one picture is refused with what would fit.
    """
    exports = door.plots.exports
    name = f"{component(await run_in_threadpool(exports.title, plot))}.{kind}"
    if kind in KINDS:
        look, (pillows, media) = Look(scale=scale, margin=margin, legend=legend), KINDS[kind]
        return _file(await run_decoding(exports.picture, plot, view, look, pillows), name, media)
    if kind == "html":
        return _file(await run_decoding(exports.web_page, plot, view, scale), name, "text/html; charset=utf-8")
    if kind == "zip":
        return _file(await run_in_threadpool(exports.archive, plot, view, grids), name, "application/zip")
    if kind == "csv":
        table = "\ufeff" + await run_in_threadpool(exports.table, plot, view)      # or spreadsheets take it for Latin
        return Response(table, headers=_headers(name), media_type="text/csv; charset=utf-8")
    raise InvalidRequest(f"must be one of {', '.join([*KINDS, 'html', 'zip', 'csv'])}", field="kind")


def _file(file: IO[bytes], name: str, media: str) -> StreamingResponse:
    pieces, closing = iter(partial(file.read, PIECE), b""), BackgroundTask(file.close)
    return StreamingResponse(pieces, media_type=media, headers=_headers(name), background=closing)


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=utf-8''{quote(name)}", "Cache-Control": "no-store"}


def _numbers(text: str, between: str, field: str, count: int = 0) -> tuple[int, ...]:
    """Raises InvalidRequest for what is no list of numbers, or not of `count`."""
    parts = text.split(between)
    if not all(part.isdecimal() and len(part) < 6 for part in parts) or count not in (0, len(parts)):
        raise InvalidRequest("must be numbers, like 2,0 for a page or 0:3 for what is hidden", field=field)
    return tuple(map(int, parts))
