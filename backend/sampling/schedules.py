"""Noise schedules: which sigmas the steps of a sampler visit.

Each schedule is one function of a ``Grid`` and one row of ``SCHEDULES``. All arithmetic is float64 numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backend.sampling.noise_table import Floats, NoiseTable, lcm_discretisation
from backend.table import Table

if TYPE_CHECKING:
    from backend.sampling.sampler_row import SamplerRow


@dataclass(frozen=True, eq=False)
class Grid:
    """What a schedule may look at: the number of steps ``n`` >= 1, the network's levels, and the user's settings."""

    n: int
    model: NoiseTable
    sigma_min: float
    sigma_max: float
    rho: float = 1.0
    is_sdxl: bool = False
    alpha: float = 0.6
    beta: float = 0.6
    quantize: bool = False

    def span(self, count: int) -> Floats:
        """``count`` sigmas at evenly spaced timesteps from sigma_max to sigma_min."""
        start, end = (self.model.sigma_to_t(s, quantize=self.quantize) for s in (self.sigma_max, self.sigma_min))
        return self.model.t_to_sigma(np.linspace(start, end, count))


def ended(sigmas: Floats) -> Floats:
    """The same sigmas with the clean image (sigma 0) after them."""
    return np.append(sigmas, 0.0)


def karras_sigmas(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Floats:
    """n sigmas and a 0, evenly spaced in sigma^(1/rho) (Karras et al. 2022, equation 5)."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return ended((high + np.linspace(0, 1, n) * (low - high)) ** rho)


def uniform(grid: Grid) -> Floats:
    """Evenly spaced timesteps over the whole table; own sigma limits are ignored."""
    return ended(grid.model.t_to_sigma(np.linspace(len(grid.model) - 1, 0, grid.n)))


def karras(grid: Grid) -> Floats:
    """Karras et al. 2022."""
    return karras_sigmas(grid.n, grid.sigma_min, grid.sigma_max, grid.rho)


def exponential(grid: Grid) -> Floats:
    """Evenly spaced in log sigma."""
    return ended(np.exp(np.linspace(np.log(grid.sigma_max), np.log(grid.sigma_min), grid.n)))


def polyexponential(grid: Grid) -> Floats:
    """Log sigma follows a ramp to the power rho; rho 1 is Exponential."""
    low, high = np.log(grid.sigma_min), np.log(grid.sigma_max)
    return ended(np.exp(np.linspace(1, 0, grid.n) ** grid.rho * (high - low) + low))


def sgm_uniform(grid: Grid) -> Floats:
    """Evenly spaced timesteps without the last one, as in Stability's generative-models."""
    return ended(grid.span(grid.n + 1)[:-1])


def normal(grid: Grid) -> Floats:
    """Evenly spaced timesteps between the sigma limits."""
    return ended(grid.span(grid.n))


def kl_optimal(grid: Grid) -> Floats:
    """Evenly spaced in atan(sigma) (Sabour et al. 2024).

    Ends at sigma_min and appends no 0: pictures made in AUTOMATIC1111 keep that bit of noise.
    """
    ramp = np.arange(grid.n + 1) / grid.n
    return np.tan(ramp * np.arctan(grid.sigma_min) + (1 - ramp) * np.arctan(grid.sigma_max))


def simple(grid: Grid) -> Floats:
    """Table entries at a constant stride from the top."""
    stride = len(grid.model) / grid.n
    return ended(grid.model.sigmas[[-1 - int(i * stride) for i in range(grid.n)]])


def ddim(grid: Grid) -> Floats:
    """Table entries at a whole stride upwards from index 1, so their number may differ from n."""
    return ended(grid.model.sigmas[1 :: max(len(grid.model) // grid.n, 1)][::-1])


def beta(grid: Grid) -> Floats:
    """Quantiles of a Beta(alpha, beta) distribution between the sigma limits (Lee et al. 2024, over sigma)."""
    from scipy.special import betaincinv

    quantiles = betaincinv(grid.alpha, grid.beta, 1 - np.linspace(0, 1, grid.n))
    return ended(grid.sigma_min + quantiles * (grid.sigma_max - grid.sigma_min))


def turbo(grid: Grid) -> Floats:
    """Whole timesteps spread for one-to-few-step distilled networks (SD Turbo, SDXL Turbo)."""
    steps = len(grid.model)
    timesteps = np.round(np.arange(grid.n, 0, -1) * (steps / grid.n) - 1)
    return ended(grid.model.sigmas[np.clip(timesteps, 0, steps - 1).astype(int)])


class Knots(NamedTuple):
    """Optimised sigmas, descending, for the SD1 and the SDXL family."""

    sd1: tuple[float, ...]
    sdxl: tuple[float, ...]

    def __call__(self, grid: Grid) -> Floats:
        """The knots themselves, or their log-linear interpolation when n differs; sigma limits are ignored."""
        knots = np.array(self.sdxl if grid.is_sdxl else self.sd1)
        if grid.n == len(knots):
            return ended(knots)
        # Interpolated from the low end: n = 1 gives the lowest knot, as in AUTOMATIC1111.
        at = np.interp(np.linspace(0, 1, grid.n), np.linspace(0, 1, len(knots)), np.log(knots[::-1]))
        return ended(np.exp(at)[::-1])


# Align Your Steps (Sabour et al. 2024): 10 steps, the same refined to 32 levels, and GITS (Chen et al. 2024).
ALIGN_YOUR_STEPS = Knots(
    sd1=(14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    sdxl=(14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
)
GITS = Knots(
    sd1=(14.615, 4.617, 2.507, 1.236, 0.702, 0.402, 0.240, 0.156, 0.104, 0.094, 0.029),
    sdxl=(14.615, 4.734, 2.567, 1.529, 0.987, 0.652, 0.418, 0.268, 0.179, 0.127, 0.029),
)
# fmt: off
ALIGN_YOUR_STEPS_32 = Knots(
    sd1=(14.615, 11.23951352, 8.64363081, 6.64729424, 5.57250862, 4.71648546, 3.99196065, 3.5195609,
         3.13490466, 2.79228788, 2.48773628, 2.21663865, 1.97508351, 1.7793172, 1.61475335, 1.46540953,
         1.314849, 1.16642497, 1.03475547, 0.91573744, 0.80748169, 0.71202361, 0.621739, 0.53065202,
         0.4529096, 0.37491455, 0.27461819, 0.2011529, 0.14105873, 0.06682881, 0.03166121, 0.015),
    sdxl=(14.615, 11.1491618, 8.50522127, 6.48827151, 5.43707402, 4.60398619, 3.89854704, 3.27407457,
          2.74396527, 2.29968659, 1.95448514, 1.67108715, 1.42878152, 1.23181009, 1.06789649, 0.92579443,
          0.80290886, 0.69660121, 0.60436903, 0.52852552, 0.46773344, 0.41393379, 0.36258186, 0.31008517,
          0.26518925, 0.22326461, 0.17653877, 0.13959192, 0.10587381, 0.05519369, 0.02877334, 0.015),
)
# fmt: on


@dataclass(frozen=True)
class ScheduleRow:
    """A line of the schedule menu; calling it gives the sigmas.

    ``label`` is AUTOMATIC1111's, ``name`` its internal name; ``default_rho`` is None where rho means nothing.
    """

    label: str
    name: str
    function: Callable[[Grid], Floats]
    aliases: tuple[str, ...] = ()
    default_rho: float | None = None

    def __call__(
        self, n: int, model: NoiseTable | None = None, *, rho: float | None = None, **settings: float | None
    ) -> Floats:
        """Sigmas of ``n`` steps, descending, usually n + 1 values with a final 0.

        ``settings``: sigma_min, sigma_max (None = the model's), is_sdxl, alpha, beta, quantize. Without a ``model``
        the Stable Diffusion table is used. Raises ValueError for n < 1 or limits that make no descending range.
        """
        if n < 1:
            raise ValueError(f"steps: {self.label} needs at least 1, got {n}")
        model = NoiseTable.from_betas() if model is None else model
        chosen = {name: value for name, value in settings.items() if value is not None}
        chosen = {"sigma_min": model.sigma_min, "sigma_max": model.sigma_max} | chosen
        if not 0 < chosen["sigma_min"] < chosen["sigma_max"]:
            raise ValueError(f"sigma_min, sigma_max: need 0 < {chosen['sigma_min']} < {chosen['sigma_max']}")
        return self.function(Grid(n, model, rho=rho or self.default_rho or 1.0, **chosen))


_ROWS = (
    ScheduleRow("Automatic", "automatic", uniform),
    ScheduleRow("Uniform", "uniform", uniform),
    ScheduleRow("Karras", "karras", karras, default_rho=7.0),
    ScheduleRow("Exponential", "exponential", exponential),
    ScheduleRow("Polyexponential", "polyexponential", polyexponential, default_rho=1.0),
    ScheduleRow("SGM Uniform", "sgm_uniform", sgm_uniform, aliases=("SGMUniform",)),
    ScheduleRow("KL Optimal", "kl_optimal", kl_optimal),
    ScheduleRow("Align Your Steps", "align_your_steps", ALIGN_YOUR_STEPS),
    ScheduleRow("Simple", "simple", simple),
    ScheduleRow("Normal", "normal", normal),
    ScheduleRow("DDIM", "ddim", ddim),
    ScheduleRow("Beta", "beta", beta),
    ScheduleRow("Turbo", "turbo", turbo),
    ScheduleRow("Align Your Steps GITS", "align_your_steps_GITS", GITS),
    ScheduleRow("Align Your Steps 11", "align_your_steps_11", ALIGN_YOUR_STEPS),
    ScheduleRow("Align Your Steps 32", "align_your_steps_32", ALIGN_YOUR_STEPS_32),
)
SCHEDULES: Table[ScheduleRow] = Table("schedules", _ROWS, key="label")


@dataclass(frozen=True)
class ScheduleSettings:
    """The user's schedule settings; None means "the default" throughout.

    ``old_karras_range`` fixes the sigma limits to 0.1 .. 10 for every schedule, as early AUTOMATIC1111 did.
    ``discard_next_to_last`` drops the last sigma above 0 even for samplers that do not ask for it.
    """

    rho: float | None = None
    sigma_min: float | None = None
    sigma_max: float | None = None
    discard_next_to_last: bool = False
    old_karras_range: bool = False
    beta_alpha: float = 0.6
    beta_beta: float = 0.6
    is_sdxl: bool = False
    quantize: bool = False


def schedule_for(row: SamplerRow, schedule: str) -> ScheduleRow:
    """The schedule that a menu label means for a sampler: Automatic is the sampler's own default."""
    label = row.schedule if schedule == "Automatic" else schedule
    if label not in SCHEDULES:
        raise ValueError(f"scheduler: unknown schedule {schedule!r}")
    return SCHEDULES[label]


def resolve_sigmas(
    row: SamplerRow, schedule: str, steps: int, model: NoiseTable, settings: ScheduleSettings = ScheduleSettings()
) -> Floats:
    """The full txt2img sigmas of a sampler with a schedule label, descending; float64.

    Timestep samplers ignore the schedule and the settings, as in AUTOMATIC1111; LCM takes them over the 50 levels
    of ``lcm_discretisation(model)``, which its denoiser must use too. For img2img take
    ``img2img_start`` of the result. Raises ValueError naming scheduler, steps or the sigma limits.
    """
    if row.timestep_space:
        return timestep_sigmas(steps, model)
    model = lcm_discretisation(model) if row.lcm else model
    discard = row.discard_next_to_last_sigma or settings.discard_next_to_last
    limits = (0.1, 10.0) if settings.old_karras_range else (model.sigma_min, model.sigma_max)
    sigmas = schedule_for(row, schedule)(
        steps + discard,
        model,
        rho=settings.rho,
        sigma_min=settings.sigma_min or limits[0],
        sigma_max=settings.sigma_max or limits[1],
        is_sdxl=settings.is_sdxl,
        alpha=settings.beta_alpha,
        beta=settings.beta_beta,
        quantize=settings.quantize,
    )
    return np.delete(sigmas, -2) if discard else sigmas


def ddim_timesteps(steps: int, training_steps: int = 1000) -> list[int]:
    """Timesteps of the DDIM family, ascending from 1; their number may exceed ``steps`` (30 gives 31)."""
    if steps < 1:
        raise ValueError(f"steps: need at least 1, got {steps}")
    stride = max(training_steps // steps, 1)
    return [min(t + 1, training_steps - 1) for t in range(0, training_steps, stride)]


def timestep_sigmas(steps: int, model: NoiseTable) -> Floats:
    """Descending sigmas of the DDIM timesteps; the last one (timestep 1) is where DDIM stops.

    One step would be timestep 1 alone, which leaves the noise as it is: here it goes from the top to 0.
    """
    timesteps = ddim_timesteps(steps, len(model))
    return model.sigmas[timesteps[::-1]] if len(timesteps) > 1 else np.array([model.sigma_max, 0.0])
