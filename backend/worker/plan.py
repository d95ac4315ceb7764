"""HOW: a request and a loaded model's noise schedule become a plan. Pure: no tensors, no device, no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import InvalidRequest
from backend.prompt.grammar import networks, split_and
from backend.prompt.timeline import timeline
from backend.request import Request
from backend.sampling.discretisation import NoiseSchedule
from backend.sampling.samplers import SAMPLERS, SamplerRow
from backend.sampling.schedules import Img2ImgSteps, ScheduleSettings, img2img_start, img2img_steps, resolve_sigmas


@dataclass(frozen=True, slots=True)
class Part:
    """A prompt part: its weight under AND and its text over the denoiser's calls."""

    schedule: tuple[tuple[int, str], ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One request, resolved. `request` keeps the values that need no resolving; seeds in it are drawn."""

    request: Request
    sampler: SamplerRow
    sigmas: NDArray[np.float64]          # descending, as the sampler takes them
    noise_sigma: float                   # the level to which the start is noised
    noise_range: tuple[float, float]     # lowest above 0 and highest sigma of the whole schedule
    options: dict[str, Any]              # the sampler's keyword arguments
    parts: tuple[Part, ...]
    negative: Part
    calls: int                           # expected denoiser calls of one picture
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Every text that must be encoded, each once."""
        schedules = [part.schedule for part in (*self.parts, self.negative)]
        return list(dict.fromkeys(text for schedule in schedules for _, text in schedule))

    @property
    def scale(self) -> float:
        return self.request.cfg_scale / self.sampler.cfg_divisor


def plan(request: Request, model: NoiseSchedule) -> Plan:
    """The plan of a request on a model with this noise schedule. Raises InvalidRequest naming the field."""
    row = SAMPLERS[request.sampler]
    prompt, extra = networks(request.prompt)
    span = request.steps * (2 if row.second_order else 1)
    cut = _cut(request)
    whole = _sigmas(row, request, model, cut.steps)
    noise_sigma, sigmas = img2img_start(row, whole, cut) if request.init_image else (float(whole[0]), whole)
    positive = whole[whole > 0]
    parts = tuple(Part(_timeline(text, span, request), weight) for text, weight in split_and(prompt))
    return Plan(
        request=request,
        sampler=row,
        sigmas=sigmas,
        noise_sigma=noise_sigma,
        noise_range=(float(positive.min()), float(positive.max())),
        options=_options(row, request, model),
        parts=parts,
        negative=Part(_timeline(request.negative_prompt, span, request)),
        calls=row.calls(cut.t_enc + 1),
        notes=tuple(f"<{network.kind}:{network.positional[0]}> was left out: extra networks cannot be loaded yet"
                    for network in extra if network.positional),
    )


def _timeline(text: str, span: int, request: Request) -> tuple[tuple[int, str], ...]:
    return tuple(timeline(text, span, old=request.old_timelines))


def _cut(request: Request) -> Img2ImgSteps:
    """Which of how many steps are made: all, or from a picture as many as its denoising strength asks for."""
    if not request.init_image:
        return Img2ImgSteps(request.steps, request.steps - 1, 0)
    fixed = request.fix_steps and request.denoising_strength > 0
    return img2img_steps(request.steps, request.denoising_strength, fixed=fixed)


def _sigmas(row: SamplerRow, request: Request, model: NoiseSchedule, steps: int) -> NDArray[np.float64]:
    settings = ScheduleSettings(
        rho=request.rho or None,
        sigma_min=request.sigma_min or None,
        sigma_max=request.sigma_max or None,
        discard_next_to_last=request.discard_next_to_last,
        beta_alpha=request.beta_alpha,
        beta_beta=request.beta_beta,
    )
    try:
        return resolve_sigmas(row, request.schedule, steps, model, settings)
    except ValueError as error:
        raise InvalidRequest(str(error), field="sigma_min" if "sigma" in str(error) else "schedule") from error


def _options(row: SamplerRow, request: Request, model: NoiseSchedule) -> dict[str, Any]:
    """What the model decides, and the user's settings that this sampler listens to."""
    wanted = {
        "eta": request.eta,
        "s_churn": request.s_churn,
        "s_tmin": request.s_tmin,
        "s_tmax": request.s_tmax or None,
        "s_noise": request.s_noise,
    }
    heard = {name: value for name, value in wanted.items() if value is not None and name in row.ui_options}
    return {**row.network_options(model, img2img=bool(request.init_image)), **heard}
