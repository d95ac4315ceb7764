"""What drawing a plot takes: calls of the denoiser, their rows, loads of checkpoints, and what cells share."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from backend.catalog.call_estimate import largest_pass
from backend.prompt.grammar import split_and
from backend.request.checkpoints import other_checkpoints
from backend.request.choices import EXTRAS
from backend.request.face_swap import OF_RESULTS
from backend.request.output_size import CELL, Size
from backend.request.request import FIELDS, Request
from backend.sampling.img2img_steps import img2img_steps
from backend.sampling.names import SAME_SAMPLER
from backend.sampling.samplers import SAMPLERS

SECOND_PASS = ("denoising_strength", "face_restoration", "face_restoration_weight", "face_restoration_visibility")
"""Fields that only matter behind the first pass of hires fix, beside those of its own groups."""
OF_FILES = ("files", "preview", "hires", "extras", "face_swap", "hidden")


COST_FIELDS = frozenset((
    "sampler", "steps", "cfg_scale", "prompt", "width", "height", "denoising_strength", "init_image", "fix_steps",
    "enable_hr", "hr_sampler", "hr_second_pass_steps", "hr_cfg", "hr_prompt", "hr_scale", "hr_resize_x", "hr_resize_y",
    "checkpoint", "refiner_checkpoint", "refiner_switch_at", "hr_checkpoint_name", "batch_count", "batch_size",
    "loopback_loops", "loopback_round", "image_format", "process", "sd_upscale", "sd_upscale_factor", "styles",
    "prompts", *OF_RESULTS))
"""All that the cost of a cell follows from."""


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


@dataclass(frozen=True)
class CellCost:
    """A cell that stands for `cells` like it, which draw so many first passes of hires fix."""

    request: Request
    cells: int = 1
    first_passes: int = 1

    @cached_property
    def passes(self) -> list[PassCost]:
        """Those of one picture."""
        return passes(self.request)

    @property
    def work(self) -> float:
        """Of all pictures of all these cells, each as if it shared nothing."""
        return self.cells * self.request.count * sum(each.work for each in self.passes)


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


def cost_key(values: Mapping[str, Any]) -> Hashable:
    """The same for two cells that cost the same, by their values."""
    scales = tuple((values[name] == 1, not values[name]) for name in ("cfg_scale", "hr_cfg"))
    parts = tuple((_parts(values[name]), not values[name]) for name in ("prompt", "hr_prompt"))
    strength = values["denoising_strength"] if values["init_image"] else bool(values["denoising_strength"])
    others = COST_FIELDS - {"cfg_scale", "hr_cfg", "prompt", "hr_prompt", "denoising_strength"}
    return scales, parts, strength, tuple(values[name] for name in sorted(others))


def is_of_first_pass(name: str) -> bool:
    """Whether the first pass of hires fix depends on the field."""
    field = FIELDS.get(name)
    return field is None or name in _TEXTS or field.group not in OF_FILES and name not in SECOND_PASS


def cell_costs(requests: Iterable[Request]) -> list[CellCost]:
    """Each cell by itself, without the first pass where a cell before it draws the same."""
    seen: set[tuple[object, ...]] = set()
    found = []
    for request in requests:
        key = _first_pass(request) if request.enable_hr else ()
        found.append(CellCost(request, 1, int(not request.enable_hr or key not in seen)))
        seen.add(key)
    return found


def plot_cost(cells: Sequence[CellCost]) -> PlotCost:
    """Of the cells of a plot. A first pass that several cells share is drawn once."""
    drawn = [(cell.request.count * number, each) for cell in cells for number, each in _drawn(cell)]
    requests = [cell.request for cell in cells]
    return PlotCost(
        pictures=sum(cell.request.count * cell.cells for cell in cells),
        calls=sum(number * each.calls for number, each in drawn),
        rows=sum(number * each.calls * each.rows for number, each in drawn),
        work=sum(number * each.work for number, each in drawn),
        loads=len({name for request in _of_checkpoints(requests) for name in _checkpoints(request)}),
        shared_passes=sum(cell.cells - cell.first_passes for cell in cells if cell.request.enable_hr),
    )


def _drawn(cell: CellCost) -> Iterator[tuple[int, PassCost]]:
    """(cells that draw it, pass) for all passes of a cell."""
    for number, each in enumerate(cell.passes):
        yield cell.first_passes if cell.request.enable_hr and not number else cell.cells, each


def _first_pass(request: Request) -> tuple[object, ...]:
    """All that the first pass of hires fix depends on."""
    return tuple(getattr(request, name) for name in FIELDS if is_of_first_pass(name))


_TEXTS = ("prompts", "negative_prompts")


def _pass(sampler: str, steps: int, scale: float, prompt: str, size: Size) -> PassCost:
    row = SAMPLERS[sampler]
    rows = _parts(prompt) + (scale != 1.0)
    return PassCost(row.calls(max(steps, 1)), rows, (size[0] // CELL) * (size[1] // CELL))


@lru_cache(maxsize=256)
def _parts(prompt: str) -> int:
    """How many parts AND makes of a prompt."""
    return len(split_and(prompt))


def _of_checkpoints(requests: Iterable[Request]) -> Iterable[Request]:
    """One request for each choice of checkpoints."""
    return {(request.checkpoint, request.refiner_checkpoint, request.hr_checkpoint_name, request.enable_hr): request
            for request in requests}.values()


def _checkpoints(request: Request) -> Iterator[str]:
    if request.process != EXTRAS:
        yield request.checkpoint
        yield from (name for _, name in other_checkpoints(request))
