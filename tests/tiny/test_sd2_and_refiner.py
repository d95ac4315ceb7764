"""Stable Diffusion 2 and SDXL's refiner: files, texts, parametrisation, and pictures against diffusers' pipelines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline
from safetensors.torch import save_file

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.catalog.module_shapes import modules_of
from backend.messages import Done, Failed, Picture, Run
from backend.request.request import Request
from backend.sampling.parametrisation import Epsilon, Velocity
from backend.worker.adapters.embedding_file import EmbeddingFile
from backend.worker.device import place
from backend.worker.draw.init_image import Source
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.loader import load
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny import controlnets, ldm, test_controlnet, test_img2img_parity, test_sdxl_parity
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.networks import attention, lora, save, tensors
from tests.tiny.test_engine import BASE, Studio
from tests.tiny.test_img2img_parity import INIT, STEPS
from tests.tiny.test_init_image import picture
from tests.tiny.test_sdxl_parity import WORDS, clip_tokenizer

FLOAT32 = place("cpu", exact=True)
MADE = {"sd2": ldm.tiny_sd2, "refiner": ldm.tiny_refiner}
FAMILY = {"sd2": "sd2", "refiner": "sdxl-refiner"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "checkpoints"
    for name, make in MADE.items():
        ldm.save_single(make(), folder / f"{name}.safetensors")
        ldm.save_folder(make(), folder / f"{name}-folder")
    return folder.parent


@pytest.fixture(scope="module")
def loaded(models: Path) -> dict[str, Model]:
    return {name: load(found(models, name), FLOAT32) for name in MADE}


def found(models: Path, name: str) -> ModelFile:
    return ModelCatalog((models,)).find("checkpoint", name)


# ---- files ----

@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("layout", ["", "-folder"])
def test_both_layouts_give_the_networks_they_were_made_of(models: Path, name: str, layout: str) -> None:
    file, made = found(models, name + layout), MADE[name]()
    assert file.family == FAMILY[name] and not file.problem
    networks = load(file, FLOAT32).networks()
    for ours, theirs in zip(networks, [each for each in (made.unet, made.vae, made.text, made.text_2) if each], strict=True):
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("layout", ["", "-folder"])
def test_headers_tell_of_the_modules_that_are_loaded(models: Path, loaded: dict[str, Model], name: str, layout: str) -> None:
    told = modules_of(found(models, name + layout))
    there = {component: {path.replace(".", "_").removeprefix("text_model_") for path, module in network.named_modules()
                         if getattr(module, "weight", None) is not None}
             for component, network in loaded[name].adapted().items()}
    assert told.keys() == there.keys()
    for component, modules in told.items():
        linear = {module for module in modules if module.endswith(("_proj", "_fc1", "_fc2", "_to_q"))}
        assert linear and linear <= there[component]


@pytest.mark.parametrize(("beside", "predicts"), [
    ("", Velocity), ("model:\n  params:\n    parameterization: \"v\"\n", Velocity), ("model:\n  params:\n    x: 1\n", Epsilon),
    ({"prediction": "epsilon"}, Epsilon), ({"prediction": "v"}, Velocity),
])
def test_a_file_that_tells_nothing_is_tried(tmp_path: Path, beside: object, predicts: type) -> None:
    """AUTOMATIC1111's trial: the answer to a flat input of 0.5 lies below -0.5 in the mean."""
    tensors = ldm.layout(ldm.tiny_sd2())
    tensors["model.diffusion_model.out.2.weight"].zero_()
    tensors["model.diffusion_model.out.2.bias"].fill_(-0.6)
    file = tmp_path / "checkpoints" / "x.safetensors"
    file.parent.mkdir()
    save_file(tensors, file)
    if isinstance(beside, dict):
        file.with_suffix(".json").write_text(json.dumps(beside))
    elif beside:
        file.with_suffix(".yaml").write_text(str(beside))
    assert type(load(found(tmp_path, "x"), FLOAT32).parametrisation) is predicts


def test_a_network_of_noise_stays_one(loaded: dict[str, Model]) -> None:
    assert [type(model.parametrisation) for model in loaded.values()] == [Epsilon, Epsilon]


def test_an_inpainting_network_is_not_tried(tmp_path: Path) -> None:
    ldm.save_single(ldm.tiny_sd2(9), tmp_path / "checkpoints" / "x.safetensors")
    model = load(found(tmp_path, "x"), FLOAT32)
    assert model.checkpoint.family == "sd2-inpaint" and model.sees_masks and type(model.parametrisation) is Epsilon


# ---- words ----

@pytest.mark.parametrize("prompt", ["a red star, blue background", "", "cat " * 75])
@torch.inference_mode()
def test_texts_of_sd2_are_those_of_diffusers(loaded: dict[str, Model], prompt: str) -> None:
    pipeline = test_img2img_parity.pipeline_of(StableDiffusionPipeline, loaded["sd2"])
    pipeline.tokenizer = clip_tokenizer("!")
    theirs, _ = pipeline.encode_prompt(prompt, "cpu", 1, False)
    for skip in (1, 3):
        settings = loaded["sd2"].text_settings(Request(clip_skip=skip), "cond", (96, 64), [prompt])
        assert (loaded["sd2"].encode_text(prompt, settings).tokens - theirs[0]).abs().max() < 1e-5


def test_the_refiner_takes_the_second_vectors_of_sdxls_embeddings() -> None:
    sdxl = EmbeddingFile({"clip_l": torch.zeros(2, 32), "clip_g": torch.ones(2, 64)})
    assert sdxl.on((64,)).vectors[0].equal(torch.ones(2, 64)) and len(sdxl.on((32, 64)).vectors) == 2
    assert sdxl.on((32,)) is None and sdxl.on(()) is None


# ---- pictures ----

@torch.inference_mode()
def test_sd2_draws_what_diffusers_draws(loaded: dict[str, Model]) -> None:
    request = WORDS.replace(negative_prompt="blurry, green", width=64)
    model = loaded["sd2"]
    pipeline = test_img2img_parity.pipeline_of(StableDiffusionPipeline, model)
    theirs = pipeline(
        prompt_embeds=test_img2img_parity.encoded(model, request.prompt)[None],
        negative_prompt_embeds=test_img2img_parity.encoded(model, request.negative_prompt)[None],
        num_inference_steps=STEPS, guidance_scale=request.cfg_scale, output_type="latent", width=64, height=96,
        generator=torch.Generator().manual_seed(request.seed))
    assert (latent_of(model, request) - theirs.images[0]).abs().max() < 1e-4


@torch.inference_mode()
def test_a_controlnet_of_sd2_is_diffusers(loaded: dict[str, Model], tmp_path: Path) -> None:
    model = loaded["sd2"]
    network = controlnets.controlnet(model.denoiser)
    save(tmp_path / "controlnet" / "x.safetensors", controlnets.ldm(network))
    net = test_controlnet.opened(tmp_path, model)
    rows = [test_controlnet.row(model, seed, uses=(test_controlnet.use(net),)) for seed in (1, 2)]
    ours = torch.stack([answer.denoised for answer in denoise(rows)])
    assert (ours - test_controlnet.theirs(model, rows, [(network, 0.8, test_controlnet.hint())])).abs().max() < 1e-5


@pytest.mark.parametrize("negative", ["", "blurry, green"])
@torch.inference_mode()
def test_the_refiner_draws_what_diffusers_draws(loaded: dict[str, Model], negative: str) -> None:
    """With the two aesthetic scores, the second of which belongs to what is drawn against."""
    request = WORDS.replace(init_image=INIT, width=64, height=64, denoising_strength=0.5, negative_prompt=negative,
                            sdxl_refiner_high_aesthetic_score=7.5, sdxl_refiner_low_aesthetic_score=1.5)
    model, pixels = loaded["refiner"], np.array(picture(64, 64))
    pipeline = StableDiffusionXLImg2ImgPipeline(
        vae=model.vae, text_encoder=None, text_encoder_2=model.text_encoders[0], unet=model.denoiser, tokenizer=None,
        tokenizer_2=clip_tokenizer("!"),
        scheduler=test_img2img_parity.pipeline_of(StableDiffusionPipeline, loaded["sd2"]).scheduler,
        requires_aesthetics_score=True, force_zeros_for_empty_prompt=True, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    steps = int(0.5 * STEPS) + 1
    theirs = pipeline(
        **test_sdxl_parity.asked(request), image=model.encode(pixels[None]), strength=(steps + 0.5) / STEPS,
        original_size=(64, 64), target_size=(64, 64), negative_original_size=(64, 64), negative_target_size=(64, 64),
        aesthetic_score=7.5, negative_aesthetic_score=1.5)
    ours = latent_of(model, request, Source(pixels))
    assert (ours - theirs.images[0]).abs().max() < 1e-4
    other = latent_of(model, request.replace(sdxl_refiner_high_aesthetic_score=3.0), Source(pixels))
    assert (ours - other).abs().max() > 1e-3


@torch.inference_mode()
def test_the_refiner_ends_what_sdxl_began(tmp_path: Path) -> None:
    """A LoRA of SDXL acts in SDXL's steps; that it finds nothing on the refiner is told."""
    networks = ldm.tiny_sdxl()
    ldm.save_folder(networks, tmp_path / "checkpoints" / "base")
    ldm.save_folder(ldm.tiny_refiner(), tmp_path / "checkpoints" / "refiner")
    content = tensors(networks.unet, "lora_unet_", [path for path in attention(networks.unet) if "down_blocks_2" in path
                                                    or "down_blocks.2" in path], lora())
    save(tmp_path / "loras" / "x.safetensors", content)
    catalog = ModelCatalog((tmp_path,))
    checkpoints = {file.key: file for file in catalog.scan() if file.kind == "checkpoint"}
    files = {("checkpoint", name): file for name, file in checkpoints.items()} | {("lora", "x"): catalog.find("lora", "x")}
    request = BASE.replace(prompt="a cat <lora:x:1>", checkpoint="base", sampler="Euler", steps=4, width=64, height=64,
                           refiner_checkpoint="refiner", refiner_switch_at=0.5)

    def drawn(asked: Request) -> tuple[bytes, str]:
        studio = Studio((Memory(FLOAT32), checkpoints), "solo")
        studio.engine.add(Run("mine", "local", asked, (0,), files))
        studio.run()
        assert studio.of(Done), studio.of(Failed)
        return studio.pixels("mine"), " ".join(studio.of(Picture)[0].notes)

    with_lora, notes = drawn(request)
    assert f"x on base: {len(content) // 3} of {len(content) // 3} layers" in notes and "x on refiner: 0 of" in notes
    assert len({with_lora, drawn(request.replace(prompt="a cat"))[0], drawn(request.replace(refiner_checkpoint="None"))[0]}) == 3
