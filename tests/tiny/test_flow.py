"""Flow networks with the samplers that all other networks have, against diffusers' FlowMatchEulerDiscreteScheduler."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from backend.request.request import Request
from backend.worker.device import place
from tests.tiny import toy_family
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.test_img2img_parity import STEPS

FLOW = Request(prompt="a cat", steps=STEPS, seed=5, variation_seed=1, width=64, height=48, sampler="Euler", schedule="Uniform",
               cfg_scale=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> toy_family.Toy:
    torch.set_num_threads(1)
    return toy_family.loaded(tmp_path_factory.mktemp("toy"), place("cpu", exact=True))


def theirs(model: toy_family.Toy, sigmas: list[float] | None = None) -> torch.Tensor:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(STEPS) if sigmas is None else scheduler.set_timesteps(sigmas=sigmas)
    x = torch.randn(3, 12, 16, generator=torch.Generator().manual_seed(FLOW.seed))[None] * scheduler.sigmas[0]
    text = model.encode_text(FLOW.prompt).tokens[None]
    for t in scheduler.timesteps:
        x = scheduler.step(model.denoiser(x, t[None], text), t, x, return_dict=False)[0]
    return x[0]


@torch.inference_mode()
def test_euler_is_diffusers_on_the_same_levels(model: toy_family.Toy) -> None:
    assert model.latent_shape(64, 48) == (3, 12, 16)
    sigmas = model.parametrisation.table.t_to_sigma(np.linspace(999, 0, STEPS))
    same = theirs(model, (sigmas / (1 + sigmas)).tolist())
    assert (latent_of(model, FLOW, None) - same).abs().max() < 1e-4


@torch.inference_mode()
def test_what_the_clamp_of_pure_noise_costs(model: toy_family.Toy) -> None:
    """diffusers' own first level is t = 1; here it is 2.2e-4 below. The latent's numbers reach 3."""
    assert (latent_of(model, FLOW, None) - theirs(model)).abs().max() < 2e-3


@torch.inference_mode()
@pytest.mark.parametrize("sampler", ["Heun", "DPM++ 2M", "DDIM", "UniPC"])
def test_other_samplers_come_to_the_same(model: toy_family.Toy, sampler: str) -> None:
    exact = latent_of(model, FLOW.replace(steps=500), None)
    assert (latent_of(model, FLOW.replace(sampler=sampler, steps=100), None) - exact).abs().max() < 0.05
