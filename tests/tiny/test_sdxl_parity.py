"""Stable Diffusion XL against diffusers' own pipelines, on tiny random weights: texts, and pictures of every kind."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from transformers import CLIPTokenizer

from backend.catalog.model_catalog import ModelCatalog
from backend.prompt.tokenizer import Tokenizer
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.draw.init_image import Source
from backend.worker.models.encoded_text import Encoded
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.sdxl import SIZES
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.ldm import save_folder, tiny_sdxl
from tests.tiny.test_img2img_parity import INIT, STEPS
from tests.tiny.test_init_image import MASK, picture, png

WORDS = Request(prompt="a red star, blue background", steps=STEPS, seed=5, variation_seed=1, width=64, height=96,
                sampler="Euler", schedule="Uniform", cfg_scale=5)
FROM = WORDS.replace(init_image=INIT, width=64, height=64)
INPAINT = FROM.replace(mask=MASK, mask_blur=0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "checkpoints"
    for name, channels in (("base", 4), ("inpaint", 9), ("v", 4)):
        save_folder(tiny_sdxl(channels), folder / name)
    (folder / "v" / "scheduler").mkdir()
    (folder / "v" / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "v_prediction"}))
    memory = Memory(place("cpu", exact=True))
    return {found.key: memory.get(found) for found in ModelCatalog((folder.parent,)).scan()}


def clip_tokenizer(pad: str) -> CLIPTokenizer:
    """CLIP's vocabulary as transformers' tokenizer, with the padding of one of the two encoders."""
    model = json.loads(Tokenizer.clip().bpe.to_str())["model"]
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    return CLIPTokenizer(vocab=model["vocab"], merges=merges, pad_token=pad, model_max_length=77)


def pipeline_of(kind: type[DiffusionPipeline], model: Model) -> Any:
    """A pipeline of diffusers around a model's own networks, on the noise levels of Euler and Uniform."""
    predicts = {"Epsilon": "epsilon", "Velocity": "v_prediction"}[type(model.parametrisation).__name__]
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace", steps_offset=1,
        prediction_type=predicts)
    pipeline = kind(
        vae=model.vae, text_encoder=model.text_encoders[0], text_encoder_2=model.text_encoders[1], unet=model.denoiser,
        tokenizer=clip_tokenizer("<|endoftext|>"), tokenizer_2=clip_tokenizer("!"), scheduler=scheduler,
        force_zeros_for_empty_prompt=True, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def asked(request: Request) -> dict[str, Any]:
    """What every pipeline is asked for, from the words on."""
    return {
        "prompt": request.prompt, "negative_prompt": request.negative_prompt or None, "num_inference_steps": STEPS,
        "guidance_scale": request.cfg_scale, "output_type": "latent",
        "generator": torch.Generator().manual_seed(request.seed),
    }


# ---- texts ----

def texts_of(model: Model, prompt: str) -> tuple[torch.Tensor, ...]:
    return pipeline_of(StableDiffusionXLPipeline, model).encode_prompt(
        prompt, num_images_per_prompt=1, do_classifier_free_guidance=True, negative_prompt="blurry")


def parts(encoded: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
    return encoded.tokens, encoded.pooled[:-SIZES]


@pytest.mark.parametrize("prompt", ["a red star, blue background", "", "cat " * 75])
@torch.inference_mode()
def test_texts_are_those_of_diffusers(models: dict[str, Model], prompt: str) -> None:
    model = models["base"]
    tokens, negative, pooled, negative_pooled = texts_of(model, prompt)
    for ours, theirs in (((prompt, "cond"), (tokens, pooled)), (("blurry", "uncond"), (negative, negative_pooled))):
        text, role = ours
        settings = model.text_settings(WORDS, role, (96, 64), [text])
        for mine, other in zip(parts(model.encode_text(text, settings)), theirs, strict=True):
            assert (mine - other[0]).abs().max() < 1e-5


# ---- pictures ----

@pytest.mark.parametrize("key", ["base", "v"])
@pytest.mark.parametrize("negative", ["", "blurry, green"])
@torch.inference_mode()
def test_txt2img_equals_diffusers(models: dict[str, Model], key: str, negative: str) -> None:
    request = WORDS.replace(negative_prompt=negative, sdxl_crop_top=16, sdxl_crop_left=8)
    pipeline = pipeline_of(StableDiffusionXLPipeline, models[key])
    theirs = pipeline(**asked(request), width=64, height=96, crops_coords_top_left=(16, 8),
                      negative_crops_coords_top_left=(16, 8), negative_original_size=(96, 64), negative_target_size=(96, 64))
    assert (latent_of(models[key], request, None) - theirs.images[0]).abs().max() < 1e-4


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.8])
@torch.inference_mode()
def test_img2img_equals_diffusers(models: dict[str, Model], strength: float) -> None:
    model, request = models["base"], FROM.replace(denoising_strength=strength)
    start = np.asarray(picture(64, 64))
    theirs = pipeline_of(StableDiffusionXLImg2ImgPipeline, model)(
        **asked(request), image=model.encode(start[None]), strength=(int(strength * STEPS) + 1.5) / STEPS,
        original_size=(64, 64), target_size=(64, 64))
    assert (latent_of(model, request, Source(start)) - theirs.images[0]).abs().max() < 1e-4


def marked() -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (24, 16, 64, 48))
    return mask


@pytest.mark.parametrize("key", ["base", "inpaint"])
@pytest.mark.parametrize("strength", [0.5, 0.9])
@torch.inference_mode()
def test_inpainting_equals_diffusers(models: dict[str, Model], key: str, strength: float) -> None:
    """Where a network sees the mask, diffusers leaves all to it; here it is told to keep what is not marked, as Easel does."""
    model, request = models[key], INPAINT.replace(denoising_strength=strength)
    assert model.sees_masks == (key == "inpaint")
    source = Source.prepare(request, {INIT: png(picture(64, 64)), MASK: png(marked())}, model.latent_scale)
    pipeline, latent = pipeline_of(StableDiffusionXLInpaintPipeline, model), model.encode(source.pixels[None])
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(request.seed))
    cells = torch.from_numpy(source.latent_mask(model.latent_scale))

    def held(pipe: Any, step: int, timestep: Any, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        kept = latent + noise * pipe.scheduler.sigmas[pipe.scheduler.step_index]
        return {"latents": torch.lerp(kept, values["latents"], cells)}

    theirs = pipeline(
        **asked(request), image=latent, mask_image=marked(), masked_image_latents=model.encode(source.hidden[None]),
        height=64, width=64, strength=(int(strength * STEPS) + 1.5) / STEPS,
        callback_on_step_end=held if model.sees_masks else None)
    assert (latent_of(model, request, source) - theirs.images[0]).abs().max() < 1e-4
