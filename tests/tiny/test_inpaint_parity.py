"""Inpainting against diffusers' own pipeline: ordinary networks and those that see the mask, on tiny random weights.

Two habits differ, and there the pipeline is told to follow AUTOMATIC1111, as Easel does. It leaves what is not masked to a
network that sees the mask: here it is held at the picture after each step, with the noise that it began with. And at
strength 1 it starts from noise alone: here from the picture with noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.draw.init_image import Source
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_img2img_parity import INIT, STEPS, encoded, pipeline_of
from tests.tiny.test_init_image import MASK, picture, png

HALF = Request(prompt="a red star", init_image=INIT, mask=MASK, mask_blur=0, steps=STEPS, seed=5, variation_seed=1, width=64,
               height=64, sampler="Euler", schedule="Uniform", cfg_scale=5)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[int, Model]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for channels in (4, 9):
        save_folder(tiny(in_channels=channels), folder / "checkpoints" / str(channels))
    found = ModelCatalog((folder,)).scan()
    memory = Memory(place("cpu", exact=True))
    return {int(one.key): memory.get(one) for one in found}


def marked() -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (24, 16, 64, 48))
    return mask


def diffusers_own(model: Model, source: Source, strength: float) -> torch.Tensor:
    pipeline = pipeline_of(StableDiffusionInpaintPipeline, model)
    latent = model.encode(source.pixels[None])
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(HALF.seed))
    cells = torch.from_numpy(source.latent_mask(8))

    pipeline.scheduler.set_timesteps(STEPS)
    first = noise + latent / pipeline.scheduler.init_noise_sigma

    def held(pipe: Any, step: int, timestep: Any, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        kept = latent + noise * pipe.scheduler.sigmas[pipe.scheduler.step_index]
        return {"latents": torch.lerp(kept, values["latents"], cells)}

    return pipeline(
        prompt_embeds=encoded(model, HALF.prompt)[None], negative_prompt_embeds=encoded(model, "")[None],
        image=latent, mask_image=marked(), masked_image_latents=model.encode(source.hidden[None]), height=64, width=64,
        strength=strength, num_inference_steps=STEPS, guidance_scale=HALF.cfg_scale, output_type="latent",
        generator=torch.Generator().manual_seed(HALF.seed),
        latents=first if strength == 1 else None,
        callback_on_step_end=held if model.sees_masks or strength == 1 else None,
    ).images[0]


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@torch.inference_mode()
def test_inpainting_equals_diffusers(models: dict[int, Model], channels: int, strength: float) -> None:
    model, request = models[channels], HALF.replace(denoising_strength=strength)
    assert model.sees_masks == (channels == 9)
    source = Source.prepare(request, {INIT: png(picture(64, 64)), MASK: png(marked())}, 8)
    ours = latent_of(model, request, source)
    steps = int(min(strength, 0.999) * STEPS) + 1
    theirs = diffusers_own(model, source, min((steps + 0.5) / STEPS, 1.0))
    assert (ours - theirs).abs().max() < 1e-4
    outside = torch.from_numpy(source.latent_mask(8)) == 0
    assert torch.allclose(ours[:, outside], model.encode(np.asarray(source.pixels)[None])[0][:, outside], atol=1e-6)
