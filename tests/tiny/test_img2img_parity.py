"""img2img against diffusers' own pipeline: the same network, noise and noise levels give the same latent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, EulerDiscreteScheduler, StableDiffusionImg2ImgPipeline

from backend.catalog.model_catalog import ModelCatalog
from backend.request.request import Request
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.draw.init_image import Source
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny.driven_by_hand import latent_of
from training.drawing import draw as drawn
from training.scenes import Scene, Thing

STEPS = 28  # 999 / 27 is whole, so that both libraries visit whole timesteps
INIT = "a" * 64


@pytest.fixture(scope="module")
def demo() -> Model:
    return Memory(place("cpu", exact=True)).get(ModelCatalog((HOME / "models",)).find("checkpoint", "demo"))


def encoded(model: Model, text: str) -> torch.Tensor:
    return model.encode_text(text).tokens


def pipeline_of(kind: type[DiffusionPipeline], model: Model, **more: torch.nn.Module) -> DiffusionPipeline:
    """A pipeline of diffusers around a model's own networks, on the noise levels of Euler and Uniform."""
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", steps_offset=1)
    pipeline = kind(
        vae=model.vae, text_encoder=model.text_encoders[0], tokenizer=None, unet=model.denoiser, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False, **more)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def diffusers_own(model: Model, request: Request, picture: np.ndarray, steps: int) -> torch.Tensor:
    return pipeline_of(StableDiffusionImg2ImgPipeline, model)(
        prompt_embeds=encoded(model, request.prompt)[None], negative_prompt_embeds=encoded(model, "")[None],
        image=model.encode(picture[None]), strength=(steps + 0.5) / STEPS, num_inference_steps=STEPS,
        guidance_scale=request.cfg_scale, output_type="latent", generator=torch.Generator().manual_seed(request.seed),
    ).images[0]


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.8])
@torch.inference_mode()
def test_img2img_equals_diffusers(demo: Model, strength: float) -> None:
    request = Request(prompt="a red star, blue background", init_image=INIT, denoising_strength=strength, steps=STEPS, seed=5,
                      variation_seed=1, width=128, height=128, sampler="Euler", schedule="Uniform", cfg_scale=5)
    picture = np.array(drawn(Scene("yellow", (Thing("green", "house"),)), 128, seed=3))
    ours = latent_of(demo, request, Source(picture))
    theirs = diffusers_own(demo, request, picture, int(strength * STEPS) + 1)
    assert (ours - theirs).abs().max() < 1e-4
