"""Pictures with a LoRA against diffusers' own pipelines with the same file; and networks of other builds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor, nn

from backend.catalog.model_catalog import ModelCatalog
from backend.prompt.network_terms import Applied
from backend.request.request import Request
from backend.worker.adapters.network_file import NetworkFile
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.device import place
from backend.worker.draw.work_items import LoadNetworks
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny import test_img2img_parity, test_sdxl_parity
from tests.tiny.driven_by_hand import latent_of
from tests.tiny.ldm import Networks, save_folder, tiny, tiny_sd2, tiny_sdxl, unet_name
from tests.tiny.networks import attention, lora, save, tensors
from tests.tiny.test_network_kinds import KINDS, LINEAR, UNET, distance, drawn, file_of, loaded, trained, truth_of
from tests.tiny.test_sdxl_parity import STEPS, clip_tokenizer

REQUEST = Request(prompt="a red star <lora:x:0.8>", negative_prompt="blurry", steps=STEPS, seed=5, width=64, height=96, sampler="Euler",
                  schedule="Uniform", cfg_scale=5)


def opened(folder: Path, networks: Networks) -> Model:
    torch.set_num_threads(1)
    save_folder(networks, folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)).get(ModelCatalog((folder,)).find("checkpoint", "first"))


def latent(model: Model, files: Mapping[tuple[str, str], NetworkFile]) -> Tensor:
    """What Easel would decode."""
    networks = PromptNetworks(model, files, Memory(model.placement))
    return latent_of(model, REQUEST, more={LoadNetworks: lambda work: networks})


def theirs(pipeline: Any, file: Path, **more: Any) -> Tensor:
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
    return pipeline(prompt="a red star ", negative_prompt="blurry", num_inference_steps=STEPS, guidance_scale=5, output_type="latent", width=64,
                    height=96, generator=torch.Generator().manual_seed(5), cross_attention_kwargs={"scale": 0.8}, **more).images[0]


def convolutions(unet: nn.Module) -> list[str]:
    return [path for path, each in unet.named_modules() if isinstance(each, nn.Conv2d) and "resnets" in path and "conv1" in path]


@torch.inference_mode()
def test_sd1_equals_diffusers(tmp_path: Path) -> None:
    networks = tiny()
    content = tensors(networks.unet, UNET, attention(networks.unet), lora()) | tensors(
        networks.unet, UNET, convolutions(networks.unet), lora(alpha=1.0)) | tensors(
        networks.text, "lora_te_text_model_", attention(networks.text), lora(), seed=1)
    file = save(tmp_path / "x.safetensors", content)
    own, other = opened(tmp_path / "a", networks), opened(tmp_path / "b", tiny())
    found = loaded(tmp_path, content)
    assert not found.on(own).fit.left_out
    pipeline = test_img2img_parity.pipeline_of(StableDiffusionPipeline, other)
    pipeline.tokenizer = clip_tokenizer("<|endoftext|>")
    assert (latent(own, {("lora", "x"): found}) - theirs(pipeline, file)).abs().max() < 1e-4


@torch.inference_mode()
def test_sd2_equals_diffusers(tmp_path: Path) -> None:
    networks = tiny_sd2()
    content = tensors(networks.unet, UNET, attention(networks.unet), lora()) | tensors(
        networks.text, "lora_te_text_model_", attention(networks.text), lora(), seed=1)
    file = save(tmp_path / "x.safetensors", content)
    own, other = opened(tmp_path / "a", networks), opened(tmp_path / "b", tiny_sd2())
    found = loaded(tmp_path, content)
    assert not found.on(own).fit.left_out and {*found.on(own).layers} == {"unet", "text_encoder"}
    pipeline = test_img2img_parity.pipeline_of(StableDiffusionPipeline, other)
    pipeline.tokenizer = clip_tokenizer("!")
    assert (latent(own, {("lora", "x"): found}) - theirs(pipeline, file)).abs().max() < 1e-4


@torch.inference_mode()
def test_sdxl_equals_diffusers(tmp_path: Path) -> None:
    """The UNet's layers by sgm's names, as kohya trains them."""
    networks = tiny_sdxl()
    paths = [*attention(networks.unet), *convolutions(networks.unet)]
    unet = tensors(networks.unet, "", paths, lora())
    names = {path.replace(".", "_"): unet_name(f"{path}.weight", 2, networks.unet).removesuffix(".weight").replace(".", "_") for path in paths}
    content = {f"{UNET}{names[name.partition('.')[0]]}.{name.partition('.')[2]}": each for name, each in unet.items()}
    content |= tensors(networks.text, "lora_te1_text_model_", attention(networks.text), lora(), seed=1)
    content |= tensors(networks.text_2, "lora_te2_", [path for path in attention(networks.text_2) if path != "text_projection"], lora(), seed=2)
    file = save(tmp_path / "x.safetensors", content)
    own, other = opened(tmp_path / "a", networks), opened(tmp_path / "b", tiny_sdxl())
    found = loaded(tmp_path, content)
    assert not found.on(own).fit.left_out and {*found.on(own).layers} == {"unet", "text_encoder", "text_encoder_2"}
    pipeline = test_sdxl_parity.pipeline_of(StableDiffusionXLPipeline, other)
    sizes = {"negative_original_size": (96, 64), "negative_target_size": (96, 64)}
    assert (latent(own, {("lora", "x"): found}) - theirs(pipeline, file, **sizes)).abs().max() < 1e-4


@torch.inference_mode()
def test_the_first_convolution_of_an_inpainting_network(tmp_path: Path) -> None:
    """Trap: files of plain networks have four channels there, it has nine; the others stay as they are."""
    model = opened(tmp_path, tiny(in_channels=9))
    x, channels = torch.randn(4, 8, 8), torch.randn(5, 8, 8)
    up, down, full = torch.randn(32, 2, 1, 1) * 0.3, torch.randn(2, 4, 3, 3) * 0.3, torch.randn(32, 4, 3, 3) * 0.3
    low, whole = {"lora_up.weight": up, "lora_down.weight": down}, {"diff": full}
    dora = low | {"dora_scale": torch.rand(32, 1, 1, 1) + 0.5}
    delta = (up.flatten(1) @ down.flatten(1)).view_as(full)
    weight = model.denoiser.conv_in.weight[:, :4]
    turned = (weight + delta) * dora["dora_scale"] / (weight + delta).flatten(1).norm(dim=1).view(-1, 1, 1, 1) - weight
    for number, (parts, change) in enumerate(((low, delta), (whole, full), (dora, turned))):
        file = loaded(tmp_path, {f"{UNET}conv_in.{part}": each for part, each in parts.items()}, f"{number}.safetensors")
        assert file.on(model).fit.told() == "1 of 1 layers"
        truth = truth_of(model)
        truth.denoiser.conv_in.weight.data[:, :4] += 0.7 * change
        changes = PromptNetworks(model, {("lora", "x"): file}, Memory(model.placement)).unet([Applied("lora", "x", 0.7, 0.7)])
        encoded = model.encode_text("a cat")
        row = Row(x, 2.0, encoded, model, model.parametrisation, uses=changes.uses, branches=changes.branches, channels=channels)
        expected = denoise([Row(x, 2.0, encoded, truth, model.parametrisation, channels=channels)])[0].denoised
        assert distance(denoise([row])[0].denoised, expected) < 1e-5


KEYS = ("lora", "dora", "lokr", "oft", "full", "ia3")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, dict[tuple[str, str], NetworkFile]]:
    folder = tmp_path_factory.mktemp("all")
    model, files = opened(folder, tiny()), {}
    for number, kind in enumerate(KEYS):
        made = [(path, trained(KINDS[kind][0], model.denoiser.get_submodule(path), KINDS[kind][1], number)) for path in LINEAR[:2]]
        content = {name: each for path, one in made for name, each in file_of(one, UNET + path.replace(".", "_")).items()}
        files["lora", kind] = loaded(folder, content, f"{kind}.safetensors")
    return model, files


@settings(max_examples=100)
@given(sequence=some.lists(some.lists(some.tuples(some.sampled_from(KEYS), some.sampled_from([-1.0, 0.3, 1.0])), max_size=3), min_size=1, max_size=3))
def test_no_sequence_of_networks_leaves_anything(everything: tuple[Model, Any], sequence: list[list[tuple[str, float]]]) -> None:
    model, files = everything
    with torch.inference_mode():
        weights = {name: each.clone() for name, each in model.denoiser.state_dict().items()}
        encoded, x = model.encode_text("a cat"), torch.ones(4, 8, 8)
        plain = denoise([Row(x, 2.0, encoded, model, model.parametrisation)])[0].denoised
        def changed(networks: PromptNetworks, applied: list[tuple[str, float]]) -> Tensor:
            changes = networks.unet([Applied("lora", kind, 0.0, strength) for kind, strength in applied])
            return denoise([Row(x, 2.0, encoded, model, model.parametrisation, uses=changes.uses, branches=changes.branches)])[0].denoised

        networks = PromptNetworks(model, files, Memory(model.placement))
        made = [changed(networks, applied) for applied in sequence]
        assert torch.equal(changed(PromptNetworks(model, files, Memory(model.placement)), sequence[-1]), made[-1])
        assert torch.equal(denoise([Row(x, 2.0, encoded, model, model.parametrisation)])[0].denoised, plain)
        assert all(torch.equal(each, weights[name]) for name, each in model.denoiser.state_dict().items())
        assert not any(module._forward_hooks for module in model.denoiser.modules())


@torch.inference_mode()
def test_a_call_that_fails_leaves_nothing_attached(everything: tuple[Model, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, files = everything
    before = drawn(model, None)
    weight = model.denoiser.get_submodule(LINEAR[0]).weight

    def broken(*given: object, **named: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(model.denoiser.mid_block, "forward", broken)
    changes = PromptNetworks(model, files, Memory(model.placement)).unet([Applied("lora", kind, 1.0, 1.0) for kind in KEYS])
    row = Row(torch.ones(4, 8, 8), 2.0, model.encode_text("a cat"), model, model.parametrisation, uses=changes.uses, branches=changes.branches)
    with pytest.raises(RuntimeError, match="in the middle"):
        denoise([row])
    monkeypatch.undo()
    assert torch.equal(drawn(model, None), before) and model.denoiser.get_submodule(LINEAR[0]).weight is weight
    assert not any(module._forward_hooks for module in model.denoiser.modules())
