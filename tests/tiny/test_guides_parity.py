"""Whole pictures under guides against diffusers' own pipelines with the same networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionAdapterPipeline, StableDiffusionControlNetPipeline
from PIL import Image
from torch import Tensor

from backend.request.request import Request
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.t2i_adapter import Features, T2IAdapter
from backend.worker.draw.guide_hint import Annotate
from backend.worker.draw.work_items import LoadGuide, ShowHint
from backend.worker.models.model_base import Model
from tests.tiny import controlnets, t2i_adapters, test_img2img_parity
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.ldm import tiny
from tests.tiny.test_guides import FILES, PICTURE, drawn_square
from tests.tiny.test_networks_parity import opened
from tests.tiny.test_sdxl_parity import STEPS, clip_tokenizer

REQUEST: dict[str, Any] = {"prompt": "a red star", "negative_prompt": "blurry", "steps": STEPS, "seed": 5, "width": 96, "height": 64,
                           "sampler": "Euler", "schedule": "Uniform", "cfg_scale": 5}
UNIT = {"enabled": True, "model": "x", "image": PICTURE, "weight": 0.7}


def latent(model: Model, network: ControlNet | T2IAdapter, **unit: Any) -> Tensor:
    """What Easel would decode."""
    request = Request.parse(REQUEST | {"guides": [UNIT | unit]})
    return latent_of(model, request, more={
        LoadGuide: lambda work: network, Annotate: lambda work: work.made(FILES),
        ShowHint: lambda work: Features(work.network.features(work.hint))})


def theirs(pipeline: Any, **more: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    pipeline.tokenizer = clip_tokenizer("<|endoftext|>")
    return pipeline(prompt="a red star", negative_prompt="blurry", num_inference_steps=STEPS, guidance_scale=5.0, output_type="latent", width=96, height=64,
                    generator=torch.Generator().manual_seed(5), image=Image.fromarray(np.asarray(drawn_square())), **more).images[0]


@torch.inference_mode()
@pytest.mark.parametrize("start, end", [(0.0, 1.0), (0.0, 0.5)])
def test_a_controlnet_draws_what_diffusers_draws(tmp_path: Path, start: float, end: float) -> None:
    model, other = opened(tmp_path / "a", tiny()), opened(tmp_path / "b", tiny())
    network = controlnets.controlnet(model.denoiser)
    pipeline = test_img2img_parity.pipeline_of(StableDiffusionControlNetPipeline, other, controlnet=network)
    expected = theirs(pipeline, controlnet_conditioning_scale=0.7, control_guidance_start=start, control_guidance_end=end)
    # A share of the steps is of the first at which a unit acts; diffusers takes the last at which it does.
    ours = latent(model, ControlNet(network), start=start, end=end if end == 1 else end - 1 / STEPS)
    assert (ours - expected).abs().max() < 1e-4
    assert (ours - latent(model, ControlNet(network), weight=0)).abs().max() > 1e-2


@torch.inference_mode()
def test_a_t2i_adapter_draws_what_diffusers_draws(tmp_path: Path) -> None:
    model, other = opened(tmp_path / "a", tiny()), opened(tmp_path / "b", tiny())
    network = t2i_adapters.adapter("full_adapter", (32, 64))
    pipeline = test_img2img_parity.pipeline_of(StableDiffusionAdapterPipeline, other, adapter=network)
    assert (latent(model, T2IAdapter(network)) - theirs(pipeline, adapter_conditioning_scale=0.7)).abs().max() < 1e-4
