"""Samplers: laws that need no network, then the recorded results of the peers."""

import ast
import inspect
import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from backend.sampling import coefficients, samplers
from backend.sampling.noise_table import NoiseTable, scaled_linear_alphas
from backend.sampling.protocol import Noisy
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import karras_sigmas, resolve_sigmas, timestep_sigmas

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "samplers.json").read_text())
LABELS = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "lms": "LMS",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "restart": "Restart",
    "heunpp2": "HeunPP2",
    "ipndm": "IPNDM",
    "ipndm_v": "IPNDM_V",
    "deis": "DEIS",
    "lcm": "LCM",
    "ddim": "DDIM",
    "ddim_cfgpp": "DDIM CFG++",
    "plms": "PLMS",
    "unipc": "UniPC",
}
SHAPE = tuple(GOLDEN["formulas"]["shape"])
ALL = pytest.mark.parametrize("row", SAMPLERS.values(), ids=list(SAMPLERS))
MODEL = NoiseTable.from_betas()
MEAN, STD = 0.3, 0.7
NOISELESS = {"eta": 0.0, "s_churn": 0.0}


@pytest.fixture(scope="module", autouse=True)
def loaded_torch():
    """Loading it takes seconds, which a process saves that collects these tests and leaves them to another one."""
    global torch
    import torch

    torch.set_num_threads(1)


def drive(sampler, denoise):
    """Run ``sampler`` to its end against ``denoise(x, sigma)`` and return the final latent."""
    denoised = None
    while True:
        try:
            noisy = sampler.send(denoised)
        except StopIteration as finished:
            return finished.value
        denoised = denoise(noisy.x, noisy.sigma)


def seeded(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def gaussian(x, sigma):
    """E[clean | x] when the clean values are normal with MEAN and STD."""
    return (x * STD**2 + MEAN * sigma**2) / (STD**2 + sigma**2)


def gaussian_ode(x, sigma, sigma_next):
    """Where the probability-flow ODE of ``gaussian`` takes ``x``."""
    return MEAN + (x - MEAN) * math.sqrt((STD**2 + sigma_next**2) / (STD**2 + sigma**2))


def unit_noise(seed, shape):
    generator = torch.Generator().manual_seed(seed)
    return lambda sigma, sigma_next: torch.randn(shape, generator=generator, dtype=torch.float64)


def run(row, x, sigmas, noise, denoise=gaussian, **options):
    calls = []

    def counted(x, sigma):
        calls.append(sigma)
        return denoise(x, sigma)

    return drive(row.start(x, sigmas, noise, **options), counted), calls


def deterministic(row):
    return {name: value for name, value in NOISELESS.items() if name in row.options}


# Laws.


@pytest.mark.parametrize(
    ("label", "order", "steps"),
    [
        ("Euler", 1, 64),
        ("DPM++ 2M", 2, 64),
        ("DPM++ 2M SDE", 2, 64),
        ("Heun", 2, 64),
        ("DPM2", 2, 64),
        ("DPM++ 2S a", 2, 64),
        ("DPM++ SDE", 2, 64),
        # Their first-order first step shows only when steps are many: before that they converge faster.
        ("LMS", 3, 16),
        ("DEIS", 2.5, 16),
        ("DPM++ 3M SDE", 3, 16),
        ("IPNDM_V", 2, 16),
    ],
)
def test_order_of_convergence(label, order, steps):
    row, x = SAMPLERS[label], seeded(64) * 10
    exact = gaussian_ode(x, 10.0, 0.5)
    errors = []
    for n in (steps, 2 * steps):
        sigmas = np.geomspace(10.0, 0.5, n + 1)
        result, _ = run(row, x, sigmas, unit_noise(0, (64,)), **deterministic(row))
        errors.append(float((result - exact).abs().max()))
    assert math.log2(errors[0] / errors[1]) > order - 0.2


@ALL
def test_any_number_of_steps_gives_the_picture(row):
    for n in (1, 2, 3, 10, 20, 36):
        x = row.initial(seeded(4, 8, 8), 14.6)
        result, calls = run(row, x, karras_sigmas(n, 0.03, 14.6), unit_noise(1, (4, 8, 8)))
        assert torch.isfinite(result).all()
        assert n < 20 or result.abs().max() < 5, "still noise"
        assert calls


@ALL
def test_network_evaluations_are_announced(row):
    if row.adaptive:
        pytest.skip("chooses its own number of steps")
    for n in (1, 2, 3, 20, 40):
        levels = timestep_sigmas(n, MODEL) if row.timestep_space else karras_sigmas(n, 0.03, 14.6)
        _, calls = run(row, seeded(2), levels, unit_noise(1, (2,)))
        assert len(calls) == row.calls(n)


@ALL
def test_a_batch_is_its_images(row):
    if row.adaptive:
        pytest.skip("its error is measured over the whole tensor: one image at a time")
    x, sigmas = row.initial(seeded(3, 4, 8, 8), 14.6), karras_sigmas(20, 0.03, 14.6)
    noises = [unit_noise(i, (4, 8, 8)) for i in range(3)]
    together, _ = run(row, x, sigmas, lambda *step: torch.stack([noise(*step) for noise in noises]))
    for i in range(3):
        alone, _ = run(row, x[i], sigmas, unit_noise(i, (4, 8, 8)))
        assert torch.equal(alone, together[i])


@ALL
def test_eta_zero_is_deterministic(row):
    if "eta" not in row.options:
        pytest.skip("no eta")
    x, sigmas = row.initial(seeded(4, 8, 8), 14.6), karras_sigmas(10, 0.03, 14.6)
    one, _ = run(row, x, sigmas, unit_noise(1, (4, 8, 8)), eta=0.0)
    other, _ = run(row, x, sigmas, unit_noise(2, (4, 8, 8)), eta=0.0)
    assert torch.equal(one, other)


@ALL
def test_sigmas_of_any_kind(row):
    x, sigmas = row.initial(seeded(4, 8, 8), 14.6), karras_sigmas(5, 0.03, 14.6)
    results = [
        run(row, x, kind, unit_noise(1, (4, 8, 8)))[0] for kind in (sigmas, sigmas.tolist(), torch.tensor(sigmas))
    ]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    single, _ = run(
        row, x.float(), torch.tensor(sigmas).float(), lambda *step: torch.zeros(4, 8, 8), **deterministic(row)
    )
    assert single.dtype == torch.float32


@ALL
def test_a_repeated_sigma_is_no_step(row):
    sigmas = karras_sigmas(6, 0.03, 14.6).tolist()
    x = row.initial(seeded(4, 8, 8), 14.6)
    plain, _ = run(row, x, sigmas, unit_noise(1, (4, 8, 8)))
    repeated, _ = run(row, x, [sigmas[0], sigmas[0], sigmas[1], *sigmas[1:]], unit_noise(1, (4, 8, 8)))
    assert torch.equal(plain, repeated)


def test_a_solver_of_a_range_needs_no_list():
    x, limits = seeded(4, 8, 8) * 14.6, {"sigma_min": 0.03, "sigma_max": 14.6}
    result, calls = run(SAMPLERS["DPM fast"], x, None, unit_noise(1, (4, 8, 8)), **limits, n=9)
    assert len(calls) == 9 and torch.isfinite(result).all()


@ALL
def test_a_constant_picture_is_reached_exactly(row):
    """When the network always says the same, every sampler that ends at sigma 0 must return it."""
    if row.model_range:
        pytest.skip("ends at sigma_min")
    if row.label == "UniPC":
        pytest.skip("ends at the network's lowest sigma")
    picture = seeded(4, 8, 8)
    tolerance = 1e-3 if row.label == "IPNDM_V" else 1e-9  # the peers' weights, kept, do not sum to 1
    x = row.initial(torch.ones(4, 8, 8, dtype=torch.float64), 14.6)
    result, _ = run(row, x, karras_sigmas(6, 0.03, 14.6), unit_noise(1, (4, 8, 8)), lambda x, sigma: picture)
    assert (result - picture).abs().max() < tolerance


def test_2m_sde_without_noise_is_2m():
    x, sigmas = seeded(4, 8, 8) * 14.6, karras_sigmas(12, 0.03, 14.6)
    sde, _ = run(SAMPLERS["DPM++ 2M SDE"], x, sigmas, None, eta=0.0)
    plain, _ = run(SAMPLERS["DPM++ 2M"], x, sigmas, None)
    assert (sde - plain).abs().max() < 1e-12


def test_ddpm_is_the_posterior():
    """Mean and variance of one step from q(x_next | x, clean), from the precision-weighted product of Gaussians."""
    sigma, sigma_next = 5.0, 2.0
    x, clean = torch.tensor([4.0], dtype=torch.float64), torch.tensor([0.5], dtype=torch.float64)
    precision = 1 / sigma_next**2 + 1 / (sigma**2 - sigma_next**2)
    mean = (clean / sigma_next**2 + x / (sigma**2 - sigma_next**2)) / precision
    for draw in (0.0, 1.0, -2.0):
        drawn = torch.full_like(x, draw)
        sampler = SAMPLERS["DDPM"].start(x, [sigma, sigma_next], lambda *step, drawn=drawn: drawn)
        result = drive(sampler, lambda x, sigma: clean)
        assert float(result) == pytest.approx(float(mean) + draw * precision**-0.5, rel=1e-12)


def test_ddpm_is_euler_a():
    x, sigmas = seeded(4, 8, 8) * 14.6, karras_sigmas(9, 0.03, 14.6)
    one, _ = run(SAMPLERS["DDPM"], x, sigmas, unit_noise(1, (4, 8, 8)))
    other, _ = run(SAMPLERS["Euler a"], x, sigmas, unit_noise(1, (4, 8, 8)))
    assert (one - other).abs().max() < 1e-12


def test_ddim_keeps_the_variance_of_a_gaussian():
    """DDIM with eta 1 samples: the spread of many samples is that of the data."""
    row, count = SAMPLERS["DDIM"], 50_000
    sigmas = karras_sigmas(300, 0.03, 14.6)
    result, _ = run(row, seeded(count), sigmas, unit_noise(5, (count,)), eta=1.0)
    assert float(result.mean()) == pytest.approx(MEAN, abs=0.03)
    assert float(result.std()) == pytest.approx(STD, abs=0.03)


@pytest.mark.parametrize("steps", [10, 20, 35, 36, 60])
def test_restart_draws_at_its_restarts_only(steps):
    """From any start: the last bit of the rebuilt list's first sigma is no restart, and shifts no later draw."""
    for high in np.linspace(0.5, 20, 60).tolist():
        draws = []

        def noise(sigma, sigma_next, draws=draws):
            draws.append((sigma, sigma_next))
            return torch.zeros(1, dtype=torch.float64)

        sigmas = [*np.geomspace(high, 0.03, steps), 0.0]
        run(SAMPLERS["Restart"], torch.ones(1, dtype=torch.float64), sigmas, noise)
        assert len(draws) == (0 if steps < 20 else 1 if steps < 36 else 2)
        assert all(sigma_next > 2 * sigma for sigma, sigma_next in draws)


def test_dpm2_a_adds_no_noise_after_a_step_to_zero():
    """As in k-diffusion: an eta above 1 can take the step before the noise down to 0."""
    clean = torch.full((2,), 0.5, dtype=torch.float64)
    result, calls = run(SAMPLERS["DPM2 a"], clean * 9, [5.0, 1.0], None, lambda x, sigma: clean, eta=1.5)
    assert torch.equal(result, clean) and calls == [5.0]


def test_cfgpp_without_guidance_is_ddim():
    x, sigmas = seeded(4, 8, 8), karras_sigmas(9, 0.03, 14.6)[:-1]
    one, _ = run(SAMPLERS["DDIM CFG++"], x, sigmas, unit_noise(1, (4, 8, 8)), lambda x, s: (gaussian(x, s),) * 2)
    other, _ = run(SAMPLERS["DDIM"], x, sigmas, unit_noise(1, (4, 8, 8)))
    assert (one - other).abs().max() < 1e-12


def test_deis_rhoab_is_linear_multistep():
    """The peers crash on this mode; in sigma it is LMS of the same order with a plain last step."""
    x, sigmas = seeded(4, 8, 8) * 14.6, karras_sigmas(9, 0.03, 14.6)[:-1]
    one, _ = run(SAMPLERS["DEIS"], x, sigmas, None, deis_mode="rhoab")
    other, _ = run(SAMPLERS["LMS"], x, sigmas, None, order=3)
    assert (one - other).abs().max() < 1e-12


def test_one_ddim_step_makes_a_picture():
    """The peers return the noise for 1 step; here it is one evaluation from the top level."""
    for label in ("DDIM", "DDIM CFG++", "PLMS", "UniPC"):
        row = SAMPLERS[label]
        sigmas = resolve_sigmas(row, "Automatic", 1, MODEL)
        result, calls = run(row, seeded(4, 8, 8), sigmas, unit_noise(1, (4, 8, 8)))
        assert len(calls) == row.calls(1)
        assert result.abs().max() < 3


def test_noised_is_on_the_scale_of_start():
    latent, noise = torch.ones(2), torch.full((2,), 2.0)
    assert torch.equal(SAMPLERS["Euler"].noised(latent, noise, 3.0), torch.full((2,), 7.0))
    assert torch.allclose(SAMPLERS["DDIM"].noised(latent, noise, 3.0), torch.full((2,), 7.0 / math.sqrt(10)))


@pytest.mark.parametrize(
    ("label", "sigmas", "options", "named"),
    [
        ("Euler", [1.0, 0.0], {"eta": 1.0}, "eta"),
        ("Euler", [1.0, 0.0], {"s_churn": "much"}, "s_churn"),
        ("Euler", [1.0, 0.0], {"s_churn": math.nan}, "s_churn"),
        ("Euler", [1.0, 2.0], {}, "sigmas"),
        ("Euler", [1.0, -1.0], {}, "sigmas"),
        ("Euler", [math.inf, 0.0], {}, "sigmas"),
        ("Euler", [], {}, "sigmas"),
        ("DPM++ 2M SDE", [1.0, 0.0], {"solver_type": "rk4"}, "solver_type"),
        ("DPM adaptive", [1.0, 0.1], {"order": 4}, "order"),
        ("LMS", [1.0, 0.1], {"order": 2.5}, "order"),
        ("DEIS", [1.0, 0.1], {"deis_mode": "x"}, "deis_mode"),
        ("UniPC", [1.0, 0.1], {"variant": "bh3"}, "variant"),
    ],
)
def test_wrong_options_are_named(label, sigmas, options, named):
    with pytest.raises(ValueError, match=f"^{named}:"):
        SAMPLERS[label].start(torch.zeros(2), sigmas, None, **options)


def test_adaptive_stops_on_nan():
    sampler = SAMPLERS["DPM adaptive"].start(torch.ones(2), [14.6, 0.03], unit_noise(1, (2,)))
    with pytest.raises(ArithmeticError, match="sigma"):
        drive(sampler, lambda x, sigma: x * math.nan)


def test_closing_a_sampler_ends_it():
    sampler = SAMPLERS["Heun"].start(torch.ones(2), [14.6, 1.0, 0.0], unit_noise(1, (2,)))
    assert isinstance(next(sampler), Noisy)
    sampler.close()
    with pytest.raises(StopIteration):
        next(sampler)


def test_house_rules_of_samplers():
    """No ``with`` around a yield, no in-place operator or method, no torch import at run time."""
    tree = ast.parse(inspect.getsource(samplers))
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        assert function.end_lineno - function.lineno < 40, function.name
        assert ast.get_docstring(function), function.name
        for node in ast.walk(function):
            assert not isinstance(node, ast.With | ast.AugAssign | ast.Global | ast.Nonlocal), function.name
            if isinstance(node, ast.Attribute):
                assert not node.attr.endswith("_"), (function.name, node.attr)
            if isinstance(node, ast.Assign):
                assert not any(isinstance(target, ast.Subscript) for target in node.targets), function.name
    imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert "torch" not in imported


def test_the_sampler_tables_load_without_torch():
    code = "import sys, backend.sampling.names; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_unipc_weights_reproduce_polynomials():
    """A corrector of order p is exact when the data prediction is a polynomial of degree p in log sigma."""
    levels, end = [4.0, 6.0, 9.0], 2.5
    h = math.log(levels[0] / end)
    for p in (1, 2):
        lambdas = [math.log(levels[0] / s) for s in levels]
        values = [lam**p for lam in lambdas[: p + 1]]
        # The exact step adds the integral of exp(lambda - h) * lambda^p over [0, h].
        grid = np.linspace(0, h, 200_001)
        exact = np.trapezoid(np.exp(grid - h) * grid**p, grid)
        _, corrector = coefficients.unipc_weights(levels[:p], end, "bh1")
        new = h**p
        got = -sum(w * (v - values[0]) for w, v in zip(corrector, [*values[1:p], new]))
        if p == 2:
            assert got == pytest.approx(exact, rel=1e-6)
        else:
            assert got == pytest.approx(exact, rel=0.2)


# The peers' recorded results.


@cache
def mixture(name):
    data = GOLDEN["formulas"][name]
    return [torch.tensor(data[key], dtype=torch.float64) for key in ("weights", "stds", "means")]


def mixture_denoiser(x, sigma, name="mixture_cond"):
    """E[clean | x] for a mixture of three Gaussians over the channel vector of every position."""
    weights, stds, means = (values.to(x.dtype) for values in mixture(name))
    v = (stds**2 + sigma**2)[:, None, None, None, None]
    centres = means[:, None, :, None, None]
    distance = ((x[None] - centres) ** 2).sum(2, keepdim=True)
    share = torch.softmax(weights.log()[:, None, None, None, None] - 2 * v.log() - distance / (2 * v), 0)
    return (share * ((stds**2)[:, None, None, None, None] * x[None] + sigma**2 * centres) / v).sum(0)


def recorded_noise(images):
    """The record's integer-hash noise; counts its draws."""
    count = math.prod(SHAPE)
    i = np.arange(count, dtype=object)
    stream = GOLDEN["noise_stream"]

    def noise(sigma, sigma_next):
        k = noise.draws
        noise.draws += 1
        m = 1103515245 * (i + 1) + 12345 * (k + 1) + 69069 * (i + 1) * (k + 1) * (i + k + 2)
        m = (m + 362437 * stream * (i + 3)) % 2**32
        values = math.sqrt(12) * ((m.astype(np.float64) + 0.5) / 2**32 - 0.5)
        return torch.tensor(values).reshape(SHAPE)[:images]

    noise.draws = 0
    return noise


def recorded_denoiser(case):
    scale = case.get("cfg_scale")
    if scale is None:
        return mixture_denoiser

    def guided(x, sigma):
        cond, uncond = mixture_denoiser(x, sigma), mixture_denoiser(x, sigma, "mixture_uncond")
        row = SAMPLERS[LABELS[case["sampler"]]]
        denoised = uncond + (cond - uncond) * (scale / row.cfg_divisor)
        return (denoised, uncond) if row.needs_uncond else denoised

    return guided


def recorded_options(case):
    options = {key.removeprefix("uni_pc_"): value for key, value in case.get("opts", {}).items()}
    return {**options, **case.get("args", {})}


def recorded_sigmas(case):
    if "timesteps" in case:
        alphas = scaled_linear_alphas()[case["timesteps"][::-1]]
        return np.sqrt((1 - alphas) / alphas)
    return GOLDEN["sigma_tables"][case["sigmas"]] if "sigmas" in case else []


def case_id(case):
    return f"{case['sampler']}-{case.get('sigmas', case.get('steps', ''))}-{recorded_options(case)}"


def replay(case, dtype):
    """(largest difference to the recorded latent, sigmas of the evaluations, number of noise draws)."""
    row, options, sigmas = SAMPLERS[LABELS[case["sampler"]]], recorded_options(case), recorded_sigmas(case)
    images = case.get("batch", SHAPE[0])
    noise = recorded_noise(images)
    z = torch.tensor(GOLDEN["z"], dtype=dtype).reshape(SHAPE)[:images]
    x = row.initial(z, options.get("sigma_max") or sigmas[0])
    result, calls = run(row, x, sigmas, lambda *step: noise(*step).to(dtype), recorded_denoiser(case), **options)
    assert result.dtype == dtype
    return np.abs(result.flatten().numpy() - case["final_x"]).max(), calls, noise.draws


RECORDED = [case for case in GOLDEN["cases"] if "error" not in case]


@pytest.mark.parametrize("case", RECORDED, ids=case_id)
def test_parity_with_the_peers(case):
    difference, calls, draws = replay(case, torch.float64)
    assert len(calls) == case["denoiser_calls"]
    assert draws == case["noise_draws"]
    if "denoiser_sigmas" in case:
        np.testing.assert_allclose(calls, case["denoiser_sigmas"], atol=1e-9)
    assert difference < 1e-9


@pytest.mark.parametrize("case", RECORDED, ids=case_id)
def test_parity_in_float32(case):
    if case["sampler"] == "dpm_adaptive" or case["sensitivity"] > 500:
        pytest.skip("amplifies rounding")
    assert replay(case, torch.float32)[0] < max(1e-4, 30 * case["float32_run"]["max_abs_diff"])


@ALL
def test_options_from_the_network_are_accepted(row):
    for img2img in (False, True):
        options = row.network_options(MODEL, img2img=img2img)
        x, sigmas = row.initial(seeded(4, 8, 8), 14.6), resolve_sigmas(row, "Automatic", 8, MODEL)
        result, calls = run(row, x, sigmas, unit_noise(1, (4, 8, 8)), **options)
        assert torch.isfinite(result).all()
        assert row.adaptive or max(calls) == pytest.approx(sigmas[0]) or row.label == "UniPC"


def test_one_step_of_an_sde_sampler_where_the_peer_crashes():
    case = next(c for c in GOLDEN["cases"] if c["sampler"] == "dpmpp_2m_sde" and "error" in c)
    z = torch.tensor(GOLDEN["z"], dtype=torch.float64).reshape(SHAPE)
    sigmas = recorded_sigmas(case)
    for label in ("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"):
        result, _ = run(SAMPLERS[label], z * sigmas[0], sigmas, recorded_noise(2), mixture_denoiser)
        assert np.abs(result.flatten().numpy() - case["forge_fixed_run"]["final_x"]).max() < 1e-9


def test_vary_coeff_takes_a_batch_where_the_peer_crashes():
    case = next(c for c in GOLDEN["cases"] if c["sampler"] == "unipc" and c.get("batch") == 1)
    z = torch.tensor(GOLDEN["z"], dtype=torch.float64).reshape(SHAPE)
    result, _ = run(SAMPLERS["UniPC"], z, recorded_sigmas(case), None, mixture_denoiser, variant="vary_coeff")
    assert np.abs(result[:1].flatten().numpy() - case["final_x"]).max() < 1e-9


@pytest.mark.parametrize("label", ["Euler", "DDIM"])
def test_the_first_noise_is_scaled_as_asked(label):
    """k-diffusion's start is sigma times the noise, generative-models' its root of 1 + sigma squared."""
    row, noise = SAMPLERS[label], seeded(4, 8, 8)
    plain, sgm = row.initial(noise, 2.0), row.initial(noise, 2.0, sgm=True)
    assert (plain == (noise if row.timestep_space else noise * 2)).all()
    assert (sgm == (noise if row.timestep_space else noise * 5**0.5)).all()
