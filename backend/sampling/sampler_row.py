"""The row type of the sampler table: what a menu, a planner and a pipeline need to know about a sampler."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from backend.sampling.protocol import Noise, Sampler, floats, pairs

if TYPE_CHECKING:
    from torch import Tensor

    from backend.sampling.noise_table import NoiseTable

Option: TypeAlias = "float | int | str | bool | None"

CHOICES: Mapping[str, tuple[Option, ...]] = {
    "solver_type": ("midpoint", "heun"),
    "deis_mode": ("tab", "rhoab"),
    "variant": ("bh1", "bh2", "vary_coeff"),
    "skip_type": ("time_uniform", "time_quadratic", "logSNR"),
    "max_order": (1, 2, 3, 4),
    "order": (1, 2, 3, 4),
}
"""Options that take one of a few values, whatever the sampler."""


def multistep(steps: int) -> int:
    return steps


def two_per_step(steps: int) -> int:
    """Two evaluations a step, one for the last, which ends at sigma 0."""
    return 2 * steps - 1


@dataclass(frozen=True, eq=False)
class SamplerRow:
    """A sampler: its generator function and what others must know about it.

    ``schedule``: what the label Automatic stands for. ``overrides``: defaults that differ from the function's.
    ``choices``: option values allowed, beyond ``CHOICES``.
    ``ui_options``: the options that a user's settings drive. ``evaluations``: steps -> network evaluations.
    ``second_order``: prompt timelines count evaluations, so they are computed for twice the steps.
    ``brownian``: noise must come from a Brownian path. ``uses_ensd``: the ENSD setting belongs in the infotext.
    ``timestep_space``: starts from and returns the "variance preserving" latent (see ``initial``).
    ``model_range``: places its own steps between sigma_min and sigma_max; in txt2img those of the network.
    ``adaptive``: chooses its own number of steps. ``lcm``: the network is an LCM with its own 50 levels.
    ``cfg_divisor``: divide the guidance scale by this. ``needs_uncond``: send (denoised, denoised_uncond).
    """

    label: str
    function: Callable[..., Sampler]
    aliases: tuple[str, ...] = ()
    schedule: str = "Uniform"
    overrides: Mapping[str, Option] = field(default_factory=dict)
    choices: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)
    ui_options: tuple[str, ...] = ()
    evaluations: Callable[[int], int] = multistep
    second_order: bool = False
    discard_next_to_last_sigma: bool = False
    brownian: bool = False
    uses_noise: bool = False
    uses_ensd: bool = False
    timestep_space: bool = False
    model_range: bool = False
    adaptive: bool = False
    lcm: bool = False
    cfg_divisor: float = 1.0
    needs_uncond: bool = False

    @property
    def options(self) -> dict[str, Option]:
        """Names and defaults of everything ``start`` accepts."""
        parameters = inspect.signature(self.function).parameters.values()
        found = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
        return {**found, **self.overrides}

    def calls(self, steps: int) -> int:
        """Network evaluations for ``steps`` steps of a schedule that ends at 0; an estimate if ``adaptive``."""
        return self.evaluations(steps)

    def network_options(self, model: NoiseTable, *, img2img: bool) -> dict[str, Option | list[float]]:
        """Options for ``start`` that follow from the network's levels and from the kind of job."""
        found: dict[str, Option | list[float]] = {}
        if self.model_range and not img2img:
            found |= {"sigma_min": model.sigma_min, "sigma_max": model.sigma_max}
        if "alphas_cumprod" in self.options:
            found |= {"alphas_cumprod": model.alphas_cumprod.tolist(), "is_img2img": img2img}
        return found

    def start(self, x: Tensor, sigmas: Iterable[float] | None, noise: Noise, **options: Option) -> Sampler:
        """The generator that denoises ``x`` along ``sigmas``.

        x: what ``initial`` or ``noised`` returned, any float dtype, one image (C, H, W) or a batch.
        sigmas: descending tensor, array or list; n + 1 values for n steps. For ``timestep_space`` the levels of the
        DDIM timesteps; may be None for ``model_range`` with limits and n among the options.
        Returns a generator of ``Noisy`` whose final value is the latent to decode.
        Raises ValueError naming the option or ``sigmas`` when a value cannot be used.
        """
        levels = [] if sigmas is None else floats(sigmas)
        if not levels and not self.model_range:
            raise ValueError(f"sigmas: {self.label} needs at least one")
        check_sigmas(levels)
        check_options(self, options)
        return self.function(x, distinct(levels), noise, **{**self.overrides, **options})

    def initial(self, noise: Tensor, sigma: float, *, sgm: bool = False) -> Tensor:
        """The txt2img start from unit noise: scaled to ``sigma`` = sigmas[0], or as it is in timestep space.

        ``sgm``: scaled as Stability's generative-models do it, by what a picture of variance 1 with this noise has.
        """
        return noise if self.timestep_space else noise * (math.sqrt(1 + sigma**2) if sgm else sigma)

    def noised(self, latent: Tensor, noise: Tensor, sigma: float) -> Tensor:
        """The img2img start: ``latent`` raised to noise level ``sigma``, on the scale that ``start`` expects."""
        x = latent + noise * sigma
        return x / math.sqrt(1 + sigma**2) if self.timestep_space else x


def check_sigmas(sigmas: list[float]) -> None:
    """ValueError unless all are finite and they descend to something >= 0."""
    if not all(math.isfinite(s) and s >= 0 for s in sigmas):
        raise ValueError(f"sigmas: must be finite and not negative, got {sigmas}")
    if any(high < low for high, low in pairs(sigmas)):
        raise ValueError(f"sigmas: must descend, got {sigmas}")


def distinct(sigmas: list[float]) -> list[float]:
    """Without repeated levels, which schedules with more steps than the network has timesteps contain."""
    return sigmas[:1] + [after for before, after in pairs(sigmas) if after < before]


def check_options(row: SamplerRow, options: Mapping[str, Option]) -> None:
    """ValueError for an option the sampler does not have, or a value it cannot take."""
    known = row.options
    choices = {**CHOICES, **row.choices}
    for name, value in options.items():
        if name not in known:
            raise ValueError(f"{name}: {row.label} has no such option (it has {', '.join(known) or 'none'})")
        if name in choices and value not in choices[name]:
            raise ValueError(f"{name}: must be one of {choices[name]}, got {value!r}")
        if isinstance(known[name], float) and not is_number(value):
            raise ValueError(f"{name}: must be a number, got {value!r}")


def is_number(value: Option) -> bool:
    """True for real numbers other than nan; bool does not count."""
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
