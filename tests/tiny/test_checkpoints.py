"""Reading checkpoints of both layouts, running them, and forgetting them again."""

from __future__ import annotations

import gc
import json
import pickle
import random
import socket
import sys
import weakref
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.configuration_utils import FrozenDict
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from backend.catalog.families import FAMILIES
from backend.catalog.fingerprints import sha256_of
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError, EaselError
from backend.prompt.chunks import chunk
from backend.request.choices import EMPHASIS
from backend.sampling.parametrisation import Velocity
from backend.worker.device import place
from backend.worker.models import assemble, clip_text, ldm_layout, sd1, vae
from backend.worker.models.emphasis import apply_emphasis
from backend.worker.models.encoded_text import Encoded, TextSettings
from backend.worker.models.loader import load, loader_of
from backend.worker.models.memory import Memory
from backend.worker.models.memory_errors import out_of_memory
from backend.worker.models.model_base import Model
from backend.worker.models.preview_colours import linear_rgb, preview_factors
from backend.worker.models.vae_tiles import Tiles
from tests.tiny import ldm

GOLDEN = Path(__file__).parent.parent / "golden"
FLOAT32 = place("cpu", exact=True)

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def networks() -> ldm.Networks:
    return ldm.tiny()


@pytest.fixture(scope="module")
def models(networks: ldm.Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder: the networks as `demo` (diffusers) and as checkpoints/one.safetensors (original layout)."""
    folder = tmp_path_factory.mktemp("models")
    ldm.save_folder(networks, folder / "demo")
    ldm.save_single(networks, folder / "checkpoints" / "one.safetensors")
    return folder


@pytest.fixture(scope="module")
def model(models: Path) -> Model:
    return load(found(models, "one"), FLOAT32)


def found(models: Path, name: str = "") -> ModelFile:
    return ModelCatalog((models,)).find("checkpoint", name)


def one_file(tmp_path: Path, tensors: dict[str, torch.Tensor], name: str = "x.safetensors") -> ModelFile:
    file = tmp_path / "checkpoints" / name
    file.parent.mkdir(exist_ok=True)
    save_file(tensors, file) if name.endswith("safetensors") else torch.save({"state_dict": tensors, "global_step": 7}, file)
    return found(tmp_path, file.stem)


def same(loaded: Model, networks: ldm.Networks) -> None:
    for ours, theirs in zip(loaded.networks(), (networks.unet, networks.vae, networks.text), strict=True):
        expected = theirs.state_dict()
        assert ours.state_dict().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())


# ---- reading ----

def test_single_file_equals_the_networks_it_was_made_of(model: Model, networks: ldm.Networks) -> None:
    same(model, networks)
    assert model.denoiser.config.cross_attention_dim == 32 and model.vae.config.scaling_factor == 0.18215


def test_folder_equals_the_networks_it_was_made_of(models: Path, networks: ldm.Networks) -> None:
    same(load(found(models, "demo"), FLOAT32), networks)


def test_ckpt_round_trip_and_old_text_encoder_names(tmp_path: Path, networks: ldm.Networks) -> None:
    tensors = {name.replace("transformer.text_model.", "transformer."): t for name, t in ldm.layout(networks).items()}
    same(load(one_file(tmp_path, tensors, "old.ckpt"), FLOAT32), networks)


def test_half_precision_file_is_loaded_in_the_asked_format(tmp_path: Path, networks: ldm.Networks) -> None:
    half = {name: t.half() if t.is_floating_point() else t for name, t in ldm.layout(networks).items()}
    loaded = load(one_file(tmp_path, half), FLOAT32)
    assert {p.dtype for network in loaded.networks() for p in network.parameters()} == {torch.float32}
    expected = networks.unet.conv_in.weight.half().float()
    assert torch.equal(loaded.denoiser.conv_in.weight, expected)


def test_networks_are_frozen_and_know_their_hash(model: Model) -> None:
    assert not any(network.training for network in model.networks())
    assert not any(p.requires_grad for network in model.networks() for p in network.parameters())
    assert model.sha256 == sha256_of(model.checkpoint.path)


def test_every_loader_that_a_family_names_is_there() -> None:
    loaders = {name: loader_of(name) for name, family in FAMILIES.items() if family.loader}
    assert {"sd1", "sd1-inpaint", "sd1-edit", "sdxl", "sdxl-inpaint"} <= loaders.keys()
    assert all(issubclass(loader, Model) for loader in loaders.values())


def test_loading_needs_no_network(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("one", "demo"):
        load(found(models, name), FLOAT32)


def test_loaded_weights_do_not_hang_on_the_file(tmp_path: Path, networks: ldm.Networks) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(networks))
    loaded = load(checkpoint, FLOAT32)
    Path(checkpoint.path).write_bytes(b"")
    same(loaded, networks)


# ---- what can be wrong with a file ----

def refused(checkpoint: ModelFile) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(checkpoint, FLOAT32)
    assert caught.value.problems[0].field == "checkpoint" and checkpoint.key in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("lost", [
    "model.diffusion_model.middle_block.0.in_layers.2.weight",
    "model.diffusion_model.out.2.weight",
    "first_stage_model.decoder.conv_out.bias",
    "cond_stage_model.transformer.text_model.encoder.layers.1.mlp.fc2.weight",
])
def test_missing_tensor_is_named(tmp_path: Path, networks: ldm.Networks, lost: str) -> None:
    tensors = ldm.layout(networks)
    del tensors[lost]
    message = refused(one_file(tmp_path, tensors))
    assert "lacks" in message and message.count(".") > 1


@pytest.mark.parametrize(("prefix", "part"), [("first_stage_model.", "VAE"), ("cond_stage_model.", "text encoder")])
def test_missing_part_is_named(tmp_path: Path, networks: ldm.Networks, prefix: str, part: str) -> None:
    tensors = {name: t for name, t in ldm.layout(networks).items() if not name.startswith(prefix)}
    assert f"has no {part}" in refused(one_file(tmp_path, tensors))


def test_wrong_shape_is_named(tmp_path: Path, networks: ldm.Networks) -> None:
    tensors = ldm.layout(networks) | {"model.diffusion_model.time_embed.0.weight": torch.zeros(3, 3)}
    assert "time_embedding.linear_1.weight (3, 3)" in refused(one_file(tmp_path, tensors))


def test_damaged_files_never_raise_anything_else(tmp_path: Path, networks: ldm.Networks) -> None:
    whole, chance = ldm.layout(networks), random.Random(0)
    for name in chance.sample(sorted(whole), 12):
        damaged = dict(whole)
        kind = chance.choice(("lost", "flat", "empty", "renamed"))
        tensor = damaged.pop(name)
        if kind != "lost":
            damaged[name + "x" * (kind == "renamed")] = tensor.flatten() if kind == "flat" else tensor[:0].clone()
        checkpoint = one_file(tmp_path, damaged)
        try:
            load(checkpoint, FLOAT32)
        except CheckpointError as error:
            assert checkpoint.key in str(error)


@pytest.mark.parametrize(("file", "content"), [
    ("unet/config.json", {"block_out_channels": "many"}), ("unet/config.json", {"down_block_types": ["No"]}),
    ("vae/config.json", {"norm_num_groups": 7}), ("text_encoder/config.json", {"num_attention_heads": 5}),
    ("scheduler/scheduler_config.json", {"beta_start": "x"}), ("scheduler/scheduler_config.json", {"beta_end": 3}),
    ("text_encoder/config.json", {"num_hidden_layers": 10**9}), ("vae/config.json", {"layers_per_block": 10**9}),
    ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}), ("scheduler/scheduler_config.json", {"num_train_timesteps": 0, "rescale_betas_zero_snr": True}),
    ("scheduler/scheduler_config.json", {"prediction_type": "sample"}), ("scheduler/scheduler_config.json", {"prediction_type": ["epsilon"]}),
    ("scheduler/scheduler_config.json", {"beta_schedule": "squaredcos_cap_v2"}), ("scheduler/scheduler_config.json", {"beta_schedule": {"a": 1}}),
    ("scheduler/scheduler_config.json", {"trained_betas": "0.1"}), ("scheduler/scheduler_config.json", {"trained_betas": [2.0, 0.1]}),
])
@pytest.mark.timeout(300)
def test_broken_configs_of_folders(tmp_path: Path, networks: ldm.Networks, file: str, content: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assemble, "MOST_MODULES", 500)      # more than these small networks have
    path = ldm.save_folder(networks, tmp_path / "demo") / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | content))
    assert "config cannot be used" in refused(found(tmp_path))


def test_file_cut_off_after_the_scan(tmp_path: Path, networks: ldm.Networks) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(networks))
    whole = Path(checkpoint.path).read_bytes()
    Path(checkpoint.path).write_bytes(whole[: len(whole) // 2])
    assert "cut off" in refused(checkpoint)


def test_ckpt_cut_off(tmp_path: Path, networks: ldm.Networks) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(networks), "x.ckpt")
    whole = Path(checkpoint.path).read_bytes()
    Path(checkpoint.path).write_bytes(whole[: len(whole) // 2])
    refused(checkpoint)


def test_file_deleted_after_the_scan(tmp_path: Path, networks: ldm.Networks) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(networks))
    Path(checkpoint.path).unlink()
    assert "no longer there" in refused(checkpoint)


def test_folder_without_a_part(tmp_path: Path, networks: ldm.Networks) -> None:
    ldm.save_folder(networks, tmp_path / "demo")
    checkpoint = found(tmp_path)
    for file in (tmp_path / "demo" / "vae").iterdir():
        file.unlink()
    assert "no weights for vae" in refused(checkpoint)


@pytest.mark.parametrize("zipped", [True, False])
def test_what_trainers_left_in_the_first_checkpoints_is_passed_over(
    tmp_path: Path, networks: ldm.Networks, zipped: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    trainer.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": trainer.__name__})  # type: ignore[attr-defined]
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", trainer.__name__):
        monkeypatch.setitem(sys.modules, name, trainer)
    file = tmp_path / "checkpoints" / "trained.ckpt"
    file.parent.mkdir()
    best = {"best_model_score": np.float32(0.5), "best": np.float64(1), "epoch": np.int64(3)}
    torch.save({"callbacks": {trainer.ModelCheckpoint: best}, "state_dict": ldm.layout(networks)}, file, _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    same(load(found(tmp_path, "trained"), FLOAT32), networks)


class Hostile:
    """A pickle that would write a file when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.write_text, (self.target, "owned")


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path, networks: ldm.Networks, zipped: bool) -> None:
    file = tmp_path / "checkpoints" / "evil.ckpt"
    file.parent.mkdir()
    target = tmp_path / "owned"
    content = {"state_dict": ldm.layout(networks), "callbacks": Hostile(target)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    assert "could run code" in found_problem(tmp_path, "evil")
    checkpoint = ModelFile("checkpoint", "evil", str(file), family="sd1")
    assert "could run code" in refused(checkpoint)
    file.write_bytes(pickle.dumps(Hostile(target)))
    refused(checkpoint)
    assert found_problem(tmp_path, "evil") and not target.exists()


def found_problem(models: Path, key: str) -> str:
    return next(c.problem for c in ModelCatalog((models,)).scan() if c.key == key)


@pytest.mark.parametrize(("name", "label"), [
    ("double_blocks.0.img_attn.norm.key_norm.scale", "Flux"),
    ("edm_mean", "Playground 2.5"),
    ("edm_vpred.sigma_max", "CosXL"),
])
def test_other_families_say_so(tmp_path: Path, name: str, label: str) -> None:
    message = refused(one_file(tmp_path, {name: torch.zeros(2)}))
    assert f"this is a {label} model" in message


# ---- what the shapes and side-cars say ----

def test_real_sizes_give_the_published_config_and_key_list() -> None:
    with torch.device("meta"):
        networks = ldm.Networks(
            UNet2DConditionModel.from_config(sd1.UNET), AutoencoderKL.from_config(sd1.VAE),
            CLIPTextModel(CLIPTextConfig(**clip_text.CLIP_L)),
        )
    depth, stages = 2, 4
    unet = {ldm.unet_name(k, depth, networks.unet): v for k, v in networks.unet.state_dict().items()}
    first_stage = {ldm.vae_name(k, stages): v for k, v in networks.vae.state_dict().items()}
    assert (len(unet), len(first_stage), len(networks.text.state_dict())) == (686, 248, 196)
    assert ldm_layout.unet_config(unet, sd1.UNET) == sd1.UNET
    assert ldm_layout.vae_config(first_stage, sd1.VAE) == sd1.VAE
    assert clip_text.text_config(networks.text.state_dict()) == clip_text.CLIP_L
    assert sum(p.numel() for p in networks.unet.parameters()) == 859_520_964


def test_real_sizes_are_converted_without_loss() -> None:
    with torch.device("meta"):
        networks = ldm.Networks(
            UNet2DConditionModel.from_config(sd1.UNET), AutoencoderKL.from_config(sd1.VAE),
            CLIPTextModel(CLIPTextConfig(**clip_text.CLIP_L)),
        )
        parts = sd1.SD1.split(ldm.layout(networks))
    for part, network in (("unet", networks.unet), ("vae", networks.vae)):
        shapes = {name: tensor.shape for name, tensor in parts[part].tensors.items()}
        assert shapes == {name: tensor.shape for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("how", ["yaml", "json", "marker"])
def test_v_prediction(tmp_path: Path, networks: ldm.Networks, how: str) -> None:
    markers = {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)} if how == "marker" else {}
    checkpoint = one_file(tmp_path, ldm.layout(networks) | markers)
    if how == "yaml":
        Path(checkpoint.path).with_suffix(".yaml").write_text("model:\n  params:\n    parameterization: \"v\"\n")
    if how == "json":
        Path(checkpoint.path).with_suffix(".json").write_text(json.dumps({"prediction": "v", "zero_terminal_snr": True}))
    loaded = load(checkpoint, FLOAT32)
    assert isinstance(loaded.parametrisation, Velocity)
    assert loaded.parametrisation.table.sigma_max == pytest.approx(14.6146 if how == "yaml" else 4518.6, rel=1e-3)


def test_inpainting_network_takes_nine_channels(tmp_path: Path) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(ldm.tiny(in_channels=9)))
    assert checkpoint.family == "sd1-inpaint"
    loaded = load(checkpoint, FLOAT32)
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([5.0, 9.5]), torch.randn(2, 77, 32)
    with torch.inference_mode():
        assert loaded.predict(x, t, Encoded(context), channels=torch.zeros(2, 5, 8, 8)).shape == (2, 4, 8, 8)


# ---- running ----

@torch.inference_mode()
def test_prediction_is_the_unets(model: Model, networks: ldm.Networks) -> None:
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 700.25]), torch.randn(2, 77, 32)
    expected = networks.unet(x, t, context).sample
    assert torch.allclose(model.predict(x, t, Encoded(context)), expected, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("skip", [1, 2, 3, 12])
def test_text_is_the_encoders(model: Model, networks: ldm.Networks, skip: int) -> None:
    text = "a (red:1.3) circle, " * 30
    chunks = chunk(text, model.tokenizer)
    assert len(chunks) > 1
    encoded = model.encode_text(text, TextSettings(skip, "Ignore")).tokens
    assert encoded.shape == (77 * len(chunks), 32) and encoded.dtype == torch.float32
    states = networks.text(torch.tensor([chunks[1].tokens]), output_hidden_states=True).hidden_states
    expected = networks.text.final_layer_norm(states[-min(skip, 3)])
    assert torch.allclose(encoded[77:154], expected[0], atol=1e-5)


def test_emphasis_as_in_automatic1111() -> None:
    cases = json.loads((GOLDEN / "extras.json").read_text())["emphasis"]
    assert {case["emphasis"] for case in cases} == set(EMPHASIS)
    for case in cases:
        z = torch.tensor(case["z"], dtype=torch.float64).view(case["shape"])
        result = apply_emphasis(z, torch.tensor(case["multipliers"], dtype=torch.float64), case["emphasis"])
        assert np.allclose(result.flatten().numpy(), case["result"], atol=1e-9)


def test_emphasis_of_nothing_keeps_finite_numbers() -> None:
    z = torch.randn(1, 77, 32)
    assert torch.isfinite(apply_emphasis(z, torch.zeros(1, 77), "Original")).all()


@torch.inference_mode()
def test_decoding(model: Model, networks: ldm.Networks) -> None:
    latent = torch.randn(2, *model.latent_shape(64, 48))
    pixels = model.decode(latent)
    assert pixels.shape == (2, 48, 64, 3) and pixels.dtype == np.uint8
    image = networks.vae.decode(latent / 0.18215).sample
    expected = ((image.permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    assert np.abs(pixels.astype(int) - expected).max() <= 1


@torch.inference_mode()
def test_one_tile_is_the_whole_picture(model: Model) -> None:
    latent = torch.randn(1, 4, 11, 20)
    assert np.array_equal(model.decode_tiled(latent), model.decode(latent))


@pytest.mark.parametrize(("tile", "overlap"), [(8, 3), (8, 4), (5, 0), (16, 8)])
def test_tiles_leave_no_seams(model: Model, monkeypatch: pytest.MonkeyPatch, tile: int, overlap: int) -> None:
    monkeypatch.setattr(vae, "_decoded", lambda network, z: nn.functional.interpolate(z[:, :3], scale_factor=8))
    latent = torch.randn(2, 4, 33, 17)
    tiled = model.decode_tiled(latent, Tiles(tile, overlap)).astype(int)
    assert np.abs(tiled - model.decode(latent)).max() <= 1


@torch.inference_mode()
def test_latents_without_finite_numbers_are_an_error(model: Model) -> None:
    with pytest.raises(EaselError, match="finite"):
        model.decode(torch.full((1, 4, 8, 8), float("nan")))


@torch.inference_mode()
def test_encoding_is_the_mean_or_a_sample(model: Model, networks: ldm.Networks) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 40, 3), np.uint8)
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    distribution = networks.vae.encode(image).latent_dist
    assert torch.allclose(model.encode(pixels), distribution.mean * 0.18215, atol=1e-5)
    noise = torch.randn(1, 4, 4, 5)
    assert torch.allclose(model.encode(pixels, noise), (distribution.mean + distribution.std * noise) * 0.18215, atol=1e-5)


def test_preview_factors_are_fitted_to_small_vaes(model: Model) -> None:
    assert model.preview_factors.shape == (5, 3) and torch.isfinite(model.preview_factors).all()
    pixels = model.preview(torch.randn(2, 4, 40, 42))
    assert pixels.shape == (2, 40, 42, 3) and pixels.dtype == np.uint8


def test_a_vae_without_finite_numbers_loads_and_says_so_when_it_decodes(tmp_path: Path, networks: ldm.Networks) -> None:
    tensors = ldm.layout(networks)
    tensors |= {name: tensors[name] * float("nan") for name in tensors if name.startswith("first_stage_model")}
    model = load(one_file(tmp_path, tensors), FLOAT32)
    assert torch.isfinite(model.preview_factors).all()
    with pytest.raises(EaselError, match="no finite colours"):
        model.decode(torch.randn(1, 4, 4, 4))


def test_preview_of_a_linear_vae_is_exact() -> None:
    """A VAE whose code is a linear map of the colours is recovered by the fit."""
    mix = torch.tensor([[0.5, 0.1, 0.0], [0.0, 0.7, 0.2], [0.3, 0.0, 0.9], [0.1, 0.1, 0.1]])

    class Linear(nn.Module):
        config = FrozenDict(block_out_channels=(8, 8, 8, 8), latent_channels=4, scaling_factor=0.5)
        device, dtype = torch.device("cpu"), torch.float32

        def encode(self, image: torch.Tensor) -> SimpleNamespace:
            mean = torch.einsum("oc,bchw->bohw", mix, nn.functional.avg_pool2d(image, 8)) + 0.25
            return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean))

        def decode(self, z: torch.Tensor, return_dict: bool) -> tuple[torch.Tensor]:
            colours = torch.einsum("oc,bchw->bohw", torch.linalg.pinv(mix), z - 0.25)
            return (nn.functional.interpolate(colours, scale_factor=8),)

    colour = torch.tensor([-0.5, 0.25, 1.0])
    latent = ((mix @ colour + 0.25) * 0.5).view(1, 4, 1, 1)
    rgb = linear_rgb(preview_factors(Linear()), latent).flatten()
    assert np.allclose(rgb, ((colour + 1) * 127.5).numpy(), atol=1)


def test_published_preview_factors_for_the_real_vae() -> None:
    with torch.device("meta"):
        network = AutoencoderKL.from_config(sd1.VAE)
    network.to_empty(device="cpu")
    assert torch.allclose(preview_factors(network, sd1.COLOURS)[0], torch.tensor([0.149, 0.1035, 0.104]))
    assert torch.allclose(preview_factors(network, sd1.COLOURS)[4], torch.tensor(0.5))


# ---- memory ----

def test_switching_twenty_times_leaves_memory_where_it_was(tmp_path: Path) -> None:
    checkpoints = [one_file(tmp_path, ldm.layout(ldm.tiny(seed=n)), f"{name}.safetensors") for n, name in enumerate("ab")]
    memory = Memory(FLOAT32, budget_bytes=1)
    ghosts = [weakref.ref(memory.get(checkpoints[turn % 2]).denoiser) for turn in range(2)]
    gc.collect()
    before = psutil.Process().memory_info().rss
    ghosts += [weakref.ref(memory.get(checkpoints[turn % 2]).denoiser) for turn in range(20)]
    gc.collect()
    assert [ghost() is None for ghost in ghosts] == [True] * (len(ghosts) - 1) + [False]
    assert memory.loaded == ("b",)
    assert psutil.Process().memory_info().rss - before < 2 * memory.bytes
    memory.clear()
    assert ghosts[-1]() is None and memory.bytes == 0


def test_least_recently_used_leaves_first(models: Path, model: Model) -> None:
    kept = {name: found(models, name) for name in ("one", "demo")}
    third = ModelFile("checkpoint", "three", kept["one"].path, family="sd1")
    memory = Memory(FLOAT32, budget_bytes=int(model.bytes * 2.5))
    first = memory.get(kept["one"])
    memory.get(kept["demo"])
    assert memory.get(kept["one"]) is first
    memory.get(third)
    assert memory.loaded == ("one", "three") and "demo" not in memory and "one" in memory
    memory.drop("one")
    memory.drop("nobody")
    assert memory.loaded == ("three",)


def test_replaced_file_is_read_again(tmp_path: Path, networks: ldm.Networks) -> None:
    memory = Memory(FLOAT32)
    checkpoint = one_file(tmp_path, ldm.layout(networks))
    old = memory.get(checkpoint)
    save_file(ldm.layout(ldm.tiny(seed=5)) | {"extra": torch.zeros(3)}, checkpoint.path)
    assert checkpoint.key not in memory and memory.get(checkpoint) is not old
    Path(checkpoint.path).unlink()
    assert checkpoint.key in memory


@dataclass
class OnACard:
    """A model that says where it is."""

    checkpoint: ModelFile
    device: torch.device = field(default_factory=lambda: torch.device("cuda"))
    bytes: int = 100

    def to(self, device: torch.device) -> OnACard:
        self.device = device
        return self


def test_idle_models_of_a_card_wait_in_main_memory() -> None:
    card = replace(FLOAT32, device=torch.device("cuda"))
    names = {name: ModelFile("checkpoint", name, f"/nowhere/{name}", family="sd1") for name in "abcd"}
    loads: list[str] = []
    memory = Memory(card, 250, load=lambda checkpoint, placement: loads.append(checkpoint.key) or OnACard(checkpoint),
                    ram_bytes=150)
    models = {name: memory.get(names[name]) for name in "abc"}
    assert [models[name].device.type for name in "abc"] == ["cpu", "cuda", "cuda"]
    assert memory.get(names["a"]) is models["a"] and memory.loaded == ("b", "c", "a") and loads == ["a", "b", "c"]
    assert [models[name].device.type for name in "abc"] == ["cuda", "cpu", "cuda"]
    memory.get(names["d"])
    assert memory.loaded == ("c", "a", "d") and [models[name].device.type for name in "ca"] == ["cpu", "cuda"]


def test_failed_load_leaves_nothing_behind(tmp_path: Path) -> None:
    memory = Memory(FLOAT32)
    with pytest.raises(CheckpointError):
        memory.get(ModelFile("checkpoint", "gone", str(tmp_path / "gone.safetensors"), family="sd1"))
    assert memory.loaded == ()


def test_what_counts_as_out_of_memory() -> None:
    assert out_of_memory(MemoryError()) and out_of_memory(torch.OutOfMemoryError("x"))
    assert out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9"))
    import cv2
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    with pytest.raises(cv2.error) as huge:
        cv2.resize(np.zeros((9, 9, 3)), (2_000_000, 2_000_000))
    assert out_of_memory(huge.value) and not out_of_memory(cv2.error("(-215:Assertion failed)"))
    assert out_of_memory(RuntimeException("Failed to allocate memory for requested buffer of size 9")) and not out_of_memory(RuntimeException("no such node"))
    assert not out_of_memory(RuntimeError("size mismatch")) and not out_of_memory(ValueError("out of memory"))


# ---- device ----

def test_device_choice() -> None:
    assert place("cpu", exact=True).dtype == "float32"
    assert place("cpu").name.startswith("CPU, ")
    for name in ("tpu0", "mps", "cuda:99"):
        with pytest.raises(EaselError):
            place(name)


def test_cpu_never_computes_in_float16() -> None:
    placement = place("cpu", exact=False)
    assert placement.unet in (torch.float32, torch.bfloat16) and placement.text == torch.float32


def test_exactness_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_FLOAT32", "1")
    assert place("cpu").dtype == "float32"


def test_a_file_written_by_save_single_is_readable_elsewhere(models: Path) -> None:
    assert len(load_file(models / "checkpoints" / "one.safetensors")) > 300
