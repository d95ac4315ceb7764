"""Noise schedules, the sigma tables behind them, and the names of both."""

import json
import math
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.sampling.img2img_steps import img2img_start, img2img_steps
from backend.sampling.names import sampler_named, schedule_named
from backend.sampling.noise_table import (
    NoiseTable,
    lcm_boundary,
    lcm_discretisation,
    lcm_timestep,
    scaled_linear_alphas,
    scaled_linear_betas,
    zero_terminal_snr,
)
from backend.sampling.samplers import SAMPLERS
from backend.sampling.schedules import (
    SCHEDULES,
    ScheduleSettings,
    ddim_timesteps,
    karras_sigmas,
    resolve_sigmas,
)

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/schedules.json").read_text())
EXTRAS = json.loads((ROOT / "tests/golden/extras.json").read_text())
MODEL = NoiseTable.from_betas()
EXACT = NoiseTable.from_betas(rounded=False)
ALL = pytest.mark.parametrize("row", SCHEDULES.values(), ids=list(SCHEDULES))
OPTION_NAMES = {
    "rho": "rho",
    "sigma_min": "sigma_min",
    "sigma_max": "sigma_max",
    "use_old_karras_scheduler_sigmas": "old_karras_range",
    "always_discard_next_to_last_sigma": "discard_next_to_last",
    "beta_dist_alpha": "beta_alpha",
    "beta_dist_beta": "beta_beta",
}


# Laws.


@ALL
def test_sigmas_descend(row):
    for n in (1, 2, 3, 7, 20, 50, 150):
        sigmas = row(n, MODEL)
        assert np.all(np.isfinite(sigmas)) and np.all(np.diff(sigmas) < 0), n
        assert (sigmas[-1] == 0) != (row.label == "KL Optimal"), n
        assert row.label == "DDIM" or len(sigmas) == n + 1


@given(st.floats(0.001, 1), st.floats(2, 200), st.integers(2, 60))
def test_own_limits_are_kept(sigma_min, sigma_max, n):
    for label in ("Karras", "Exponential", "Polyexponential", "KL Optimal", "Beta"):
        sigmas = SCHEDULES[label](n, MODEL, sigma_min=sigma_min, sigma_max=sigma_max)
        assert sigmas[0] == pytest.approx(sigma_max, rel=1e-9)
        assert sigmas[sigmas > 0][-1] == pytest.approx(sigma_min, rel=1e-6)


@given(st.floats(0, 999))
def test_timesteps_and_sigmas_are_inverse(t):
    assert MODEL.sigma_to_t(float(MODEL.t_to_sigma(t))) == pytest.approx(t, abs=1e-6)


def test_other_beta_tables_work():
    linear = NoiseTable.from_betas(np.linspace(1e-4, 0.02, 400))
    zero_snr = NoiseTable.from_alphas_cumprod(zero_terminal_snr(scaled_linear_alphas()), rounded=False)
    assert zero_snr.sigma_max == pytest.approx(4518.7, rel=1e-3)
    for model in (linear, zero_snr):
        for row in SCHEDULES.values():
            assert np.all(np.diff(row(12, model)) < 0), row.label
        assert model.sigma_to_t(model.sigma_max * 2) == len(model) - 1
        assert model.sigma_to_t(model.sigma_min / 2, quantize=True) == 0
    np.testing.assert_allclose(MODEL.alphas_cumprod, scaled_linear_alphas(), rtol=1e-5)
    assert scaled_linear_betas()[[0, -1]] == pytest.approx([0.00085, 0.012])


@pytest.mark.parametrize("sigmas", [[], [0.0, 1.0], [2.0, 1.0], [1.0, math.inf]])
def test_broken_tables_are_refused(sigmas):
    with pytest.raises(ValueError, match="sigmas:"):
        NoiseTable(np.array(sigmas))


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((0, {}), "steps"), ((5, {"sigma_min": 20.0}), "sigma_min"), ((5, {"sigma_max": -1.0}), "sigma_min")],
)
def test_wrong_settings_are_named(arguments, named):
    n, settings = arguments
    with pytest.raises(ValueError, match=f"^{named}"):
        SCHEDULES["Karras"](n, MODEL, **settings)


def test_unknown_schedule_is_named():
    with pytest.raises(ValueError, match="^scheduler:"):
        resolve_sigmas(SAMPLERS["Euler"], "Nonsense", 5, MODEL)


def test_every_default_schedule_exists():
    for row in SAMPLERS.values():
        assert row.schedule in SCHEDULES


@pytest.mark.parametrize("row", SAMPLERS.values(), ids=list(SAMPLERS))
def test_img2img_always_runs_something(row):
    for steps, strength in product((1, 2, 20), (0.0, 0.05, 0.5, 1.0)):
        cut = img2img_steps(steps, strength)
        sigma, sigmas = img2img_start(row, resolve_sigmas(row, "Automatic", cut.steps, MODEL), cut)
        assert len(sigmas) >= 2 and sigma >= sigmas[0]
        if not row.timestep_space:
            assert len(sigmas) == cut.t_enc + 2


def test_importing_the_tables_is_cheap():
    """The front process builds its menus from them at start: the modules themselves cost some milliseconds."""
    command = [sys.executable, "-X", "importtime", "-c", "import backend.sampling.names"]
    log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    own = [int(line.split(":")[1].split("|")[0]) for line in log.splitlines() if " backend.sampling" in line]
    assert own and sum(own) < 100_000  # microseconds


# The peers' recorded results.


def record_id(record):
    return f"{record['scheduler']}-{record['n']}-{record.get('sampler_options', '')}{record.get('opts', '')}"


def recorded_row(record):
    options = record.get("sampler_options", {})
    label = {"karras": "Karras", "exponential": "Exponential", None: "Uniform"}[options.get("scheduler")]
    discard = options.get("discard_next_to_last_sigma", False)
    rows = SAMPLERS.values()
    plain = [r for r in rows if not r.timestep_space and r.schedule == label]
    return next(r for r in [*plain, *rows] if r.discard_next_to_last_sigma == discard)


@pytest.mark.parametrize("scheduler", dict.fromkeys(record["scheduler"] for record in GOLDEN["schedules"]))
def test_parity_with_the_peers(scheduler):
    for record in GOLDEN["schedules"]:
        if record["scheduler"] == scheduler:
            compare(record)


def compare(record):
    settings = {OPTION_NAMES[key]: value for key, value in record.get("opts", {}).items()}
    quantize, sdxl = record.get("enable_quantization", False), record.get("is_sdxl", False)
    settings = ScheduleSettings(**settings, is_sdxl=sdxl, quantize=quantize)
    row = recorded_row(record)
    got = resolve_sigmas(row, record["scheduler"], record["n"], MODEL, settings)
    np.testing.assert_allclose(got, record["sigmas"], rtol=3e-6, err_msg=record_id(record))
    if "sigmas_float64" in record:
        exact = resolve_sigmas(row, record["scheduler"], record["n"], EXACT, settings)
        loose = record["scheduler"] in ("Uniform", "Automatic")
        np.testing.assert_allclose(exact, record["sigmas_float64"], rtol=1e-6 if loose else 1e-9, err_msg=record_id(record))
    if record.get("same_with_quantization"):
        quantized = ScheduleSettings(is_sdxl=sdxl, quantize=True)
        np.testing.assert_allclose(
            resolve_sigmas(row, record["scheduler"], record["n"], MODEL, quantized), record["sigmas"], rtol=3e-6, err_msg=record_id(record)
        )


def test_parity_of_forge_extras():
    for record in GOLDEN["forge_extra"]["schedules"]:
        got = SCHEDULES[record["scheduler"]](record["n"], EXACT, is_sdxl=record.get("is_sdxl", False))
        np.testing.assert_allclose(got, record["sigmas"], rtol=3e-6, err_msg=record_id(record))


def test_the_model_table():
    assert MODEL.sigma_min == pytest.approx(GOLDEN["model"]["sigma_min"], rel=3e-6)
    assert MODEL.sigma_max == pytest.approx(GOLDEN["model"]["sigma_max"], rel=3e-6)
    assert EXACT.sigma_min == pytest.approx(GOLDEN["model"]["sigma_min_float64"], rel=1e-12)
    assert EXACT.sigma_max == pytest.approx(GOLDEN["model"]["sigma_max_float64"], rel=1e-12)


def test_lcm_levels():
    lcm, record = lcm_discretisation(MODEL), GOLDEN["lcm"]
    np.testing.assert_allclose(lcm.sigmas, record["all_sigmas"], rtol=3e-6)
    for entry in record["get_sigmas"]:
        sigmas = SCHEDULES["Automatic"](entry["n"], lcm)
        np.testing.assert_allclose(sigmas, entry["sigmas"], rtol=3e-6)
        assert [lcm_timestep(lcm, sigma) for sigma in sigmas[:-1]] == entry["timesteps"]
        np.testing.assert_allclose(resolve_sigmas(SAMPLERS["LCM"], "Automatic", entry["n"], MODEL), sigmas)
    for entry in record["sigma_to_t_and_boundary_scaling"]:
        timestep = lcm_timestep(lcm, entry["sigma"])
        c_skip, c_out = lcm_boundary(timestep)
        assert timestep == entry["timestep"]
        assert 2 * c_out + 3 * c_skip == pytest.approx(entry["scaled_out_for_output2_input3"], rel=1e-6)


def test_ddim_timesteps():
    for record in EXTRAS["ddim_timesteps"]:
        assert ddim_timesteps(record["steps"]) == record["timesteps"]


def test_img2img_steps():
    for record in EXTRAS["img2img_steps"]:
        fixed = record["img2img_fix_steps"] or record["steps_argument"] is not None
        got = img2img_steps(record["steps_argument"] or record["p_steps"], record["denoising_strength"], fixed=fixed)
        assert got == (record["steps"], record["t_enc"], record["k_sigma_sched_start_index"])


def test_sampler_table():
    """The first rows are AUTOMATIC1111's, with its options; the order of the menu is its order but for LCM's place."""
    for record in EXTRAS["sampler_table"]:
        row, options = SAMPLERS[record["label"]], record["options"]
        assert list(row.aliases) == record["aliases"]
        assert row.schedule == schedule_named(options.get("scheduler", "uniform")).label
        assert row.second_order == options.get("second_order", False)
        assert row.brownian == options.get("brownian_noise", False)
        assert row.uses_ensd == options.get("uses_ensd", False)
        assert row.discard_next_to_last_sigma == options.get("discard_next_to_last_sigma", False)
        elsewhere = {"eta", "variant", "skip_type", "order", "lower_order_final"}   # options of A1111, not of its table
        assert [name for name in row.ui_options if name not in elsewhere] == record["extra_params"]
        assert record["total_steps_for_20"] == 20 * (1 + row.second_order)
        if "solver_type" in options:
            assert row.options["solver_type"] == options["solver_type"]
    labels = [record["label"] for record in EXTRAS["sampler_table"]]
    assert list(SAMPLERS)[: len(labels)] == labels


def test_scheduler_table():
    for record in EXTRAS["scheduler_table"]:
        row = SCHEDULES[record["label"]]
        assert (row.name, list(row.aliases)) == (record["name"], record["aliases"] or [])
        assert row.default_rho == (None if record["default_rho"] == -1 else record["default_rho"])


# Names.


def test_lenient_names():
    assert sampler_named("k_euler_ancestral").label == "Euler a"
    assert sampler_named(" dpm++ 2m ").label == "DPM++ 2M"
    assert schedule_named("SGMUniform").label == "SGM Uniform"
    with pytest.raises(ValueError, match="^sampler_name:"):
        sampler_named("Nonsense")
    with pytest.raises(ValueError, match="^scheduler:"):
        schedule_named("Nonsense")


def test_karras_of_a_single_step():
    assert karras_sigmas(1, 0.03, 14.6).tolist() == [pytest.approx(14.6), 0.0]
