"""Plots for AUTOMATIC1111's scripts: queued, and answered with the grid in front of the pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend import Door, Job
from backend.errors import InvalidRequest, Problem
from backend.http.a1111 import responses
from backend.http.a1111.plot_scripts import place_of
from backend.http.a1111.requests import Reading
from backend.plots.export_layout import View
from backend.plots.grid_picture import Look
from backend.plots.infotext import plot_infotext
from backend.request.loose_values import truth
from backend.store.plot_reading import PlotHead

PER_PICTURE = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts")
SCALES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05)      # of a grid that would be too large


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plot whose cells have ended: its id, and their jobs in A1111's order."""

    plot: str
    jobs: Sequence[Job]


def create(door: Door, asked: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Queue the plot for a payload's field values. InvalidRequest names the script's argument that is wrong."""
    try:
        return door.plots.create({**asked, "request": values})
    except InvalidRequest as error:
        raise InvalidRequest(problems=[Problem(one.message, place_of(one.field)) for one in error.problems]) from None


def cells(door: Door, plot: str) -> list[Job]:
    """The jobs of a plot's cells, the first axis quickest."""
    view = door.plots.get(plot)
    ordered = sorted(view.cells, key=lambda cell: tuple(map(int, reversed(cell.cell.split(",")))))
    return [door.job(cell.job) for cell in ordered]


def drawn(door: Door, plot: Drawn, reading: Reading, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The answer: the grids that the script makes, then the pictures where they are wanted.

    A cell that failed is a hole in the grid, and `notes` say why.
    """
    head, whole = door.plots.get(plot.plot).line.head, [job for job in plot.jobs if job.state != "failed"]
    sends, alone = truth(payload.get("send_images", True)) is not False, _sends_alone(head)
    answer = responses.drawn(door, whole, reading, {**payload, "send_images": sends and alone})
    info = json.loads(answer["info"])
    notes = [*info["notes"], *(str(problem) for job in plot.jobs if job.state == "failed" for problem in job.problems)]
    if info["infotexts"] and (views := _views(head)):
        grids = list(_grids(door, plot.plot, head, views, notes)) if sends else []
        answer["images"] = [*grids, *answer["images"]]
        text = plot_infotext(info["infotexts"][0], head.kind, head.axes, head.options)
        number = len(grids) if sends else len(views)
        told = {name: [*info[name][:1] * number, *(info[name] if alone else ())] for name in PER_PICTURE}
        info |= told | {"infotexts": [*[text] * number, *told["infotexts"][number:]], "index_of_first_image": number}
    return {**answer, "info": json.dumps(info | {"notes": list(dict.fromkeys(notes))})}


def _sends_alone(head: PlotHead) -> bool:
    """Whether the single pictures are answered beside the grids."""
    return head.kind != "xyz" or bool(head.options.get("include_sub_images"))


def _views(head: PlotHead) -> list[View]:
    """The whole, and of an X/Y/Z plot each grid of one z, where that is wanted."""
    if head.kind == "prompts":
        return [View()] if head.options.get("combined") else []
    pages = len(head.axes[2].get("shown", [])) if len(head.axes) > 2 and head.options.get("include_sub_grids") else 0
    return [View(), *(View(page=(page,)) for page in range(pages))]


def _grids(door: Door, plot: str, head: PlotHead, views: Sequence[View], notes: list[str]) -> Iterator[str]:
    """As PNG in base64; one that would be too large is made smaller, and `notes` say so."""
    look = Look(margin=int(head.options.get("margin") or 0), legend=head.options.get("draw_legend", True) is not False)
    for view in views:
        for scale in SCALES:
            try:
                with door.plots.exports.picture(plot, view, replace(look, scale=scale), "PNG") as file:
                    yield base64.b64encode(file.read()).decode("ascii")
            except InvalidRequest as error:
                notes += [] if scale != SCALES[0] else [f"The grid is smaller than its pictures: {error}"]
            else:
                break
