"""Networks that edit a picture by words: InstructPix2Pix against diffusers' own pipeline, on tiny random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Done, Failed, Picture, Run
from backend.request.request import Request
from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import Epsilon
from backend.sampling.protocol import Noisy
from backend.worker.device import place
from backend.worker.draw.init_image import Source
from backend.worker.guidance.cfg_denoiser import Conditioning, Said, Strength
from backend.worker.guidance.pix2pix import Pix2PixDenoiser
from backend.worker.guidance.row import Answer
from backend.worker.models.encoded_text import Encoded
from backend.worker.models.memory import Memory
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.ldm import save_single, tiny
from tests.tiny.test_engine import BASE, Studio
from tests.tiny.test_img2img_parity import INIT, STEPS, encoded, pipeline_of
from tests.tiny.test_init_image import MASK, picture, png

EDIT = Request(prompt="make it snow", negative_prompt="rain", init_image=INIT, steps=STEPS, seed=5, variation_seed=1, width=64, height=64,
               sampler="Euler", schedule="Uniform", cfg_scale=7.5, image_cfg_scale=1.5, denoising_strength=1.0)
X = Noisy(torch.zeros(4, 2, 2), 1.0, 0)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """(memory, checkpoints) with one edit network, from a single file."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_single(tiny(in_channels=8), folder / "checkpoints" / "first.safetensors")
    checkpoints = {c.key: c for c in ModelCatalog((folder,)).scan()}
    assert checkpoints["first"].family == "sd1-edit" and not checkpoints["first"].problem
    return Memory(place("cpu", exact=True)), checkpoints


def drawn(house, request: Request, policy: str = "solo") -> list[np.ndarray]:
    studio = Studio(house, policy)
    files = {INIT: png(picture(64, 64)), MASK: png(Image.new("L", (64, 64), 255))}
    studio.engine.add(Run("mine", "local", request, tuple(range(request.count)), {("checkpoint", request.checkpoint): house[1]["first"]}, files))
    studio.run()
    assert not studio.of(Failed) and studio.of(Done), studio.of(Failed)
    return [np.frombuffer(p.pixels, np.uint8).reshape(p.height, p.width, 3) for p in studio.of(Picture)]


@pytest.mark.parametrize("words, picture_scale", [(7.5, 1.5), (3.0, 1.0), (4.0, 4.0)])
@torch.inference_mode()
def test_editing_equals_diffusers(house, words, picture_scale):
    model = house[0].get(house[1]["first"])
    request = EDIT.replace(cfg_scale=words, image_cfg_scale=picture_scale)
    ours = latent_of(model, request, Source(np.asarray(picture(64, 64))))
    theirs = pipeline_of(StableDiffusionInstructPix2PixPipeline, model)(
        prompt_embeds=encoded(model, EDIT.prompt)[None], negative_prompt_embeds=encoded(model, EDIT.negative_prompt)[None],
        image=picture(64, 64), num_inference_steps=STEPS, guidance_scale=words, image_guidance_scale=picture_scale,
        output_type="latent", generator=torch.Generator().manual_seed(EDIT.seed),
    ).images[0]
    assert (ours - theirs).abs().max() < 1e-4


def conditioning(value: float, weight: float = 1.0) -> Conditioning:
    return Conditioning(((20, Said(Encoded(torch.full((2, 3), value)))),), weight)


def guide(*parts: Conditioning, words: float = 7.5, scale: float = 1.5, **more) -> Pix2PixDenoiser:
    network = Epsilon(NoiseTable.from_betas())
    return Pix2PixDenoiser(None, network, parts or [conditioning(1)], conditioning(0), Strength(scale=words, **more),
                           picture=torch.ones(4, 2, 2), picture_scale=scale)


@pytest.mark.parametrize("words, scale, rows", [(7.5, 1.5, 3), (7.5, 1.0, 2), (1.5, 1.5, 2), (1.0, 1.0, 1), (1.0, 1.5, 3), (0.0, 0.0, 2)])
def test_rows_on_which_nothing_depends_are_left_out(words, scale, rows):
    assert len(guide(words=words, scale=scale).rows(X)) == rows
    assert len(guide(words=words, scale=scale, keep_uncond=True).rows(X)) == 3


@pytest.mark.parametrize("words, scale", [(7.5, 1.5), (7.5, 1.0), (1.5, 1.5), (1.0, 1.0), (2.0, 0.0)])
@pytest.mark.parametrize("keep", [False, True])
def test_combination_is_equation_3_with_and_parts(words, scale, keep):
    cfg = guide(conditioning(1, 0.5), conditioning(2, 0.5), words=words, scale=scale, keep_uncond=keep)
    kinds = {(1.0, 1.0): 3.0, (2.0, 1.0): 5.0, (0.0, 1.0): -2.0, (0.0, 0.0): 11.0}       # (words, picture) -> answer
    rows = cfg.rows(X)
    answers = [Answer(torch.full((4, 2, 2), kinds[row.encoded.tokens[0, 0].item(), row.channels.mean().item()])) for row in rows]
    denoised, uncond = cfg.combine(X, rows, answers)
    expected = 11 + scale * (-2 - 11) + words * (0.5 * (3 + 2) + 0.5 * (5 + 2))
    assert torch.allclose(denoised, torch.tensor(expected)), (denoised, expected)
    assert not keep or uncond.mean() == 11


def test_the_picture_and_its_scale_matter_and_repeat(house):
    plain = drawn(house, EDIT.replace(steps=3))[0]
    assert np.array_equal(drawn(house, EDIT.replace(steps=3))[0], plain)
    assert not np.array_equal(drawn(house, EDIT.replace(steps=3, image_cfg_scale=3.0))[0], plain)
    weaker = drawn(house, EDIT.replace(steps=4, denoising_strength=0.3))[0]
    assert not np.array_equal(weaker, plain)


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_it_draws_from_nothing_and_under_a_mask(house, policy):
    nothing = BASE.replace(steps=2)
    assert drawn(house, nothing, policy)[0].shape == (64, 64, 3)
    assert len(drawn(house, EDIT.replace(steps=2, mask=MASK, batch_size=2, soft_inpainting=True, sampler="DPM++ 2M"), policy)) == 2
