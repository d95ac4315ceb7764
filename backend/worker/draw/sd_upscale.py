"""SD upscale: a picture enlarged, then drawn again in overlapping tiles, each by img2img (AUTOMATIC1111's script).

All tiles have the request's seed. Several are drawn side by side, so that they share network calls.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from backend.request.output_size import drawn, upscaled
from backend.request.request import Request
from backend.request.rules import NO_RESTORER
from backend.worker.draw.init_image import Source
from backend.worker.draw.outpaint import padded
from backend.worker.draw.paste_back import recoloured
from backend.worker.draw.pipeline import OnStep, draw, with_clean_faces
from backend.worker.draw.plan import Plan
from backend.worker.draw.work_items import Canvas, Drawing, Work
from backend.worker.pixels import Pixels
from backend.worker.pixels.tile_blender import Box, blended, spans
from backend.worker.pixels.upscaling import Enlarging, Expect, enlarged

TOGETHER = 8                # tiles that are drawn side by side


def enlarge(request: Request, source: Source) -> Enlarging:
    """The source at `sd_upscale_factor` times its size, by the upscaler that was chosen."""
    size = upscaled(request, (source.pixels.shape[1], source.pixels.shape[0]))
    return (yield from enlarged(source.pixels, request.sd_upscale, *size))


def redraw(plan: Plan, canvas: Canvas, on_step: OnStep, larger: Pixels) -> Drawing:
    """An enlarged picture (H, W, 3), drawn again tile by tile, put together without seams."""
    request, (height, width) = plan.request, larger.shape[:2]
    plan = replace(plan, request=request.replace(face_restoration=NO_RESTORER))     # of a tile; the whole has its turn
    most = drawn((width, height), canvas.cell)              # a tile is no larger than what there is to draw
    tile = min(request.width, most[0]), min(request.height, most[1])
    canvas = replace(canvas, shape=(canvas.shape[0], tile[1] // canvas.cell, tile[0] // canvas.cell))
    whole = padded(larger, tile[1], tile[0])
    rows, columns = (spans(side, side, most, request.sd_upscale_overlap)
                     for side, most in zip(whole.shape[:2], reversed(tile), strict=True))
    boxes = [Box(row, column) for row in rows for column in columns]
    yield Expect((len(boxes) - 1) * plan.calls)
    blending, result = blended(rows, columns), None
    next(blending)
    for first in range(0, len(boxes), TOGETHER):
        some = boxes[first : first + TOGETHER]
        tiles = yield from side_by_side([draw(plan, canvas, on_step, Source(box.cut(whole))) for box in some])
        result = _laid(blending, some, tiles)
    cut = yield from with_clean_faces(result[:height, :width], request)
    return recoloured(cut, larger) if request.color_correction else cut


def side_by_side(drawings: Sequence[Drawing]) -> Generator[Work, Any, list[Pixels]]:
    """Runs programs together: the rows of all that wait for the network are one work item. Their results, in order."""
    done: dict[int, Pixels] = {}
    waiting: dict[int, Work] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(drawings)))
    while answers:
        for number, answer in answers.items():
            try:
                waiting[number] = drawings[number].send(answer)
            except StopIteration as end:
                done[number] = end.value
        answers = yield from _answered(waiting)
    return [done[number] for number in range(len(drawings))]


def _answered(waiting: dict[int, Work]) -> Generator[Work, Any, dict[int, Any]]:
    """Takes one work item that is not rows out of `waiting`, or all of them when only rows are left; the answers."""
    for number, work in waiting.items():
        if not isinstance(work, list):
            del waiting[number]
            return {number: (yield work)}
    if not waiting:
        return {}
    rows = [row for work in waiting.values() for row in work]
    answers = iter((yield rows))
    given = {number: [next(answers) for _ in work] for number, work in waiting.items()}
    waiting.clear()
    return given


def _laid(blending: Generator[Box, Pixels, Pixels], boxes: Sequence[Box], tiles: Sequence[Pixels]) -> Pixels | None:
    """Lays drawn tiles; the whole picture when these were the last."""
    for box, tile in zip(boxes, tiles, strict=True):
        fitted = box.fitted(tile, (1.0, 1.0))
        try:
            blending.send(fitted)
        except StopIteration as end:
            return end.value
    return None
