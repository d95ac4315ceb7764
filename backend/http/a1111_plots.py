"""Plots for AUTOMATIC1111's scripts: queued, and answered with the grid in front of the pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image as Pillow

from backend import Door, Image, Job
from backend.errors import InvalidRequest, Problem
from backend.http import a1111_responses
from backend.http.a1111_plot_scripts import place_of
from backend.http.a1111_requests import Reading
from backend.http.a1111_values import truth
from backend.image import save
from backend.image.grid import grid
from backend.image.read import read_pixels
from backend.plots.infotext import plot_infotext
from backend.store.plot_reading import PlotHead

PER_PICTURE = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds", "infotexts")


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
    """The answer: the grid where the script makes one, then the pictures where they are wanted.

    A cell that failed is a hole in the grid, and `notes` say why.
    """
    head, whole = door.plots.get(plot.plot).line.head, [job for job in plot.jobs if job.state != "failed"]
    sends, alone = truth(payload.get("send_images", True)) is not False, _sends_alone(head)
    answer = a1111_responses.drawn(door, whole, reading, {**payload, "send_images": sends and alone})
    info = json.loads(answer["info"])
    holes = [str(problem) for job in plot.jobs if job.state == "failed" for problem in job.problems]
    info["notes"] = list(dict.fromkeys([*info["notes"], *holes]))
    if info["infotexts"] and _has_grid(head):
        text = plot_infotext(info["infotexts"][0], head.kind, head.axes, head.options)
        answer["images"] = [*([_grid(door, plot, head, text)] if sends else []), *answer["images"]]
        info |= {name: [info[name][0], *(info[name] if alone else ())] for name in PER_PICTURE}
        info |= {"infotexts": [text, *info["infotexts"][1:]], "index_of_first_image": 1}
    return {**answer, "info": json.dumps(info)}


def _has_grid(head: PlotHead) -> bool:
    return head.kind != "prompts" or bool(head.options.get("combined"))


def _sends_alone(head: PlotHead) -> bool:
    """Whether the single pictures are answered beside the grid."""
    return head.kind != "xyz" or bool(head.options.get("include_sub_images"))


def _grid(door: Door, plot: Drawn, head: PlotHead, text: str) -> str:
    columns = len(head.axes[0].get("shown", [])) if head.axes and head.kind != "prompts" else 0
    firsts: list[Image | None] = [next(iter(door.results(job.id)), None) for job in plot.jobs]
    size = max(one.width for one in firsts if one), max(one.height for one in firsts if one)
    pictures = (read_pixels(door.image_file(one.id)) if one else Pillow.new("RGB", size) for one in firsts)
    whole = grid(pictures, len(firsts), size, columns)
    return base64.b64encode(save.encode(whole, "PNG", text)).decode("ascii")
