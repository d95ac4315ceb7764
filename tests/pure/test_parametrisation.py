"""What networks predict: each parametrisation against its definition, and the consistency function against the peer."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from backend.sampling.noise_table import NEARLY_NOISE, NoiseTable, zero_terminal_snr
from backend.sampling.parametrisation import PARAMETRISATIONS, Consistency, Epsilon, Flow, Parametrisation, Velocity

TABLE = NoiseTable.from_betas()
LCM = json.loads((Path(__file__).parents[1] / "golden" / "schedules.json").read_text())["lcm"]
CLEAN, NOISE = np.random.default_rng(0).standard_normal((2, 3, 4))
SIGMAS = [0.03, 0.5, 2.0, 14.6, NEARLY_NOISE]


def trained(kind: type[Parametrisation], sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """The input that such a network was trained on at this level, and the answer that it was to give."""
    cos = 1 / math.sqrt(1 + sigma**2)
    sin = sigma * cos
    if kind is Flow:
        t = sigma / (1 + sigma)
        return (1 - t) * CLEAN + t * NOISE, NOISE - CLEAN
    return cos * CLEAN + sin * NOISE, NOISE if kind is Epsilon else cos * NOISE - sin * CLEAN


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("kind", PARAMETRISATIONS.values())
def test_a_perfect_network_gives_the_clean_latent(kind: type[Parametrisation], sigma: float) -> None:
    network, x = kind(TABLE), CLEAN + sigma * NOISE
    given, answer = trained(kind, sigma)
    np.testing.assert_allclose(x * network.scalings(sigma).c_in, given, atol=1e-9)
    np.testing.assert_allclose(network.denoised(x, answer, sigma), CLEAN, atol=1e-8)
    np.testing.assert_allclose(network.predicted(x, CLEAN, sigma), answer, atol=1e-8)


def test_timesteps_are_where_the_network_has_the_level() -> None:
    for network in (Epsilon(TABLE), Velocity(TABLE)):
        assert [network.scalings(TABLE.sigmas[t]).timestep for t in (0, 500, 999)] == pytest.approx([0, 500, 999])
    assert Flow(NoiseTable.flow()).scalings(1.0).timestep == 500


def test_flow_levels_are_clamped_like_zero_terminal_snr() -> None:
    zero = NoiseTable.from_alphas_cumprod(zero_terminal_snr(TABLE.alphas_cumprod))
    for shift in (1.0, 3.0, 12.0):
        levels = NoiseTable.flow(shift)
        assert len(levels) == 1000 and levels.sigma_max == pytest.approx(zero.sigma_max, rel=1e-3)
        t = 0.25
        assert levels.sigmas[249] == pytest.approx(shift * t / (1 - t))


@pytest.mark.parametrize("entry", LCM["sigma_to_t_and_boundary_scaling"], ids=str)
def test_consistency_has_the_peers_boundary_and_timesteps(entry: dict[str, float]) -> None:
    """The peer scales what the network means by c_out and the input by c_skip: recorded for 2 and 3."""
    network, sigma = Consistency.of(Epsilon(TABLE)), entry["sigma"]
    x, meaning = 3.0, 2.0
    epsilon = (x - meaning) / sigma
    assert network.scalings(sigma).timestep == entry["timestep"]
    assert network.denoised(x, epsilon, sigma) == pytest.approx(entry["scaled_out_for_output2_input3"], rel=1e-6)
    assert x * network.scalings(sigma).c_in == pytest.approx(x / math.sqrt(sigma**2 + 1))


def test_consistency_knows_fifty_levels_and_what_its_network_predicts() -> None:
    np.testing.assert_allclose(Consistency.of(Epsilon(TABLE)).table.sigmas, LCM["all_sigmas"], rtol=3e-6)
    _, answer = trained(Velocity, 2.0)
    np.testing.assert_allclose(Consistency.of(Velocity(TABLE)).denoised(CLEAN + 2 * NOISE, answer, 2.0), CLEAN, atol=1e-6)


def test_noise_levels_in_half_precision():
    table = NoiseTable.from_betas()
    half = table.in_half_precision()
    assert np.array_equal(half.alphas_cumprod.astype(np.float16), table.alphas_cumprod.astype(np.float16))
    assert half.sigma_min == pytest.approx(0.0312653, rel=1e-5) and half.sigma_max == pytest.approx(14.6123, rel=1e-4)
    assert Epsilon(table).in_half_precision().table.sigma_min == half.sigma_min
