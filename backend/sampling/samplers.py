"""Every sampler, simple to complex, and the table that lists them.

A sampler is a generator: it yields a noisy latent with its sigma, is sent the denoised latent, and returns the final
one. ``sigmas`` are Python floats, so a sampler never waits for the device; latents are only combined linearly.
Everything is on the scale x = clean + sigma * noise, where the first-order step is a straight line.

``noise`` is called exactly as often, and in the same order, as AUTOMATIC1111 and k-diffusion draw, even where the
result is multiplied by 0: an image's random stream, and so the image, depends on the count.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from backend.sampling.coefficients import (
    ADAMS_BASHFORTH,
    adams_bashforth,
    deis_weights,
    ipndm_v_weights,
    restart_segments,
    unipc_sigmas,
    unipc_weights,
)
from backend.sampling.protocol import Noise, Noisy, Sampler, pairs
from backend.sampling.sampler_row import SamplerRow, two_per_step
from backend.sampling.schedules import ddim_timesteps
from backend.table import Table

if TYPE_CHECKING:
    from torch import Tensor


# Pieces that several samplers share.


def euler_step(x: Tensor, denoised: Tensor, sigma: float, sigma_next: float) -> Tensor:
    """Along the straight line from ``x`` at sigma towards ``denoised`` at 0, to sigma_next."""
    return denoised + (x - denoised) * (sigma_next / sigma)


def derivative(x: Tensor, denoised: Tensor, sigma: float) -> Tensor:
    """dx/dsigma of the probability-flow ODE, which is also the predicted noise (Karras et al. 2022, equation 3)."""
    return (x - denoised) / sigma


def ancestral_step(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """(sigma_down, sigma_up): go down further than sigma_next, then up again with fresh noise; eta 0 adds none."""
    sigma_up = min(sigma_next, eta * sigma_next * math.sqrt(max(sigma**2 - sigma_next**2, 0)) / sigma)
    return math.sqrt(max(sigma_next**2 - sigma_up**2, 0)), sigma_up


def churned(sigma: float, steps: int, s_churn: float, s_tmin: float, s_tmax: float) -> float:
    """The noise level to raise ``sigma`` to before a step (Karras et al. 2022, Algorithm 2, gamma)."""
    gamma = min(s_churn / steps, math.sqrt(2) - 1) if s_tmin <= sigma <= s_tmax else 0.0
    return sigma * (1 + gamma)


def raised(x: Tensor, sigma: float, sigma_hat: float, noise: Tensor) -> Tensor:
    """``x`` with noise added until its level is sigma_hat."""
    return x + noise * math.sqrt(sigma_hat**2 - sigma**2) if sigma_hat > sigma else x


def weighted(weights: Iterable[float], tensors: Iterable[Tensor]) -> Tensor | float:
    """Sum of weight * tensor; 0 when there are none."""
    return sum(tensor * weight for weight, tensor in zip(weights, tensors))


# One evaluation a step.


def euler(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Sampler:
    """Euler: Algorithm 2 without the correction, Karras et al. 2022."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        sigma_hat = churned(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x = raised(x, sigma, sigma_hat, noise(sigma, sigma_next) * s_noise)
        denoised = yield Noisy(x, sigma_hat, i)
        x = euler_step(x, denoised, sigma_hat, sigma_next)
    return x


def euler_ancestral(
    x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """Euler a: an Euler step down past sigma_next, then fresh noise back up to it (k-diffusion)."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        x = euler_step(x, denoised, sigma, sigma_down)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * sigma_up)
    return x


def ddpm(x: Tensor, sigmas: Sequence[float], noise: Noise) -> Sampler:
    """DDPM: draws from the posterior q(x_next | x, x0 = denoised), Ho et al. 2020, equations 6 and 7.

    In terms of sigma its mean and variance are those of Euler a with eta 1.
    """
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        kept = (sigma_next / sigma) ** 2
        x = denoised + (x - denoised) * kept
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * (sigma_next * math.sqrt(1 - kept))
    return x


def lcm(x: Tensor, sigmas: Sequence[float], noise: Noise) -> Sampler:
    """LCM: jump to the denoised latent, add noise of the next level (Luo et al. 2023, Algorithm 3)."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        x = yield Noisy(x, sigma, i)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * sigma_next
    return x


def lms(x: Tensor, sigmas: Sequence[float], noise: Noise, *, order: int = 4) -> Sampler:
    """LMS: linear multistep (Adams-Bashforth) with exact weights for uneven sigmas (k-diffusion)."""
    ds: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        ds = [derivative(x, denoised, sigma), *ds][:order]
        x = x + weighted(adams_bashforth(sigmas[i::-1][: len(ds)], sigma_next), ds)
    return x


def ipndm(x: Tensor, sigmas: Sequence[float], noise: Noise, *, max_order: int = 4) -> Sampler:
    """iPNDM: multistep with the weights of even steps and lower orders to start with (Zhang and Chen 2023)."""
    ds: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        ds = [derivative(x, denoised, sigma), *ds][:max_order]
        x = x + weighted(ADAMS_BASHFORTH[len(ds) - 1], ds) * (sigma_next - sigma)
    return x


def ipndm_v(x: Tensor, sigmas: Sequence[float], noise: Noise, *, max_order: int = 4) -> Sampler:
    """iPNDM_v: iPNDM with weights that follow the step lengths (diff-sampler, Zhou et al. 2024)."""
    ds: list[Tensor] = []
    for i, sigma in enumerate(sigmas[:-1]):
        denoised = yield Noisy(x, sigma, i)
        ds = [derivative(x, denoised, sigma), *ds][:max_order]
        h = [after - before for before, after in pairs(sigmas[: i + 2])][::-1]
        x = x + weighted(ipndm_v_weights(h[: len(ds)]), ds) * h[0]
    return x


def deis(x: Tensor, sigmas: Sequence[float], noise: Noise, *, max_order: int = 3, deis_mode: str = "tab") -> Sampler:
    """DEIS: exponential integrator with polynomials in time ("tab") or sigma ("rhoab"), Zhang and Chen 2023."""
    weigh = deis_weights if deis_mode == "tab" else adams_bashforth
    ds: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        ds = [derivative(x, denoised, sigma), *ds][:max_order]
        if len(ds) == 1 or sigma_next == 0:
            x = euler_step(x, denoised, sigma, sigma_next)
        else:
            x = x + weighted(weigh(sigmas[i::-1][: len(ds)], sigma_next), ds)
    return x


def dpmpp_2m(x: Tensor, sigmas: Sequence[float], noise: Noise) -> Sampler:
    """DPM++ 2M: DPM-Solver++(2M), Lu et al. 2022, Algorithm 2; h is a step in log sigma."""
    old, h_last = None, 0.0
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        h = math.log(sigma / sigma_next) if sigma_next > 0 else math.inf
        towards = denoised
        if old is not None and sigma_next > 0:
            towards = denoised + (denoised - old) * (h / (2 * h_last))
        x = euler_step(x, towards, sigma, sigma_next)
        old, h_last = denoised, h
    return x


def dpmpp_2m_sde(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "midpoint",
) -> Sampler:
    """DPM++ 2M SDE: SDE-DPM-Solver++(2M), Lu et al. 2022; draws noise only when eta is above 0."""
    old, h_last = None, 0.0
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        gain = -math.expm1(-h * (1 + eta))
        x = x * (1 - gain) + denoised * gain
        if old is not None:
            second = gain / 2 if solver_type == "midpoint" else 1 - gain / (h * (1 + eta))
            x = x + (denoised - old) * (second * h / h_last)
        if eta:
            x = x + noise(sigma, sigma_next) * (s_noise * sigma_next * math.sqrt(-math.expm1(-2 * h * eta)))
        old, h_last = denoised, h
    return x


def dpmpp_3m_sde(
    x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM++ 3M SDE: three-step SDE-DPM-Solver++ (k-diffusion); draws noise only when eta is above 0."""
    past: list[tuple[Tensor, float]] = []  # (denoised, h of the step it started), latest first
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        h_eta = h * (1 + eta)
        gain = -math.expm1(-h_eta)
        phi_2 = 1 - gain / h_eta
        x = x * (1 - gain) + denoised * gain
        if past:
            (d_1, h_1), (d_2, h_2) = past[0], past[-1]
            first = (denoised - d_1) * (h / h_1)
            if len(past) == 2:
                second = (first - (d_1 - d_2) * (h / h_2)) * (h / (h_1 + h_2))
                x = x + second * (phi_2 * h_1 / h - (phi_2 / h_eta - 0.5))
            x = x + first * phi_2
        if eta:
            x = x + noise(sigma, sigma_next) * (s_noise * sigma_next * math.sqrt(-math.expm1(-2 * h * eta)))
        past = [(denoised, h), *past][:2]
    return x


# Several evaluations a step.


def heun(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Sampler:
    """Heun: Algorithm 2, Karras et al. 2022."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        sigma_hat = churned(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x = raised(x, sigma, sigma_hat, noise(sigma, sigma_next) * s_noise)
        x = yield from heun_step(x, sigma_hat, sigma_next, i)
    return x


def heun_step(x: Tensor, sigma: float, sigma_next: float, step: int) -> Sampler:
    """The mean of the derivatives at both ends; an Euler step to sigma 0."""
    denoised = yield Noisy(x, sigma, step)
    x_2 = euler_step(x, denoised, sigma, sigma_next)
    if sigma_next == 0:
        return x_2
    denoised_2 = yield Noisy(x_2, sigma_next, step)
    d, d_2 = derivative(x, denoised, sigma), derivative(x_2, denoised_2, sigma_next)
    return x + (d + d_2) * ((sigma_next - sigma) / 2)


def restart(x: Tensor, sigmas: Sequence[float], noise: Noise, *, s_noise: float = 1.0) -> Sampler:
    """Restart: Heun steps that jump back up from sigma 0.1 to 2 with fresh noise (Xu et al. 2023, Algorithm 1)."""
    reached = math.inf
    for i, (sigma, sigma_next) in enumerate(restart_segments(sigmas)):
        if sigma > reached:
            x = raised(x, reached, sigma, noise(reached, sigma) * s_noise)
        x = yield from heun_step(x, sigma, sigma_next, i)
        reached = sigma_next
    return x


def heunpp2(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Sampler:
    """Heun++: derivatives at this and the next two levels, weighted by sigma / sigmas[0] (sd-webui-samplers)."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        sigma_hat = churned(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x = raised(x, sigma, sigma_hat, noise(sigma, sigma_next) * s_noise)
        ahead = sigmas[i + 1 : -1][:2]
        ds = [derivative(x, (yield Noisy(x, sigma_hat, i)), sigma_hat)]
        x_k, visited = x, sigma_hat
        for sigma_k in ahead:
            x_k, visited = x_k + ds[-1] * (sigma_k - visited), sigma_k
            ds.append(derivative(x_k, (yield Noisy(x_k, sigma_k, i)), sigma_k))
        later = [sigma_k / (len(ds) * sigmas[0]) for sigma_k in ahead]
        x = x + weighted([1 - sum(later), *later], ds) * (sigma_next - sigma_hat)
    return x


def dpm_2(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Sampler:
    """DPM2: DPM-Solver-2 (Lu et al. 2022, Algorithm 1) with the churn of Karras et al. 2022; midpoint in log sigma."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        sigma_hat = churned(sigma, len(sigmas) - 1, s_churn, s_tmin, s_tmax)
        x = raised(x, sigma, sigma_hat, noise(sigma, sigma_next) * s_noise)
        x = yield from midpoint_step(x, sigma_hat, sigma_next, i)
    return x


def midpoint_step(x: Tensor, sigma: float, sigma_next: float, step: int) -> Sampler:
    """The derivative at the geometric mean of both sigmas; an Euler step to sigma 0."""
    denoised = yield Noisy(x, sigma, step)
    if sigma_next == 0:
        return denoised
    sigma_mid = math.sqrt(sigma * sigma_next)
    x_2 = euler_step(x, denoised, sigma, sigma_mid)
    denoised_2 = yield Noisy(x_2, sigma_mid, step)
    return x + derivative(x_2, denoised_2, sigma_mid) * (sigma_next - sigma)


def dpm_2_ancestral(
    x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM2 a: DPM-Solver-2 down to sigma_down, then fresh noise (k-diffusion)."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        x = yield from midpoint_step(x, sigma, sigma_down, i)
        if sigma_down > 0:  # k-diffusion adds no noise after a step to 0, which an eta above 1 also makes
            x = x + noise(sigma, sigma_next) * (s_noise * sigma_up)
    return x


def dpmpp_2s_ancestral(
    x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0
) -> Sampler:
    """DPM++ 2S a: DPM-Solver++(2S), Lu et al. 2022, Algorithm 1, with ancestral noise."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        if sigma_down > 0:
            sigma_mid = math.sqrt(sigma * sigma_down)
            denoised = yield Noisy(euler_step(x, denoised, sigma, sigma_mid), sigma_mid, i)
        x = euler_step(x, denoised, sigma, sigma_down)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * (s_noise * sigma_up)
    return x


def dpmpp_sde(
    x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5
) -> Sampler:
    """DPM++ SDE: stochastic DPM-Solver++(2S) with an intermediate level a share r > 0 of the way in log sigma."""
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        if sigma_next == 0:
            return denoised
        sigma_mid = sigma ** (1 - r) * sigma_next**r
        sigma_down, sigma_up = ancestral_step(sigma, sigma_mid, eta)
        x_2 = euler_step(x, denoised, sigma, sigma_down) + noise(sigma, sigma_mid) * (s_noise * sigma_up)
        denoised_2 = yield Noisy(x_2, sigma_mid, i)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        mixed = denoised + (denoised_2 - denoised) / (2 * r)
        x = euler_step(x, mixed, sigma, sigma_down) + noise(sigma, sigma_next) * (s_noise * sigma_up)
    return x


# Exponential integrators that place their own steps between two sigmas; log sigma has no 0 to end at.

SOLVER_FLOOR = 0.0292
"""About the lowest sigma that Stable Diffusion was trained on."""


def dpm_solver_step(
    x: Tensor, sigma: float, sigma_next: float, order: int, step: int
) -> Generator[Noisy, Tensor, tuple[Tensor, Tensor]]:
    """(result of order - 1, result of order) of DPM-Solver-1, 2 or 3, Lu et al. 2022, Algorithms 1 and 2.

    Both share their evaluations, so their difference is an error estimate for free; order 1 has only itself.
    """
    h = math.log(sigma / sigma_next)
    eps = derivative(x, (yield Noisy(x, sigma, step)), sigma)
    first = x + eps * (sigma_next - sigma)
    if order == 1:
        return first, first
    r1, r2 = (1 / 2, 1.0) if order == 2 else (1 / 3, 2 / 3)
    sigma_1, sigma_2 = sigma * math.exp(-r1 * h), sigma * math.exp(-r2 * h)
    u_1 = x + eps * (sigma_1 - sigma)
    change = derivative(u_1, (yield Noisy(u_1, sigma_1, step)), sigma_1) - eps
    second = first + change * ((sigma_next - sigma) / (2 * r1))
    if order == 2:
        return first, second
    u_2 = x + eps * (sigma_2 - sigma) - change * (sigma_2 * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1))
    change_2 = derivative(u_2, (yield Noisy(u_2, sigma_2, step)), sigma_2) - eps
    return second, first - change_2 * (sigma_next / r2 * (math.expm1(h) / h - 1))


def solver_range(sigmas: Sequence[float], sigma_min: float | None, sigma_max: float | None) -> tuple[float, float]:
    """The limits given, else the lowest sigma above 0 and the highest of the list.

    A list with a single level above 0 has no lowest one: then SOLVER_FLOOR, or half that level, stands in.
    """
    above = [sigma for sigma in sigmas if sigma > 0]
    high = sigma_max or max(above, default=0.0)
    low = sigma_min or (min(above) if len(above) > 1 else min(SOLVER_FLOOR, high / 2))
    if not 0 < low < high:
        raise ValueError(f"sigma_min, sigma_max: need 0 < sigma_min < sigma_max, got {low} and {high}")
    return low, high


def ancestral_range(sigma: float, sigma_next: float, eta: float, sigma_min: float) -> tuple[float, float]:
    """``ancestral_step`` that never goes below sigma_min."""
    sigma_down = max(ancestral_step(sigma, sigma_next, eta)[0], sigma_min) if eta else sigma_next
    return sigma_down, math.sqrt(max(sigma_next**2 - sigma_down**2, 0))


def dpm_fast(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    eta: float = 0.0,
    s_noise: float = 1.0,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
    n: int | None = None,
) -> Sampler:
    """DPM fast: DPM-Solver-fast, Lu et al. 2022, section 3.4: n evaluations as steps of order 3 and a remainder.

    Even steps in log sigma between the limits; of ``sigmas`` only the length and the limits count. Ends at sigma_min.
    """
    low, high = solver_range(sigmas, sigma_min, sigma_max)
    n = max(n or len(sigmas) - 1, 1)
    orders = [3] * (n // 3) + [n % 3] if n % 3 else [3] * (n // 3 - 1) + [2, 1]
    levels = [high * (low / high) ** (i / len(orders)) for i in range(len(orders))] + [low]
    for i, (sigma, sigma_next) in enumerate(pairs(levels)):
        sigma_down, sigma_up = ancestral_range(sigma, sigma_next, eta, low)
        _, x = yield from dpm_solver_step(x, sigma, sigma_down, orders[i], i)
        x = x + noise(sigma, sigma_next) * (s_noise * sigma_up)
    return x


@dataclass(slots=True)
class StepControl:
    """PID control of a step length h from the last three errors (Soederlind 2003); growth is limited by atan."""

    h: float
    powers: tuple[float, ...]
    accept_safety: float
    errors: tuple[float, ...] = ()

    def accepts(self, error: float) -> bool:
        """Whether a step with this error counts. Changes h for the next one, or for another try."""
        self.errors = (error, *self.errors[1:]) if self.errors else (error,) * 3
        growth = math.prod((e + 1e-8) ** -power for e, power in zip(self.errors, self.powers))
        factor = 1 + math.atan(growth - 1)
        if accepted := factor >= self.accept_safety:
            self.errors = (error, error, self.errors[1])
        self.h = self.h * factor
        return accepted


def dpm_adaptive(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    eta: float = 0.0,
    s_noise: float = 1.0,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    sigma_min: float | None = None,
    sigma_max: float | None = None,
) -> Sampler:
    """DPM adaptive: DPM-Solver-12 or 23 with error control, Lu et al. 2022, section 3.4. Ends at sigma_min.

    The error is measured over everything in ``x``: give it one image. Raises ArithmeticError when it is not finite.
    """
    sigma_end, sigma = solver_range(sigmas, sigma_min, sigma_max)
    gains = (pcoeff + icoeff + dcoeff, -(pcoeff + 2 * dcoeff), dcoeff)
    control = StepControl(h_init, tuple(gain / (1.5 if eta else order) for gain in gains), accept_safety)
    x_low_last, step = x, 0
    while math.log(sigma / sigma_end) > 1e-5:
        sigma_next = max(sigma_end, sigma * math.exp(-control.h))
        sigma_down, sigma_up = ancestral_range(sigma, sigma_next, eta, sigma_end)
        x_low, x_high = yield from dpm_solver_step(x, sigma, sigma_down, order, step)
        delta = (x_low.abs().maximum(x_low_last.abs()) * rtol).clamp(min=atol)
        error = math.sqrt(float(((x_low - x_high) / delta).square().mean()))
        if not math.isfinite(error):
            raise ArithmeticError(f"DPM adaptive: the error at sigma {sigma:.4g} is not finite")
        if control.accepts(error):
            x_low_last, x = x_low, x_high + noise(sigma, sigma_next) * (s_noise * sigma_up)
            sigma, step = sigma_next, step + 1
    return x


# Timestep samplers. They take and return the latent on the variance preserving scale, x / sqrt(1 + sigma^2).


def signal(sigma: float) -> float:
    """sqrt(alpha bar): what the variance preserving scale multiplies a clean latent with."""
    return 1 / math.sqrt(1 + sigma**2)


def ddim(x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 0.0) -> Sampler:
    """DDIM: Song et al. 2020, equation 12, which on the sigma scale is Euler a with another eta and start."""
    x = x / signal(sigmas[0])
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        denoised = yield Noisy(x, sigma, i)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        x = euler_step(x, denoised, sigma, sigma_down) + noise(sigma, sigma_next) * sigma_up
    return x * signal(sigmas[-1])


def ddim_cfgpp(x: Tensor, sigmas: Sequence[float], noise: Noise, *, eta: float = 0.0) -> Sampler:
    """DDIM CFG++: DDIM that renoises with the unconditional prediction (Chung et al. 2024, Algorithm 2).

    Is sent (denoised, denoised_uncond), or one tensor when there is no guidance.
    """
    x = x / signal(sigmas[0])
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        sent = yield Noisy(x, sigma, i)
        denoised, uncond = sent if isinstance(sent, tuple) else (sent, sent)
        sigma_down, sigma_up = ancestral_step(sigma, sigma_next, eta)
        x = denoised + derivative(x, uncond, sigma) * sigma_down + noise(sigma, sigma_next) * sigma_up
    return x * signal(sigmas[-1])


def plms(x: Tensor, sigmas: Sequence[float], noise: Noise) -> Sampler:
    """PLMS: pseudo linear multistep with one extra evaluation to start (Liu et al. 2022, Algorithm 2)."""
    x = x / signal(sigmas[0])
    ds: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairs(sigmas)):
        if i == 0:
            denoised = yield Noisy(x, sigma, i)
            ds = [derivative(x, denoised, sigma)]
            x_2 = euler_step(x, denoised, sigma, sigma_next)
            d_2 = derivative(x_2, (yield Noisy(x_2, sigma_next, i)), sigma_next) if sigma_next > 0 else ds[0]
            x = x + (ds[0] + d_2) * ((sigma_next - sigma) / 2)
        else:
            ds = [derivative(x, (yield Noisy(x, sigma, i)), sigma), *ds][:4]
            x = x + weighted(ADAMS_BASHFORTH[len(ds) - 1], ds) * (sigma_next - sigma)
    return x * signal(sigmas[-1])


def unipc(
    x: Tensor,
    sigmas: Sequence[float],
    noise: Noise,
    *,
    variant: str = "bh1",
    skip_type: str = "time_uniform",
    order: int = 3,
    lower_order_final: bool = True,
    is_img2img: bool = False,
    alphas_cumprod: Sequence[float] | None = None,
) -> Sampler:
    """UniPC: predictor-corrector that reuses the corrector's evaluation (Zhao et al. 2023, Algorithms 5 and 6).

    ``sigmas`` give the number of steps (one per sigma above 0) and, in img2img, where to begin; ``alphas_cumprod``
    is the network's table, descending (default Stable Diffusion's). Fewer steps than ``order`` lower the order.
    """
    levels = unipc_sigmas(sigmas, skip_type, is_img2img, alphas_cumprod)
    n = len(levels) - 1
    order = min(order, n)
    x = x / signal(levels[0])
    known = [(yield Noisy(x, levels[0], 0))]  # data predictions, latest first
    for i, (sigma, sigma_next) in enumerate(pairs(levels), start=1):
        p = min(order, n + 1 - i) if lower_order_final and i >= order else min(order, i)
        predictor, corrector = unipc_weights(levels[i - 1 :: -1][:p], sigma_next, variant)
        straight = euler_step(x, known[0], sigma, sigma_next)
        differences = [m - known[0] for m in known[1:p]]
        x = straight - weighted(predictor, differences)
        if i < n:
            new = yield Noisy(x, sigma_next, i)
            x = straight - weighted(corrector, chain(differences, [new - known[0]]))
            known = [new, *known][:order]
    return x * signal(levels[-1])


# The table, in the order of the menu.

_CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")
_ANCESTRAL = {"ui_options": ("eta", "s_noise"), "uses_noise": True, "uses_ensd": True}
_SDE = {"ui_options": ("eta", "s_noise"), "uses_noise": True, "brownian": True}
_PAIR = {"second_order": True, "evaluations": two_per_step}
_TIMESTEPS = {"timestep_space": True, "evaluations": lambda steps: max(len(ddim_timesteps(steps)) - 1, 1)}
_RANGE = {"model_range": True, "overrides": {"eta": 1.0}, "uses_noise": True, "uses_ensd": True}

_ROWS = (
    SamplerRow("DPM++ 2M", dpmpp_2m, ("k_dpmpp_2m",), "Karras"),
    SamplerRow("DPM++ SDE", dpmpp_sde, ("k_dpmpp_sde",), "Karras", **_PAIR, **_SDE),
    SamplerRow("DPM++ 2M SDE", dpmpp_2m_sde, ("k_dpmpp_2m_sde",), "Exponential", **_SDE),
    SamplerRow(
        "DPM++ 2M SDE Heun",
        dpmpp_2m_sde,
        ("k_dpmpp_2m_sde_heun",),
        "Exponential",
        overrides={"solver_type": "heun"},
        **_SDE,
    ),
    SamplerRow("DPM++ 2S a", dpmpp_2s_ancestral, ("k_dpmpp_2s_a",), "Karras", **_PAIR, **_ANCESTRAL),
    SamplerRow(
        "DPM++ 3M SDE", dpmpp_3m_sde, ("k_dpmpp_3m_sde",), "Exponential", discard_next_to_last_sigma=True, **_SDE
    ),
    SamplerRow(
        "Euler a",
        euler_ancestral,
        ("k_euler_a", "k_euler_ancestral"),
        ui_options=("eta",),
        uses_noise=True,
        uses_ensd=True,
    ),
    SamplerRow("Euler", euler, ("k_euler",), ui_options=_CHURN, uses_noise=True),
    SamplerRow("LMS", lms, ("k_lms",)),
    SamplerRow("Heun", heun, ("k_heun",), ui_options=_CHURN, uses_noise=True, **_PAIR),
    SamplerRow(
        "DPM2",
        dpm_2,
        ("k_dpm_2",),
        "Karras",
        ui_options=_CHURN,
        uses_noise=True,
        discard_next_to_last_sigma=True,
        **_PAIR,
    ),
    SamplerRow(
        "DPM2 a", dpm_2_ancestral, ("k_dpm_2_a",), "Karras", discard_next_to_last_sigma=True, **_PAIR, **_ANCESTRAL
    ),
    SamplerRow("DPM fast", dpm_fast, ("k_dpm_fast",), ui_options=("eta", "s_noise"), **_RANGE),
    SamplerRow(
        "DPM adaptive",
        dpm_adaptive,
        ("k_dpm_ad",),
        ui_options=("eta",),
        choices={"order": (2, 3)},
        evaluations=lambda steps: 60,
        adaptive=True,
        **_RANGE,
    ),
    SamplerRow("Restart", restart, ("restart",), "Karras", uses_noise=True, **_PAIR),
    SamplerRow("DDIM", ddim, ("ddim",), ui_options=("eta",), uses_noise=True, **_TIMESTEPS),
    SamplerRow(
        "DDIM CFG++",
        ddim_cfgpp,
        ("ddim_cfgpp",),
        ui_options=("eta",),
        uses_noise=True,
        cfg_divisor=12.5,
        needs_uncond=True,
        **_TIMESTEPS,
    ),
    SamplerRow("PLMS", plms, ("plms",), timestep_space=True, evaluations=lambda n: len(ddim_timesteps(n))),
    SamplerRow(
        "UniPC",
        unipc,
        ("unipc",),
        ui_options=("variant", "skip_type", "order", "lower_order_final"),
        timestep_space=True,
        evaluations=lambda n: len(ddim_timesteps(n)),
    ),
    SamplerRow("LCM", lcm, ("k_lcm",), uses_noise=True, lcm=True),
    SamplerRow("HeunPP2", heunpp2, ("heunpp2",), uses_noise=True, evaluations=lambda n: max(3 * n - 3, 1)),
    SamplerRow("IPNDM", ipndm, ("ipndm",)),
    SamplerRow("IPNDM_V", ipndm_v, ("ipndm_v",)),
    SamplerRow("DEIS", deis, ("deis",)),
    SamplerRow("DDPM", ddpm, ("ddpm",), uses_noise=True),
)
SAMPLERS: Table[SamplerRow] = Table("samplers", _ROWS, key="label")
