"""Plots: axes, dry runs, drawing, and how far they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Body as InBody
from starlette.concurrency import run_in_threadpool

from backend import FIELDS, Door, InvalidRequest, Problem
from backend.facade.plots import PlotCheck, PlotView
from backend.http.dependencies import FrontDoor, Place
from backend.http.easel.jobs import SET_OUTSIDE
from backend.plots.axis import Axis
from backend.plots.axis_table import axis_named
from backend.request.record import plain
from backend.store.plot_reading import Cell
from backend.store.plots import PlotLine
from backend.store.view_types import picture_address

Body = dict[str, Any]
Embedded = InBody(embed=True)
COLUMNS = ("cell", "job", "state", "image", "thumb", "width", "height", "seed", "message", "scores")
router = APIRouter(prefix="/easel/plots")


@router.get("/axes")
def axes(door: FrontDoor) -> dict[str, Any]:
    """All axes, in the order of a menu."""
    return {"axes": [_axis(axis) for axis in door.plots.axes()]}


@router.get("/axes/{label:path}/choices")
def choices(door: FrontDoor, label: str) -> dict[str, Any]:
    """The values that an axis can be filled with."""
    return {"choices": door.plots.choices(label)}


@router.get("/scores")
def score_choices(door: FrontDoor) -> dict[str, Any]:
    """What cells can be measured with: CLIPs, folders for FID, and why there is no FID, where there is none."""
    return door.plots.scores.choices()


@router.post("/check")
async def check(door: FrontDoor, asked: Body) -> dict[str, Any]:
    """What would become of a plot; nothing is queued."""
    whole = with_own_values(asked)
    return checked(await run_in_threadpool(door.plots.check, whole))


@router.post("", status_code=201)
async def create(door: FrontDoor, asked: Body) -> dict[str, Any]:
    """Queues a plot."""
    plot = await run_in_threadpool(door.plots.create, with_own_values(asked))
    return await run_in_threadpool(_plot, door, plot)


@router.get("")
def plots(
    door: FrontDoor, before: str | None = None, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> dict[str, Any]:
    """The caller's plots, newest first."""
    return {"plots": [_line(door, line) for line in door.plots.list(before, limit)]}


@router.get("/{plot}")
def plot(door: FrontDoor, plot: str) -> dict[str, Any]:
    """A plot with all its cells."""
    return _plot(door, plot)


@router.get("/{plot}/cells")
def cells(door: FrontDoor, plot: str, since: Place = 0) -> dict[str, Any]:
    """The cells that changed since the cursor of an earlier answer."""
    view = door.plots.get(plot, since)
    return {"cursor": view.cursor, **_cells(view)}


@router.post("/{plot}/pause")
def pause(door: FrontDoor, plot: str) -> dict[str, Any]:
    """No cell starts until the plot is resumed; what is drawn is finished."""
    door.plots.pause(plot)
    return _plot(door, plot)


@router.post("/{plot}/resume")
def resume(door: FrontDoor, plot: str) -> dict[str, Any]:
    """Goes on, also after a cancel: cells that were left out wait again."""
    door.plots.resume(plot)
    return _plot(door, plot)


@router.post("/{plot}/move")
def move(door: FrontDoor, plot: str, to: Annotated[str, Embedded]) -> dict[str, bool]:
    """To another place of the queue: front, up, down or end."""
    door.plots.move(plot, to)
    return {"ok": True}


@router.post("/{plot}/cancel")
def cancel(door: FrontDoor, plot: str) -> dict[str, Any]:
    """Ends the cells that wait or are drawn; what is there stays."""
    door.plots.cancel(plot)
    return _plot(door, plot)


@router.post("/{plot}/delete")
def delete(door: FrontDoor, plot: str, pictures: Annotated[bool, Embedded] = False) -> dict[str, bool]:
    """Forgets the plot. Its pictures stay in the history, or with `pictures` go into the bin."""
    door.plots.delete(plot, pictures=pictures)
    return {"ok": True}


@router.post("/{plot}/title")
def title(door: FrontDoor, plot: str, title: Annotated[str, Embedded]) -> dict[str, Any]:
    """Another title."""
    door.plots.rename(plot, title)
    return _plot(door, plot)


@router.post("/{plot}/retry")
def retry_all(door: FrontDoor, plot: str) -> dict[str, Any]:
    """Draws all cells that failed once more."""
    door.plots.retry(plot)
    return _plot(door, plot)


@router.post("/{plot}/cells/{cell}/retry")
def retry(door: FrontDoor, plot: str, cell: str) -> dict[str, Any]:
    """Draws what a cell that failed or was cancelled lacks."""
    door.plots.redraw(plot, cell, whole=False)
    return _plot(door, plot)


@router.post("/{plot}/cells/{cell}/redraw")
def redraw(door: FrontDoor, plot: str, cell: str) -> dict[str, Any]:
    """Draws a cell anew."""
    door.plots.redraw(plot, cell, whole=True)
    return _plot(door, plot)


@router.post("/{plot}/extend")
async def extend(door: FrontDoor, plot: str, axis: Annotated[int, Embedded], values: Annotated[Any, Embedded]) -> Body:
    """Adds values to an axis; only the new cells are drawn."""
    await run_in_threadpool(door.plots.extend, plot, axis, values)
    return await run_in_threadpool(_plot, door, plot)


@router.post("/{plot}/scores")
async def scores(door: FrontDoor, plot: str, asked: Body) -> dict[str, Any]:
    """Switches scores on: they come with the cells, also with those that are drawn already."""
    await run_in_threadpool(door.plots.scores.switch, plot, asked)
    return await run_in_threadpool(_plot, door, plot)


@router.get("/{plot}/distances")
def distances(door: FrontDoor, plot: str) -> dict[str, Any]:
    """FID between sets of pictures, as far as it was asked for; without value and problem it still waits."""
    return {"distances": [one.written() for one in door.plots.scores.distances(plot)]}


@router.post("/{plot}/distances", status_code=201)
async def compare(door: FrontDoor, plot: str, asked: Body) -> dict[str, Any]:
    """Has FID measured between `first` and `second`: cells of the plot, or a folder."""
    await run_in_threadpool(door.plots.scores.compare, plot, asked)
    return await run_in_threadpool(distances, door, plot)


def with_own_values(asked: Body) -> Body:
    """A request as another plot tells it has all fields; those that Easel sets itself must be as they are without."""
    request = asked.get("request")
    if not isinstance(request, dict):
        return asked
    ours = {name: value for name, value in request.items()
            if name in FIELDS and FIELDS[name].internal and name not in SET_OUTSIDE}
    problems = [Problem("is set by Easel itself", name) for name, value in ours.items()
                if value != plain(FIELDS[name].default)]
    if problems:
        raise InvalidRequest(problems=problems)
    return {**asked, "request": {name: value for name, value in request.items() if name not in ours}}


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "kind": axis.kind, "choices": None, "has_choices": axis.choices is not None,
            "group": axis.group, "cost": axis.cost, "help": axis.help, "tabs": list(axis.tabs),
            "record": _record(axis)}


def _record(axis: Axis) -> dict[str, Any] | None:
    """Which record of which field the axis changes, and the record's switch."""
    if axis.record is None:
        return None
    return {**asdict(axis.record), "switch": FIELDS[axis.record.field].switch}


def checked(check: PlotCheck) -> dict[str, Any]:
    """A dry run as JSON."""
    readings = [{"label": one.label, "values": one.chosen.shown if one.chosen else [], "error": one.error,
                 "idle": number in check.idle} for number, one in enumerate(check.axes)]
    problems = [{"field": problem.field, "message": problem.message} for problem in check.problems]
    estimate = check.estimate
    told = {"pictures": 0, "calls": 0, "rows": 0, "loads": 0, "seconds": None, "bytes": 0, "shared": {}}
    if estimate:
        cost = estimate.cost
        told = {"pictures": cost.pictures, "calls": cost.calls, "rows": cost.rows, "loads": cost.loads,
                "seconds": estimate.seconds, "bytes": estimate.bytes,
                "shared": {"first_passes": cost.shared_passes} if cost.shared_passes else {}}
    return {"axes": readings, "problems": problems, "cells": sum(cost.cells for cost in check.costs), **told}


def _line(door: Door, line: PlotLine) -> dict[str, Any]:
    head = line.head
    return {**door.plots.state(line), "kind": head.kind, "created": head.created.isoformat(),
            "cover": picture_address(line.cover) + "/thumb" if line.cover else None,
            "axes": [axis.get("label", "") for axis in head.axes]}


def _plot(door: Door, plot: str) -> dict[str, Any]:
    view = door.plots.get(plot)
    head = view.line.head
    return {**view.state, "kind": head.kind, "created": head.created.isoformat(), "request": head.request,
            "options": head.options, "cursor": view.cursor, "scores": _wanted(door, plot), "cells": _cells(view),
            "axes": [_drawn_axis(axis) for axis in head.axes]}


def _drawn_axis(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Of a plot's row; `pictures` are the uploads that are its values, where they are pictures."""
    told = {"label": stored.get("label", ""), "values": stored.get("shown", []), "typed": stored.get("values", "")}
    try:
        pictured = axis_named(told["label"]).kind == "picture"
    except KeyError:            # of an extension that is no longer there
        pictured = False
    return {**told, "pictures": [picture for _, picture in stored.get("parsed", [])]} if pictured else told


def _wanted(door: Door, plot: str) -> dict[str, Any]:
    wanted = door.plots.scores.wanted(plot)
    return {"kinds": list(wanted.kinds), "reference": dict(wanted.reference), "encoder": wanted.encoder}


def _cells(view: PlotView) -> dict[str, Any]:
    return {"columns": list(COLUMNS), "rows": [_cell(cell, view.scores.get(cell.cell, {})) for cell in view.cells]}


def _cell(cell: Cell, scores: Mapping[str, float | None]) -> list[Any]:
    suffix = "?unfinished" if cell.unfinished else ""
    address = picture_address(cell.image) if cell.image else None
    return [cell.cell, cell.job, cell.state, address and address + suffix, address and f"{address}/thumb{suffix}",
            cell.width, cell.height, None if cell.seed is None else str(cell.seed), cell.message, scores]
