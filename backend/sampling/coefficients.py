"""Numbers that multistep samplers need: functions of the sigmas alone, so no tensor appears here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from backend.sampling.noise_table import Floats, scaled_linear_alphas
from backend.sampling.protocol import pairs
from backend.sampling.schedules import karras_sigmas


def lagrange(nodes: Sequence[float], j: int, at: Floats) -> Floats:
    """The polynomial that is 1 at nodes[j] and 0 at the others, evaluated at ``at``."""
    value = np.ones_like(at)
    for k, node in enumerate(nodes):
        if k != j:
            value = value * (at - node) / (nodes[j] - node)
    return value


def adams_bashforth(nodes: Sequence[float], end: float) -> list[float]:
    """Weights of derivatives known at ``nodes`` (latest first) for the step from nodes[0] to ``end``.

    Exact integrals of the Lagrange polynomials: linear multistep with variable steps.
    """
    weights = []
    for j, node in enumerate(nodes):
        others = [other for k, other in enumerate(nodes) if k != j]
        integral = np.polyint(np.atleast_1d(np.poly(others)) / math.prod(node - other for other in others))
        weights.append(float(np.polyval(integral, end) - np.polyval(integral, nodes[0])))
    return weights


ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights for equal steps, latest derivative first, by order - 1."""


def ipndm_v_weights(h: Sequence[float]) -> list[float]:
    """Weights of the last len(h) derivatives, latest first, for one unit of the coming step h[0].

    ``h`` are step lengths, coming first, then the past ones backwards. From the third order on these are not the
    exact variable-step integrals: they follow diff-sampler's iPNDM_v, which saved pictures depend on.
    """
    if len(h) == 1:
        return [1.0]
    h0, h1 = h[:2]
    weights = [1 + h0 / h1 / 2, -h0 / h1 / 2]
    if len(h) == 2:
        return weights
    h2 = h[2]
    third = (1 - h0 / (3 * (h0 + h1)) * (h0 * (h0 + h1)) / (h1 * (h1 + h2))) / 2
    weights = [weights[0] + third, weights[1] - (1 + h1 / h2) * third, third * h1 / h2]
    if len(h) == 3:
        return weights
    h3 = h[3]
    fourth = (1 - h0 / (3 * (h0 + h1))) / 2 + (1 - h0 / (2 * (h0 + h1))) * h0 / (6 * (h0 + h1 + h2))
    fourth *= h0 * (h0 + h1) * (h0 + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
    ratio = h1 * (h1 + h2) / (h2 * (h2 + h3))
    return [
        weights[0] + fourth,
        weights[1] - (1 + h1 / h2 + ratio) * fourth,
        weights[2] + (h1 / h2 + ratio * (1 + h2 / h3)) * fourth,
        -fourth * ratio * h1 / h2,
    ]


def deis_weights(nodes: Sequence[float], end: float, samples: int = 10000) -> list[float]:
    """tAB-DEIS weights of the derivatives at sigmas ``nodes`` (latest first) for the step to sigma ``end`` > 0.

    Lagrange polynomials over the time t of a linear VP process between sigma 0.002 at t = 0.001 and 80 at t = 1,
    integrated as the peers do: a sum of ``samples`` values that counts both ends in full.
    """
    low, high, start = math.log(0.002**2 + 1), math.log(80.0**2 + 1), 1e-3
    beta_d = 2 * (low / start - high) / (start - 1)
    beta_min = high - beta_d / 2
    sigmas = np.array([*nodes, end])
    *times, t_end = (np.sqrt(beta_min**2 + 2 * beta_d * np.log(sigmas**2 + 1)) - beta_min) / beta_d
    t = np.linspace(times[0], t_end, samples)
    alpha = np.exp(-0.5 * t**2 * beta_d - t * beta_min)
    integrand = 0.5 * (t * beta_d + beta_min) / np.sqrt(alpha * (1 - alpha))
    dt = (t_end - times[0]) / samples
    return [float(np.sum(integrand * lagrange(times, j, t)) * dt) for j in range(len(times))]


def restart_segments(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """The (sigma, sigma_next) steps of Restart sampling; noise is added where one begins above the last one's end.

    Under 20 steps: the plain list. From 20 on: a Karras list over the same range, short enough that the restarts
    between sigma 0.1 and 2 (9 steps once; from 36 steps a quarter of them twice) keep the total.
    """
    steps = len(sigmas) - 1
    if steps < 20:
        return list(pairs(sigmas))
    length, times = (steps // 4, 2) if steps >= 36 else (9, 1)
    levels = karras_sigmas(steps - length * times, sigmas[-2], sigmas[0])
    low, high = int(np.argmin(abs(levels - 0.1))), int(np.argmin(abs(levels - 2)))
    plain = levels.tolist()
    again = karras_sigmas(length + 1, plain[low], plain[high])[:-1].tolist() if high < low else []
    segments = list(pairs(plain))
    return segments[:low] + list(pairs(again)) * times + segments[low:]


def unipc_sigmas(
    levels: Sequence[float], skip_type: str, is_img2img: bool, alphas_cumprod: Sequence[float] | None
) -> list[float]:
    """The n + 1 sigmas UniPC visits for a list of n levels > 0 (a final 0 is not counted).

    Time runs from 1 (img2img: the time of levels[0]) to 1/N over a table of N = len(alphas_cumprod) levels, log
    alpha is linear in between; timesteps are thus fractional. ``alphas_cumprod`` None: Stable Diffusion's.
    """
    alphas = scaled_linear_alphas() if alphas_cumprod is None else np.array(alphas_cumprod, np.float64)
    log_alphas, times = np.log(alphas), np.arange(1, len(alphas) + 1) / len(alphas)
    n = sum(level > 0 for level in levels)
    log_alpha = -math.log1p(levels[0] ** 2)
    start = float(np.interp(log_alpha, log_alphas[::-1], times[::-1])) if is_img2img else 1.0
    root = {"time_uniform": 1, "time_quadratic": 2}.get(skip_type)
    ends = np.sqrt(np.expm1(-np.interp([start, times[0]], times, log_alphas)))
    if root is None:  # logSNR
        return np.geomspace(*ends, n + 1).tolist()
    t = np.linspace(start ** (1 / root), times[0] ** (1 / root), n + 1) ** root
    return np.sqrt(np.expm1(-np.interp(t, times, log_alphas))).tolist()


def unipc_bh(rks: Floats, h: float, variant: str) -> tuple[list[float], list[float]]:
    """(predictor, corrector) weights of the divided differences in UniPC-B(h); see ``unipc_weights``."""
    hh = -h
    bh = hh if variant == "bh1" else math.expm1(hh)
    order = len(rks)
    phi, b = math.expm1(hh) / hh - 1, []
    for i in range(1, order + 1):
        b.append(phi * math.factorial(i) / bh)
        phi = phi / hh - 1 / math.factorial(i + 1)
    powers = np.vander(rks, order, increasing=True).T
    predictor = [0.5] if order == 2 else np.linalg.solve(powers[:-1, :-1], b[:-1])
    corrector = [0.5] if order == 1 else np.linalg.solve(powers, b)
    return [bh * float(w) for w in predictor], [bh * float(w) for w in corrector]


def unipc_vary(rks: Floats, h: float) -> tuple[list[float], list[float]]:
    """(predictor, corrector) weights of the divided differences in UniPC with varying coefficients.

    The newest difference enters through the row before the last, as in the authors' code.
    """
    hh, order = -h, len(rks)
    phis = [math.expm1(hh)]
    for k in range(1, order + 1):
        phis.append(phis[-1] / hh - 1 / math.factorial(k))
    columns = np.stack([rks**k / math.factorial(k + 1) for k in range(order)], axis=1)
    inverse = np.linalg.inv(columns)
    known = np.array(phis[1:order])
    predictor = known @ np.linalg.inv(columns[:-1, :-1]) if order > 1 else np.zeros(0)
    corrector = np.append(known @ inverse[: order - 1, :-1], phis[order] * inverse[max(order - 2, 0), -1])
    return predictor.tolist(), corrector.tolist()


def unipc_weights(sigmas: Sequence[float], end: float, variant: str) -> tuple[list[float], list[float]]:
    """UniPC weights for the step to ``end`` from data predictions at ``sigmas`` (latest first).

    They multiply the differences (m_i - m_0) of the older predictions to the latest; the corrector has one more,
    for the new prediction at ``end``.
    """
    h = math.log(sigmas[0] / end)
    rks = np.array([math.log(sigmas[0] / sigma) / h for sigma in sigmas[1:]] + [1.0])
    predictor, corrector = unipc_vary(rks, h) if variant == "vary_coeff" else unipc_bh(rks, h, variant)
    return [w / r for w, r in zip(predictor, rks)], [w / r for w, r in zip(corrector, rks)]
