"""From a request to a program: which way its pictures are drawn, and what is due when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from backend.catalog.call_estimate import DeviceLimits, obstacle, read_estimate
from backend.errors import CheckpointError, InvalidRequest
from backend.messages import Run
from backend.request.face_swap import swaps_start
from backend.request.output_size import upscales
from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.draw import face_swap
from backend.worker.draw import loopback as rounds
from backend.worker.draw.init_image import Source, given_picture
from backend.worker.draw.loopback import Round, draw_rounds
from backend.worker.draw.pipeline import OnStep
from backend.worker.draw.plan import Plan, parametrisation, plan
from backend.worker.draw.sd_upscale import enlarge, redraw
from backend.worker.draw.work_items import Canvas, Drawing
from backend.worker.engine.program import Due, Program, Task
from backend.worker.guidance.hook_table import notes_for
from backend.worker.models.model_base import Model
from backend.worker.pixels.postprocess import postprocess

NOT_SEAMLESS = "tiling was left out: only a part of the picture is drawn at a time"

OnCall = Callable[[Program, Noisy, Tensor], None]


def refuse_impossible(run: Run, device: DeviceLimits) -> None:
    """Raises InvalidRequest naming the field when not even one row of a job can be computed on the device."""
    if run.checkpoint is None:
        return
    try:
        estimate = read_estimate(Path(run.checkpoint.path), run.checkpoint.fingerprint)
    except CheckpointError:
        return          # the model may be in memory all the same; if it is not, loading it says what is wrong
    if problem := obstacle(run.request, estimate, device):
        raise InvalidRequest(problems=[problem])


def compose(task: Task, indices: Sequence[int], model: Model | None, on_call: OnCall) -> Program:
    """The program that makes the pictures `indices` of a job, all of one chain. Raises InvalidRequest naming a field.

    `on_call(program, noisy, denoised)` hears of every denoiser call. Without a model a finished picture is worked on.
    """
    request = task.run.request.of_image(indices[-1])
    if model is None:
        return _postprocessing(task, indices[-1], request)
    before = [] if request.loops else [task.run.request.of_image(index) for index in indices[:-1]]
    return _drawing(task, indices, request, model, on_call, before)


def _postprocessing(task: Task, index: int, request: Request) -> Program:
    notes: list[str] = []
    drawing = postprocess(request, task.run.pictures[request.init_image], notes.append)
    return Program(task, None, deque([Due(index, 0)]), drawing, notes=notes)


def _drawing(
    task: Task, indices: Sequence[int], request: Request, model: Model, on_call: OnCall, before: Sequence[Request]
) -> Program:
    """`before`: what else is kept of the same drawing, and handed out before the request's own picture."""
    if task.source is None:
        task.source = Source.prepare(request, task.run.pictures, model.latent_scale)
    planned = [plan(each, parametrisation(each, model.parametrisation).table, sdxl_knots=model.sdxl_knots)
               for each in rounds.requests(request)]
    first = indices[-1] - len(planned) + 1
    steps = [Round(each, first + number in indices) for number, each in enumerate(planned)]
    steps[-1] = replace(steps[-1], before=tuple(before))

    def heard(noisy: Noisy, denoised: Tensor) -> None:
        on_call(program, noisy, denoised)

    canvas = canvas_of(request, model, task.source)

    def begun(source: Source | None) -> Drawing:
        if upscales(request):
            return _redrawn(task, planned[0], canvas, heard, source, before)
        return draw_rounds(steps, canvas, heard, source)

    drawing = _from_other_faces(task, request, model, begun) if swaps_start(request) else begun(task.source)
    program = Program(task, model, _due(steps, indices), drawing)
    for note in notes_for(request):
        program.note(note)
    program.note(NOT_SEAMLESS if request.tiling and not canvas.tiling else "")
    return program


def _from_other_faces(
    task: Task, request: Request, model: Model, begun: Callable[[Source | None], Drawing]
) -> Drawing:
    """Drawn from the picture with other faces, which are put in once for all pictures of a job that get the same."""
    key = request.face_swap, request.face_swap_model
    if key not in task.other_starts:
        pixels = yield from face_swap.start(request, np.asarray(given_picture(request, task.run.pictures)))
        task.other_starts[key] = Source.prepare(request, task.run.pictures, model.latent_scale, pixels)
    return (yield from begun(task.other_starts[key]))


def _redrawn(
    task: Task, plan: Plan, canvas: Canvas, on_step: OnStep, source: Source | None, before: Sequence[Request]
) -> Drawing:
    """Enlarged once for all pictures of a job that follow."""
    if task.larger is None or task.larger_of is not source:
        task.larger, task.larger_of = (yield from enlarge(plan.request, source)), source
    return (yield from redraw(plan, canvas, on_step, task.larger, before))


def _due(steps: Sequence[Round], indices: Sequence[int]) -> deque[Due]:
    """What is delivered, each with the denoiser calls since the one before it."""
    due, calls, wanted = deque(), 0, iter(indices)
    for step in steps:
        calls += step.plan.calls
        for _ in range(1 + len(step.before)) if step.shown else ():
            due.append(Due(next(wanted), calls, step.plan.notes))
            calls = 0
    return due


def canvas_of(request: Request, model: Model, source: Source | None) -> Canvas:
    """Where the request is drawn by this model, from this source."""
    return Canvas(
        model=model,
        shape=model.latent_shape(request.width, request.height),
        tiling=request.tiling and not upscales(request) and (source is None or source.whole),
    )
