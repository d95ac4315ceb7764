"""What drawing a plot takes: calls of the denoiser, their rows, loads of checkpoints, and what cells share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from backend.catalog.call_estimate import largest_pass
from backend.prompt.grammar import split_and
from backend.request.checkpoints import other_checkpoints
from backend.request.output_size import CELL, Size
from backend.request.request import FIELDS, Request
from backend.request.rules import EXTRAS
from backend.sampling.names import SAME_SAMPLER
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import img2img_steps

SECOND_PASS = ("denoising_strength", "face_restoration", "face_restoration_weight")
"""Fields that only matter behind the first pass of hires fix, beside those of its own groups."""
OF_FILES = ("files", "preview", "hires", "extras", "hidden")


@dataclass(frozen=True, slots=True)
class PassCost:
    """Of one pass of one picture: `calls` of the denoiser, of so many `rows` each, for so many latent cells."""

    calls: int
    rows: int
    cells: int

    @property
    def work(self) -> float:
        """In rows times latent cells, which seconds grow with."""
        return float(self.calls * self.rows * self.cells)


@dataclass(frozen=True, slots=True)
class PlotCost:
    """Of all cells: `work` as in `PassCost`, `loads` of checkpoints, first passes of hires fix that are shared."""

    pictures: int
    calls: int
    rows: int
    work: float
    loads: int
    shared_passes: int


def passes(request: Request) -> list[PassCost]:
    """Those of one picture, the first before the second of hires fix; none where nothing is drawn."""
    if request.process == EXTRAS:
        return []
    strength, steps = request.denoising_strength, request.steps
    if request.init_image:
        steps = img2img_steps(steps, strength, fixed=request.fix_steps and strength > 0).t_enc + 1
    first = _pass(request.sampler, steps, request.cfg_scale, request.prompt, (request.width, request.height))
    if not request.enable_hr or not strength:
        return [first]
    sampler = request.sampler if request.hr_sampler == SAME_SAMPLER else request.hr_sampler
    second = _pass(sampler, request.hr_second_pass_steps or request.steps, request.hr_cfg or request.cfg_scale,
                   request.hr_prompt or request.prompt, largest_pass(request)[0])
    return [first, second]


def work_of(request: Request) -> float:
    """Of all pictures of a request."""
    return request.count * sum(each.work for each in passes(request))


def plot_cost(requests: Sequence[Request]) -> PlotCost:
    """Of the cells of a plot. A first pass that several cells share is drawn once."""
    drawn = list(_drawn(requests))
    return PlotCost(
        pictures=sum(request.count for request in requests),
        calls=sum(number * each.calls for number, each in drawn),
        rows=sum(number * each.calls * each.rows for number, each in drawn),
        work=sum(number * each.work for number, each in drawn),
        loads=len({name for request in _of_checkpoints(requests) for name in _checkpoints(request)}),
        shared_passes=sum(request.enable_hr for request in requests) - len(_first_passes(requests)),
    )


def _drawn(requests: Iterable[Request]) -> Iterator[tuple[int, PassCost]]:
    """(pictures, pass) for everything that is computed."""
    seen = set()
    for request in requests:
        costs = passes(request)
        if request.enable_hr:
            key = _first_pass(request)
            costs = costs[1:] if key in seen else costs
            seen.add(key)
        yield from ((request.count, each) for each in costs)


def _first_passes(requests: Iterable[Request]) -> set[tuple[object, ...]]:
    return {_first_pass(request) for request in requests if request.enable_hr}


def _first_pass(request: Request) -> tuple[object, ...]:
    """All that the first pass of hires fix depends on."""
    return tuple(getattr(request, name) for name, field in FIELDS.items()
                 if name in _TEXTS or field.group not in OF_FILES and name not in SECOND_PASS)


_TEXTS = ("prompts", "negative_prompts")


def _pass(sampler: str, steps: int, scale: float, prompt: str, size: Size) -> PassCost:
    row = SAMPLERS[sampler]
    rows = len(split_and(prompt)) + (scale != 1.0)
    return PassCost(row.calls(max(steps, 1)), rows, (size[0] // CELL) * (size[1] // CELL))


def _of_checkpoints(requests: Iterable[Request]) -> Iterable[Request]:
    """One request for each choice of checkpoints."""
    return {(request.checkpoint, request.refiner_checkpoint, request.hr_checkpoint_name, request.enable_hr): request
            for request in requests}.values()


def _checkpoints(request: Request) -> Iterator[str]:
    if request.process != EXTRAS:
        yield request.checkpoint
        yield from (name for _, name in other_checkpoints(request))
