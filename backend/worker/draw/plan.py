"""HOW: a request and a loaded model's noise levels become a plan. Pure: no tensors, no device, no files."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import InvalidRequest
from backend.prompt.grammar import Wording, found_networks, split_and
from backend.prompt.network_terms import TERM_KINDS
from backend.prompt.network_timeline import Clock, with_networks
from backend.prompt.prompt_editing import timeline
from backend.request.checkpoints import is_refined, second_checkpoint
from backend.request.request import Request
from backend.sampling.img2img_steps import Img2ImgSteps, img2img_start, img2img_steps
from backend.sampling.names import SAME_SAMPLER, SAME_SCHEDULER
from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import Parametrisation
from backend.sampling.samplers import SAMPLERS, SamplerRow
from backend.sampling.schedules import (
    ScheduleSettings,
    resolve_sigmas,
)
from backend.worker.adapters.kinds import ADAPTERS

UNIPC = ("variant", "skip_type", "order", "lower_order_final")     # options of the sampler, as the fields call them


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A part of a prompt: its weight under AND, and its wording up to each of these steps."""

    timeline: tuple[tuple[int, Wording], ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One way down the noise levels."""

    sampler: SamplerRow
    sigmas: NDArray[np.float64]          # descending, as the sampler takes them
    noise_sigma: float                   # the level to which the start is noised
    noise_range: tuple[float, float]     # lowest above 0 and highest sigma of the whole schedule
    options: dict[str, Any]              # the sampler's keyword arguments
    parts: tuple[PromptPart, ...]
    negative: PromptPart
    scale: float                         # of guidance
    calls: int                           # expected denoiser calls of one picture
    refined_below: float = 0.0           # the sigma at which the refiner takes over; 0 where none does

    @property
    def networks(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of every network file that the prompt needs at any step, each once."""
        wordings = (wording for part in (*self.parts, self.negative) for _, wording in part.timeline)
        return tuple(dict.fromkeys((one.kind, one.name) for wording in wordings for one in wording.applied))


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One request, resolved. `request` keeps the values that need no resolving; seeds in it are drawn."""

    request: Request
    first: Pass
    second: Pass | None = None           # of hires fix; at denoising strength 0 it only enlarges
    notes: tuple[str, ...] = ()

    @property
    def passes(self) -> tuple[Pass, ...]:
        return (self.first, self.second) if self.second else (self.first,)

    @property
    def calls(self) -> int:
        """Expected denoiser calls of one picture."""
        return sum(each.calls for each in self.passes)


@dataclass(frozen=True, slots=True)
class _Aim:
    """What tells one pass from another."""

    sampler: SamplerRow
    schedule: str
    steps: int
    cut: Img2ImgSteps
    from_picture: bool
    prompt: str
    negative_prompt: str
    cfg_scale: float
    prompt_field: str = "prompt"
    after: int | None = None             # denoiser calls that the first pass plans for, in the second


def parametrisation(request: Request, own: Parametrisation) -> Parametrisation:
    """The model's `own`, or with its noise levels as the request wants them."""
    return own.in_half_precision() if request.downcast_alphas_cumprod else own


def plan(request: Request, model: NoiseTable, *, sdxl_knots: bool = False) -> Plan:
    """The plan of a request on a model with these noise levels. Raises InvalidRequest naming the field.

    `sdxl_knots`: optimised schedules take the noise levels found for SDXL instead of those for SD1.
    """
    first = _pass(request, model, _first(request), sdxl_knots)
    hires = request.enable_hr and request.denoising_strength
    second = _pass(request, model, _second(request), sdxl_knots) if hires else None
    return Plan(request, first, second, _left_out([first, second] if second else [first]))


def second_pass(plan: Plan, model: NoiseTable, *, sdxl_knots: bool = False) -> Pass:
    """The second pass of hires fix, which another model with these noise levels may draw."""
    assert plan.second is not None
    if second_checkpoint(plan.request) == plan.request.checkpoint:
        return plan.second
    return _pass(plan.request, model, _second(plan.request), sdxl_knots)


def _left_out(passes: Sequence[Pass]) -> tuple[str, ...]:
    """A note for each network that the prompts name and whose kind cannot be used, or that the negative one names."""
    named = [network for each in passes for part in each.parts for _, wording in part.timeline
             for network in wording.networks]
    unknown = [f"<{network.kind}:{network.positional[0]}> was left out: Easel knows no networks of this kind"
               for network in named if network.positional and network.kind not in ADAPTERS]
    negative = [match[0] for each in passes for _, wording in each.negative.timeline
                for match in found_networks(wording.text) if match[1] in TERM_KINDS]
    words = [f"{text[:80]} was read as words: networks are named in the prompt, not in the negative one"
             for text in negative]
    return tuple(dict.fromkeys([*unknown, *words]))


def _first(request: Request) -> _Aim:
    return _Aim(
        sampler=SAMPLERS[request.sampler], schedule=request.schedule, steps=request.steps, cut=_cut(request),
        from_picture=bool(request.init_image), prompt=request.prompt, negative_prompt=request.negative_prompt,
        cfg_scale=request.cfg_scale,
    )


def _second(request: Request) -> _Aim:
    """Hires fix's own settings, and those of the first pass where they are left open."""
    first, steps = _first(request), request.hr_second_pass_steps or request.steps
    return _Aim(
        sampler=first.sampler if request.hr_sampler == SAME_SAMPLER else SAMPLERS[request.hr_sampler],
        schedule=first.schedule if request.hr_schedule == SAME_SCHEDULER else request.hr_schedule,
        steps=steps,
        cut=img2img_steps(steps, request.denoising_strength, fixed=True),
        from_picture=True,
        prompt=request.hr_prompt or request.prompt,
        negative_prompt=request.hr_negative_prompt or request.negative_prompt,
        cfg_scale=request.hr_cfg or request.cfg_scale,
        prompt_field="hr_prompt" if request.hr_prompt else "prompt",
        after=_span(first.sampler, request.steps),
    )


def _cut(request: Request) -> Img2ImgSteps:
    """Which of how many steps are made: all, or from a picture as many as its denoising strength asks for."""
    if not request.init_image:
        return Img2ImgSteps(request.steps, request.steps - 1, 0)
    fixed = request.fix_steps and request.denoising_strength > 0
    return img2img_steps(request.steps, request.denoising_strength, fixed=fixed)


def _pass(request: Request, model: NoiseTable, aim: _Aim, sdxl_knots: bool) -> Pass:
    row = aim.sampler
    whole = _sigmas(request, model, aim, sdxl_knots)
    noise_sigma, sigmas = img2img_start(row, whole, aim.cut) if aim.from_picture else (float(whole[0]), whole)
    positive = whole[whole > 0]
    parts, calls = split_and(aim.prompt), row.calls(aim.cut.t_enc + 1)
    timelines, negative = with_networks(
        [_timeline(text, request, aim, Wording.of) for text, _ in parts],
        _timeline(aim.negative_prompt, request, aim, Wording),
        Clock(calls, aim.cut.t_enc + 1, second=aim.after is not None, prompt=aim.prompt_field))
    return Pass(
        sampler=row,
        sigmas=sigmas,
        noise_sigma=noise_sigma,
        noise_range=(float(positive.min()), float(positive.max())),
        options=_options(request, model, aim),
        parts=tuple(PromptPart(timeline, weight) for timeline, (_, weight) in zip(timelines, parts, strict=True)),
        negative=PromptPart(negative),
        scale=aim.cfg_scale / row.cfg_divisor,
        calls=calls,
        refined_below=_switch(request, model) if is_refined(request, aim.after is not None) else 0.0,
    )


def _switch(request: Request, model: NoiseTable) -> float:
    """AUTOMATIC1111's moment: the nearest timestep t is at most 999 - 1000 * `refiner_switch_at`."""
    last = math.floor(len(model) * (1 - request.refiner_switch_at) - 1 + 1e-6)
    return float(model.sigmas[last] + model.sigmas[last + 1]) / 2 if last >= 0 else 0.0


def _span(row: SamplerRow, steps: int) -> int:
    """Denoiser calls over which a timeline is spread."""
    return steps * (2 if row.second_order else 1)


def _timeline(
    text: str, request: Request, aim: _Aim, worded: Callable[[str], Wording]
) -> tuple[tuple[int, Wording], ...]:
    span = _span(aim.sampler, aim.steps)
    first, second = (span, None) if aim.after is None else (aim.after, span)
    entries = timeline(text, first, second, old=request.old_timelines)
    return tuple((end, worded(entry)) for end, entry in entries)


def _sigmas(request: Request, model: NoiseTable, aim: _Aim, sdxl_knots: bool) -> NDArray[np.float64]:
    settings = ScheduleSettings(
        rho=request.rho or None,
        sigma_min=request.sigma_min or None,
        sigma_max=request.sigma_max or None,
        discard_next_to_last=request.discard_next_to_last,
        beta_alpha=request.beta_alpha,
        beta_beta=request.beta_beta,
        is_sdxl=sdxl_knots,
    )
    try:
        return resolve_sigmas(aim.sampler, aim.schedule, aim.cut.steps, model, settings)
    except ValueError as error:
        raise InvalidRequest(str(error), field="sigma_min" if "sigma" in str(error) else "schedule") from error


def _options(request: Request, model: NoiseTable, aim: _Aim) -> dict[str, Any]:
    """What the model decides, and the user's settings that this sampler listens to."""
    wanted: dict[str, Any] = {
        "eta": request.eta,
        "s_churn": request.s_churn,
        "s_tmin": request.s_tmin,
        "s_tmax": request.s_tmax or None,
        "s_noise": request.s_noise,
    }
    wanted |= {name: getattr(request, f"uni_pc_{name}") for name in UNIPC}
    heard = {name: value for name, value in wanted.items() if value is not None and name in aim.sampler.ui_options}
    return {**aim.sampler.network_options(model, img2img=aim.from_picture), **heard}
