"""Loopback: a chain of pictures, each drawn from the one before, with strengths along AUTOMATIC1111's curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.request.request import MAX_SEED, Request
from backend.worker.draw.init_image import Source
from backend.worker.draw.pipeline import OnStep, draw
from backend.worker.draw.plan import Plan
from backend.worker.draw.work_items import Canvas, Drawing, Finished
from backend.worker.guidance.interrupted import Interrupted

CURVES: dict[str, Callable[[float], float]] = {
    "Linear": lambda progress: progress,
    "Aggressive": lambda progress: math.sin(progress * math.pi / 2),
    "Lazy": lambda progress: 1 - math.cos(progress * math.pi / 2),
}
"""Share of the way from the first strength to the last, by the share of rounds that are over."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a chain; `shown`: its picture is one of the job's, and not only drawn on the way.

    `before`: see `pipeline.draw`.
    """

    plan: Plan
    shown: bool = True
    before: Sequence[Request] = ()


def strength(request: Request, number: int) -> float:
    """Denoising strength of round `number`, counted from 0: the first has the request's, the last its final one."""
    if request.loopback_loops == 1:
        return request.denoising_strength
    way = CURVES[request.denoising_curve](number / (request.loopback_loops - 1))
    return request.denoising_strength + (request.final_denoising_strength - request.denoising_strength) * way


def requests(request: Request) -> list[Request]:
    """What each round of one chain draws, to its end or to the round that the request wants.

    Seeds count up; after the first round the content under a mask is that of the round before.
    """
    if not request.loops:
        return [request]
    return [
        request.replace(
            seed=(request.seed + number) % (MAX_SEED + 1),
            denoising_strength=min(max(strength(request, number), 0.0), 1.0),
            masked_content="original" if number else request.masked_content,
        )
        for number in range(request.loopback_round or request.loopback_loops)
    ]


def draw_rounds(rounds: Sequence[Round], canvas: Canvas, on_step: OnStep, source: Source | None) -> Drawing:
    """The last round's picture; those before it are handed out on the way.

    Raises Interrupted, with the half-drawn picture if its round is one of the job's.
    """
    for each in rounds[:-1]:
        try:
            pixels = yield from draw(each.plan, canvas, on_step, source)
        except Interrupted:
            if each.shown:
                raise
            raise Interrupted from None
        if each.shown:
            yield Finished(pixels)
        source = source.again(pixels) if source else None
    return (yield from draw(rounds[-1].plan, canvas, on_step, source, rounds[-1].before))
