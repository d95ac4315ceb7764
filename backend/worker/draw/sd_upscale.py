"""SD upscale: a picture enlarged, then drawn again in overlapping tiles, each by img2img (AUTOMATIC1111's script).

All tiles have the request's seed. Several are drawn side by side, so that they share network calls.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from backend.request.choices import NO_RESTORER
from backend.request.face_swap import SOURCES
from backend.request.output_size import drawn, upscaled
from backend.request.request import Request
from backend.worker.draw.colour_correction import recoloured
from backend.worker.draw.detailer import Drawer, detailed
from backend.worker.draw.guide_hint import Part
from backend.worker.draw.init_image import Source
from backend.worker.draw.outpaint import padded
from backend.worker.draw.pipeline import OnStep, completed, draw
from backend.worker.draw.plan import Plan
from backend.worker.draw.work_items import Canvas, Drawing, Work
from backend.worker.guidance.interrupted import Interrupted
from backend.worker.guidance.lazy_latents import Calculate, calculate
from backend.worker.pixels import Pixels
from backend.worker.pixels.tile_blender import Box, blended, spans
from backend.worker.pixels.upscaling import Enlarging, Expect, enlarged

TOGETHER = 8                # tiles that are drawn side by side


def enlarge(request: Request, source: Source) -> Enlarging:
    """The source at `sd_upscale_factor` times its size, by the upscaler that was chosen."""
    size = upscaled(request, (source.pixels.shape[1], source.pixels.shape[0]))
    return (yield from enlarged(source.pixels, request.sd_upscale, *size))


def redraw(
    plan: Plan, canvas: Canvas, on_step: OnStep, larger: Pixels, before: Sequence[Request] = ()
) -> Drawing:
    """An enlarged picture (H, W, 3), drawn again tile by tile, put together without seams; `before` as in `draw`.

    Interrupted, what has not been drawn again is as it was enlarged.
    """
    request, (height, width) = plan.request, larger.shape[:2]
    of_tile = request.replace(face_restoration=NO_RESTORER, detailers=(), **SOURCES)        # the whole has its turn
    plan = replace(plan, request=of_tile)
    most = drawn((width, height), canvas.cell)              # a tile is no larger than what there is to draw
    tile = min(request.width, most[0]), min(request.height, most[1])
    canvas = replace(canvas, shape=(canvas.shape[0], tile[1] // canvas.cell, tile[0] // canvas.cell))
    whole = padded(larger, tile[1], tile[0])
    rows, columns = (spans(side, side, most, request.sd_upscale_overlap)
                     for side, most in zip(whole.shape[:2], reversed(tile), strict=True))
    boxes = [Box(row, column) for row in rows for column in columns]
    yield Expect((len(boxes) - 1) * plan.calls)
    blending, result, interrupted, begun = blended(rows, columns), None, False, False
    next(blending)
    for first in range(0, len(boxes), TOGETHER):
        some = boxes[first : first + TOGETHER]
        drawings = [] if interrupted else [draw(plan, canvas, on_step, _tile(box, whole)) for box in some]
        tiles, interrupted = (yield from side_by_side(drawings)) if drawings else ([None] * len(some), True)
        begun = begun or any(tile is not None for tile in tiles)
        laid = [box.cut(whole) if tile is None else tile for box, tile in zip(some, tiles, strict=True)]
        result = _laid(blending, some, laid)
    cut = result[:height, :width]
    if interrupted and not begun:
        raise Interrupted
    if not interrupted:
        cut, interrupted = yield from detailed(request, Drawer(draw, canvas, on_step), cut)
    recolour = (lambda picture: recoloured(picture, larger)) if request.color_correction else None
    return (yield from completed([*before, request], cut, recolour, interrupted))


def _tile(box: Box, whole: Pixels) -> Source:
    place = box.column.start, box.row.start, box.column.stop, box.row.stop
    return Source(box.cut(whole), tile=Part((whole.shape[1], whole.shape[0]), place))


def side_by_side(drawings: Sequence[Drawing]) -> Generator[Work, Any, tuple[list[Pixels | None], bool]]:
    """Runs programs together: the rows of all that wait for the network are one work item.

    Their results in order, and whether they were interrupted: then each has come as far as it has, None is nowhere.
    """
    done: dict[int, Pixels | None] = {}
    waiting: dict[int, Work] = {}
    interrupted = False
    going: dict[int, Callable[[], Work]] = {n: partial(next, drawing) for n, drawing in enumerate(drawings)}
    while going:
        for number, go in going.items():
            try:
                waiting[number] = go()
            except StopIteration as end:
                done[number] = end.value
            except Interrupted as half:
                done[number] = half.pixels
        try:
            answers = yield from _answered(waiting)
            going = {number: partial(drawings[number].send, answer) for number, answer in answers.items()}
        except Interrupted:
            interrupted = True
            going = {number: partial(drawings[number].throw, Interrupted()) for number in waiting}
            waiting.clear()
    return [done[number] for number in range(len(drawings))], interrupted


def _answered(waiting: dict[int, Work]) -> Generator[Work, Any, dict[int, Any]]:
    """Takes one work item out of `waiting` and answers it; but all rows at once, and before them all arithmetic."""
    for number, work in waiting.items():
        if not isinstance(work, list | Calculate):
            answer = yield work
            del waiting[number]
            return {number: answer}
    if lazy := {number: work for number, work in waiting.items() if isinstance(work, Calculate)}:
        for number in lazy:
            del waiting[number]
        return dict(zip(lazy, calculate([*lazy.values()]), strict=True))
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
