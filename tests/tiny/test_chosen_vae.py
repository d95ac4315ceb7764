"""A VAE from a file of its own: the picture is diffusers' with that VAE, and without it all is as it was."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from safetensors.torch import save_file
from torch import nn

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Failed, Hashed, Picture, Preview, Run
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.models.memory import Memory
from backend.worker.models.vae import decode_image
from tests.tiny import ldm, toy_family
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.test_engine import Studio
from tests.tiny.test_img2img_parity import INIT, STEPS, pipeline_of
from tests.tiny.test_init_image import picture, png

PLAIN = Request(prompt="a red star", steps=STEPS, seed=5, variation_seed=1, width=64, height=64, sampler="Euler", schedule="Uniform",
                cfg_scale=5, checkpoint="first")
FORMS = ("inside", "bare", "single", "folder")


@pytest.fixture(scope="module")
def other() -> nn.Module:
    return ldm.tiny(seed=7).vae


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory, other: nn.Module) -> ModelCatalog:
    """A checkpoint, and one VAE in the ways in which people have it."""
    torch.set_num_threads(1)
    models = tmp_path_factory.mktemp("models")
    ldm.save_folder(ldm.tiny(), models / "checkpoints" / "first")
    folder = models / "VAE"
    folder.mkdir()
    names = {k: ldm.vae_name(k, 4) for k in other.state_dict()}
    tensors = {names[k]: ldm.as_convolution(k, v).contiguous() for k, v in other.state_dict().items()}
    save_file({f"first_stage_model.{name}": tensor for name, tensor in tensors.items()}, folder / "inside.safetensors")
    torch.save({"state_dict": {**tensors, "loss.logvar": torch.zeros(1)}}, folder / "bare.vae.pt")
    save_file({k: v.contiguous() for k, v in other.state_dict().items()}, folder / "single.safetensors")
    other.save_pretrained(folder / "folder")
    return ModelCatalog((models,))


@pytest.fixture
def memory() -> Memory:
    return Memory(place("cpu", exact=True))


def run(job: str, catalog: ModelCatalog, request: Request) -> Run:
    files = {("checkpoint", "first"): catalog.find("checkpoint", "first")}
    if request.vae not in ("Automatic", "None"):
        files["vae", request.vae] = catalog.find("vae", request.vae)
    return Run(job, "local", request, tuple(range(request.count)), files, {INIT: png(picture(64, 64))})


def drawn(memory: Memory, catalog: ModelCatalog, *requests: Request, policy: str = "solo") -> Studio:
    studio = Studio((memory, {}), policy)
    for number, request in enumerate(requests):
        studio.engine.add(run(str(number), catalog, request))
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    return studio


def numbers(pixels: bytes) -> np.ndarray:
    return np.frombuffer(pixels, np.uint8).reshape(64, 64, 3) / 255


@pytest.mark.parametrize("form", FORMS)
@torch.inference_mode()
def test_the_picture_is_that_of_diffusers_with_this_vae(catalog: ModelCatalog, memory: Memory, other: nn.Module, form: str) -> None:
    key = catalog.find("vae", "bare.vae.pt").key if form == "bare" else form
    ours = numbers(drawn(memory, catalog, PLAIN.replace(vae=key)).pixels("0"))
    model = memory.get(catalog.find("checkpoint", "first"))
    pipeline = pipeline_of(StableDiffusionPipeline, model)
    pipeline.vae = other
    words = [model.encode_text(text).tokens[None] for text in (PLAIN.prompt, "")]
    theirs = pipeline(prompt_embeds=words[0], negative_prompt_embeds=words[1], num_inference_steps=STEPS, guidance_scale=5, width=64,
                      height=64, output_type="np", generator=torch.Generator().manual_seed(5)).images[0]
    assert np.abs(ours - theirs).max() <= 0.5 / 255 + 1e-4
    (chosen,) = [held.network for held in memory._held.values() if held.network is not model]
    exact = decode_image(chosen.vae, latent_of(model, PLAIN, None)[None])[0].movedim(0, -1).numpy() / 2 + 0.5
    assert np.abs(exact.clip(0, 1) - theirs).max() < 1e-4


@torch.inference_mode()
def test_the_picture_that_it_starts_from_is_encoded_by_it_too(catalog: ModelCatalog, memory: Memory, other: nn.Module) -> None:
    request = PLAIN.replace(vae="single", init_image=INIT, denoising_strength=0.5)
    ours = numbers(drawn(memory, catalog, request).pixels("0"))
    model = memory.get(catalog.find("checkpoint", "first"))
    pipeline = pipeline_of(StableDiffusionImg2ImgPipeline, model)
    pipeline.vae = other
    image = torch.from_numpy(np.array(picture(64, 64))).permute(2, 0, 1)[None].float() / 127.5 - 1
    words = [model.encode_text(text).tokens[None] for text in (PLAIN.prompt, "")]
    theirs = pipeline(prompt_embeds=words[0], negative_prompt_embeds=words[1], image=other.encode(image).latent_dist.mean * 0.18215,
                      strength=(int(0.5 * STEPS) + 1.5) / STEPS, num_inference_steps=STEPS, guidance_scale=5, output_type="np",
                      generator=torch.Generator().manual_seed(5)).images[0]
    assert np.abs(ours - theirs).max() <= 0.5 / 255 + 1e-4


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_going_back_gives_the_first_picture_to_the_byte(catalog: ModelCatalog, memory: Memory, policy: str) -> None:
    start = {"init_image": INIT, "denoising_strength": 0.3, "steps": 4, "preview_every": 1, "preview_method": "Full"}
    plain, chosen = PLAIN.replace(**start), PLAIN.replace(**start, vae="single")
    first, with_it, again = (drawn(memory, catalog, each, policy=policy) for each in (plain, chosen, plain))
    assert first.pixels("0") == again.pixels("0") != with_it.pixels("0")
    assert first.of(Preview) and first.of(Preview)[0].jpeg != with_it.of(Preview)[0].jpeg
    together = drawn(memory, catalog, plain, chosen, plain.replace(vae="None"), policy=policy)
    for number, alone in enumerate((first, with_it, first)):
        levels = round(255 * np.abs(numbers(together.pixels(str(number))) - numbers(alone.pixels("0"))).max())
        assert levels <= 1 and (policy == "packed" or not levels)


def test_it_is_counted_kept_while_it_is_used_and_told(catalog: ModelCatalog, memory: Memory) -> None:
    model = memory.get(catalog.find("checkpoint", "first"))
    alone = memory.bytes
    memory.budget_bytes = alone // 2           # nothing idle may stay: what is used is pinned
    studio = drawn(memory, catalog, PLAIN.replace(vae="single", steps=2, batch_count=2))
    assert len(studio.of(Picture)) == 2 and memory.bytes > alone
    digest = hashlib.sha256(Path(catalog.find("vae", "single").path).read_bytes()).hexdigest()
    assert [picture.facts["VAE"] for picture in studio.of(Picture)] == ["single.safetensors"] * 2
    assert studio.of(Picture)[0].facts["VAE hash"] == digest[:10]
    assert studio.of(Hashed)[-1] == Hashed("single", digest, "vae")
    memory.free_idle()
    assert memory.bytes < alone and model.vae is not None, "nothing is in use any more"


@pytest.mark.parametrize("change, said", [
    (lambda file: file.write_bytes(file.read_bytes()[:-100]), "broken or cut off|cut off"),
    (lambda file: file.unlink(), "no longer there"),
    (lambda file: save_file({"decoder.conv_in.weight": torch.zeros(8, 4, 3, 3), "encoder.down_blocks.0.x": torch.zeros(1)}, file), "lacks"),
    (lambda file: save_file({k: v.contiguous() for k, v in toy_family.vae().state_dict().items()}, file), "latents are not those"),
])
def test_a_file_that_cannot_be_used_fails_its_own_job_at_the_field(
        catalog: ModelCatalog, memory: Memory, tmp_path: Path, other: nn.Module, change, said: str) -> None:
    file = tmp_path / "mine.safetensors"
    save_file({k: v.contiguous() for k, v in other.state_dict().items()}, file)
    asked = run("bad", catalog, PLAIN.replace(vae="single", steps=2))
    change(file)
    asked = replace(asked, files={**asked.files, ("vae", "single"): replace(catalog.find("vae", "single"), path=str(file))})
    studio = Studio((memory, {}))
    studio.engine.add(asked)
    studio.engine.add(run("good", catalog, PLAIN.replace(steps=2)))
    studio.run()
    (failed,) = studio.of(Failed)
    assert failed.job == "bad" and failed.problems[0].field == "vae"
    assert re.search(said, failed.problems[0].message), failed.problems
    assert len(studio.of(Picture, "good")) == 1
