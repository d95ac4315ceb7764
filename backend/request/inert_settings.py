"""Settings that change a picture only under some samplers, or only together: whether they do in a request."""

from __future__ import annotations

from typing import Any

from backend.request.choices import DRAW
from backend.sampling.names import SAME_SAMPLER
from backend.sampling.sampler_row import CHOICES, SamplerRow
from backend.sampling.samplers import SAMPLERS

UNIPC_VARIANTS: tuple[str, ...] = tuple(map(str, CHOICES["variant"]))
UNIPC_SKIP_TYPES: tuple[str, ...] = tuple(map(str, CHOICES["skip_type"]))


def draws_noise(request: Any) -> bool:
    """Whether noise comes from the picture's own stream after the first: only then ENSD has something to change."""
    return any(_draws(row, request) for row in _samplers(request))


def resizes_seed(request: Any) -> bool:
    """Half a size to resize from is none."""
    return request.seed_resize_from_w > 0 and request.seed_resize_from_h > 0


def draws(request: Any) -> bool:
    """Extras has settings of its own."""
    return request.process == DRAW


def starts_from_picture(request: Any) -> bool:
    """Whether there is a picture to draw from."""
    return draws(request) and bool(request.init_image)


def scales_first_noise(request: Any) -> bool:
    """Samplers of DDIM's kind start from the noise as it is, and so does what starts from a picture."""
    row = SAMPLERS.get(request.sampler)
    return not request.init_image and not (row and row.timestep_space)


def uses_unipc(request: Any) -> bool:
    return any(row.label == "UniPC" for row in _samplers(request))


def _samplers(request: Any) -> list[SamplerRow]:
    """Those of the passes that a request makes; a name that is wrong has none."""
    second = [request.hr_sampler] if request.enable_hr and request.hr_sampler != SAME_SAMPLER else []
    names = [request.sampler, *second]
    return [SAMPLERS[name] for name in names if name in SAMPLERS]


def _draws(row: SamplerRow, request: Any) -> bool:
    if not row.uses_noise or row.brownian:
        return False
    if "s_churn" in row.ui_options:
        return request.s_churn > 0
    if "eta" in row.ui_options:
        return bool(row.options["eta"] if request.eta is None else request.eta)
    return True
