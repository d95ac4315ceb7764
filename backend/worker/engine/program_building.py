"""From a request to a program: which way its pictures are drawn, and what is due when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from backend.catalog.call_estimate import DeviceLimits, obstacle, read_estimate
from backend.errors import CheckpointError, InvalidRequest
from backend.messages import Run
from backend.request.output_size import upscales
from backend.request.request import Request
from backend.sampling.protocol import Noisy
from backend.worker.draw import loopback as rounds
from backend.worker.draw.init_image import Source
from backend.worker.draw.loopback import Round, draw_rounds
from backend.worker.draw.pipeline import OnStep
from backend.worker.draw.plan import Plan, parametrisation, plan
from backend.worker.draw.sd_upscale import enlarge, redraw
from backend.worker.draw.work_items import Canvas, Drawing
from backend.worker.engine.program import Due, Program, Task
from backend.worker.guidance.hook_table import notes_for
from backend.worker.models.base import Model
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
    return _drawing(task, indices, request, model, on_call) if model else _postprocessing(task, indices[-1], request)


def _postprocessing(task: Task, index: int, request: Request) -> Program:
    notes: list[str] = []
    drawing = postprocess(request, task.run.pictures[request.init_image], notes.append)
    return Program(task, None, deque([Due(index, 0)]), drawing, notes=notes)


def _drawing(task: Task, indices: Sequence[int], request: Request, model: Model, on_call: OnCall) -> Program:
    if task.source is None:
        task.source = Source.prepare(request, task.run.pictures, model.latent_scale)
    planned = [plan(each, parametrisation(each, model.parametrisation).table, sdxl_knots=model.sdxl_knots)
               for each in rounds.requests(request)]
    first = indices[-1] - len(planned) + 1
    steps = [Round(each, first + number in indices) for number, each in enumerate(planned)]

    def heard(noisy: Noisy, denoised: Tensor) -> None:
        on_call(program, noisy, denoised)

    canvas = canvas_of(request, model, task.source)
    if upscales(request):
        drawing = _redrawn(task, planned[0], canvas, heard)
    else:
        drawing = draw_rounds(steps, canvas, heard, task.source)
    program = Program(task, model, _due(steps, indices), drawing)
    for note in notes_for(request):
        program.note(note)
    program.note(NOT_SEAMLESS if request.tiling and not canvas.tiling else "")
    return program


def _redrawn(task: Task, plan: Plan, canvas: Canvas, on_step: OnStep) -> Drawing:
    """Enlarged once for all pictures of a job that follow."""
    if task.larger is None:
        task.larger = yield from enlarge(plan.request, task.source)
    return (yield from redraw(plan, canvas, on_step, task.larger))


def _due(steps: Sequence[Round], indices: Sequence[int]) -> deque[Due]:
    """What is delivered, each with the denoiser calls since the one before it."""
    due, calls, wanted = deque(), 0, iter(indices)
    for step in steps:
        calls += step.plan.calls
        if step.shown:
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
