"""Hires fix on a tiny random network: sizes, steps and prompts of the second pass, and that it changes nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.catalog.model_file import ModelFile
from backend.messages import Done, Failed, Picture, Progress, Run
from backend.prompt.grammar import Wording
from backend.request.request import FIELDS, Request
from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import Epsilon
from backend.worker.draw.hires_target import LATENT_MODES, Target
from backend.worker.draw.plan import parametrisation, plan
from backend.worker.pixels.upscaling import BUILT_IN
from tests.tiny import upscalers
from tests.tiny.test_engine import BASE, Studio, house

__all__ = ["house"]
EXTRAS = json.loads((Path(__file__).parent.parent / "golden" / "extras.json").read_text("utf-8"))
TARGETS = [record for record in EXTRAS["hires_target"] if not record["use_old_hires_fix_width_height"]]
HIRES = BASE.replace(prompt="a cat", enable_hr=True, denoising_strength=0.5, sampler="Euler")
MODEL = NoiseTable.from_betas()


def drawn(house, *requests: Request, policy: str = "solo") -> Studio:
    studio = Studio(house, policy)
    for number, request in enumerate(requests):
        studio.add(str(number), request)
    studio.run()
    assert not studio.of(Failed) and len(studio.of(Done)) == len(requests), studio.of(Failed)
    return studio


@pytest.mark.parametrize("record", TARGETS, ids=lambda r: "{width}x{height} to {hr_resize_x}x{hr_resize_y}".format(**r))
def test_target_golden(record):
    fields = {name: record[name] for name in ("width", "height", "hr_scale", "hr_resize_x", "hr_resize_y")}
    target = Target.of(Request(enable_hr=True, **fields), 8)
    assert [target.width, target.height] == record["upscale_to"]
    assert [target.cut_x, target.cut_y] == record["truncate_latent"]
    top, bottom, left, right = record["latent_crop_y0_y1_x0_x1"]
    cells = torch.arange(target.height // 8)[:, None] * 1000 + torch.arange(target.width // 8)
    scaled = target.latent(cells[None].float(), "Latent (nearest)")[0]
    assert scaled.shape == (bottom - top, right - left)
    assert scaled[0, 0] == top * 1000 + left
    width, height = target.whole
    assert target.cut(np.zeros((height, width, 3), np.uint8)).shape == ((bottom - top) * 8, (right - left) * 8, 3)


def test_every_upscaler_of_the_table_is_one():
    assert set(FIELDS["hr_upscaler"].choices) == {*LATENT_MODES, *BUILT_IN} - {"None"}


@pytest.mark.parametrize("upscaler", FIELDS["hr_upscaler"].choices)
def test_every_upscaler_gives_the_larger_picture(house, upscaler):
    (picture,) = drawn(house, HIRES.replace(hr_upscaler=upscaler, hr_resize_x=96, hr_resize_y=128)).of(Picture)
    assert (picture.width, picture.height) == (96, 128)


@pytest.mark.parametrize("changes, calls", [({}, 6), ({"hr_second_pass_steps": 5}, 8), ({"denoising_strength": 0.0}, 3), ({"hr_sampler": "Heun"}, 8)])
def test_the_second_pass_makes_the_steps_asked_for(house, changes, calls):
    studio = drawn(house, HIRES.replace(**changes))
    assert [(e.step, e.steps) for e in studio.of(Progress)] == [(n, calls) for n in range(1, calls + 1)]


def test_the_second_pass_has_prompts_and_guidance_of_its_own():
    planned = plan(HIRES.replace(prompt="[a:b:1.5]", hr_prompt="", negative_prompt="n", hr_negative_prompt="m", steps=10, hr_cfg=3.0), MODEL)
    assert planned.first.parts[0].timeline == ((10, Wording("a")),)
    assert planned.second.parts[0].timeline == ((5, Wording("a")), (10, Wording("b")))
    assert (planned.first.negative.timeline[0][1].text, planned.second.negative.timeline[0][1].text) == ("n", "m")
    assert (planned.first.scale, planned.second.scale) == (5.0, 3.0)
    assert plan(HIRES.replace(hr_prompt="dog"), MODEL).second.parts[0].timeline[0][1].text == "dog"


@pytest.mark.parametrize("record", [r for r in EXTRAS["img2img_steps"] if r["steps_argument"]], ids=str)
def test_the_second_pass_always_makes_all_its_steps(record):
    request = HIRES.replace(steps=record["p_steps"], hr_second_pass_steps=record["steps_argument"], denoising_strength=record["denoising_strength"])
    second = plan(request, MODEL).second
    assert len(second.sigmas) - 1 == record["t_enc"] + 1
    whole = plan(request.replace(enable_hr=False, steps=record["steps"]), MODEL).first.sigmas
    assert second.noise_sigma == pytest.approx(whole[record["k_sigma_sched_start_index"]])


def test_without_it_its_settings_change_nothing(house):
    plain = HIRES.replace(enable_hr=False)
    first = drawn(house, plain).pixels("0")
    assert first == drawn(house, plain.replace(hr_scale=3.0, hr_prompt="x", denoising_strength=0.1)).pixels("0")


def test_packed_with_others_it_is_the_same_picture(house):
    others = [BASE.replace(prompt=f"filler {n}", seed=n, steps=9) for n in range(6)]
    apart = [drawn(house, HIRES, *others[:count], policy="packed").pixels("0") for count in (3, 6)]
    close = np.abs(np.frombuffer(apart[0], np.uint8).astype(int) - np.frombuffer(apart[1], np.uint8)).max()
    assert close <= 1, "only rounding may differ between row counts"


def test_a_model_file_enlarges_the_first_pass(house, tmp_path):
    path = upscalers.save(upscalers.nearest(), tmp_path / "4x-plain.pth")
    request = HIRES.replace(hr_upscaler="4x-plain", hr_resize_x=96, hr_resize_y=96)
    studio = Studio(house, "solo")
    files = {("checkpoint", ""): studio.checkpoints["first"], ("upscaler", "4x-plain"): ModelFile("upscaler", "4x-plain", str(path))}
    studio.engine.add(Run("mine", "local", request, (0,), files))
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    (picture,) = studio.of(Picture)
    assert (picture.width, picture.height) == (96, 96)
    assert [(e.step, e.steps) for e in studio.of(Progress)][-1] == (7, 7), "a tile is a step too"


def test_a_model_file_that_cannot_be_read_fails_its_job_with_a_sentence(house, tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"no model")
    studio = Studio(house, "solo")
    files = {("checkpoint", ""): studio.checkpoints["first"], ("upscaler", "bad"): ModelFile("upscaler", "bad", str(tmp_path / "bad.pth"))}
    studio.engine.add(Run("mine", "local", HIRES.replace(hr_upscaler="bad"), (0,), files))
    assert "bad cannot be loaded" in studio.run().of(Failed)[0].problems[0].message


def test_unipc_and_half_precision_reach_the_sampler():
    request = Request(sampler="UniPC", uni_pc_variant="bh2", uni_pc_order=2, uni_pc_lower_order_final=False, steps=5)
    assert plan(request, MODEL).first.options.items() >= {"variant": "bh2", "order": 2, "lower_order_final": False, "skip_type": "time_uniform"}.items()
    assert "variant" not in plan(request.replace(sampler="Euler"), MODEL).first.options
    assert parametrisation(request, Epsilon(MODEL)).table is MODEL
    half = parametrisation(request.replace(downcast_alphas_cumprod=True), Epsilon(MODEL)).table
    assert half.sigma_min != MODEL.sigma_min
