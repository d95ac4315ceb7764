"""Stable Diffusion XL: files of both layouts, how its texts are read, and how little memory loading it takes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.request.request import Request
from backend.sampling.parametrisation import Epsilon, Velocity
from backend.settings import HOME
from backend.worker.device import Placement, place
from backend.worker.models import clip_text, ldm_layout, open_clip_layout, prediction_type, sd1, sdxl
from backend.worker.models.emphasis import apply_emphasis
from backend.worker.models.loader import load
from backend.worker.models.model_base import Model
from backend.worker.models.sdxl import SDXL, SDXLTextSettings
from tests.tiny import ldm

RECORDS = json.loads((Path(__file__).parents[1] / "golden" / "prompt_chunks.json").read_text("utf-8"))
FLOAT32 = place("cpu", exact=True)
PLAIN = SDXLTextSettings()

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def networks() -> ldm.Networks:
    return ldm.tiny_sdxl()


@pytest.fixture(scope="module")
def models(networks: ldm.Networks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    ldm.save_single(networks, folder / "checkpoints" / "file.safetensors")
    ldm.save_folder(networks, folder / "checkpoints" / "folder")
    return folder


@pytest.fixture(scope="module")
def model(models: Path) -> Model:
    return load(found(models, "file"), FLOAT32)


def found(models: Path, name: str) -> ModelFile:
    return ModelCatalog((models,)).find("checkpoint", name)


def one_file(tmp_path: Path, tensors: dict[str, torch.Tensor], name: str = "x") -> ModelFile:
    file = tmp_path / "checkpoints" / f"{name}.safetensors"
    file.parent.mkdir(exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, file)
    return found(tmp_path, name)


def same(loaded: Model, networks: ldm.Networks) -> None:
    made = (networks.unet, networks.vae, networks.text, networks.text_2)
    for ours, theirs in zip(loaded.networks(), made, strict=True):
        expected = theirs.state_dict()
        assert ours.state_dict().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())


# ---- files ----

@pytest.mark.parametrize("name", ["file", "folder"])
def test_both_layouts_give_the_networks_they_were_made_of(models: Path, networks: ldm.Networks, name: str) -> None:
    loaded = load(found(models, name), FLOAT32)
    same(loaded, networks)
    assert isinstance(loaded, SDXL) and loaded.vae.config.scaling_factor == 0.13025
    for key, value in networks.unet.config.items():
        if not key.startswith("_"):
            assert json.dumps(loaded.denoiser.config[key]) == json.dumps(value), key


def test_both_layouts_give_the_same_encodings(models: Path, model: Model) -> None:
    other = load(found(models, "folder"), FLOAT32).encode_text("a (red:1.2) fox", PLAIN)
    ours = model.encode_text("a (red:1.2) fox", PLAIN)
    assert torch.equal(ours.tokens, other.tokens) and torch.equal(ours.pooled, other.pooled)


def test_a_folder_of_fp16_variants_alone(networks: ldm.Networks, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints" / "half"
    ldm.save_folder(networks, folder)
    for weights in folder.glob("*/*.safetensors"):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    same(load(found(tmp_path, "half"), FLOAT32), networks)


def test_loading_opens_no_socket(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("file", "folder"):
        load(found(models, name), FLOAT32)


def test_a_folder_without_its_second_text_encoder_says_so(networks: ldm.Networks, tmp_path: Path) -> None:
    ldm.save_folder(replace(networks), tmp_path / "checkpoints" / "half")
    for file in (tmp_path / "checkpoints" / "half" / "text_encoder_2").iterdir():
        file.unlink()
    (tmp_path / "checkpoints" / "half" / "text_encoder_2").rmdir()
    with pytest.raises(CheckpointError, match="no text_encoder_2"):
        load(found(tmp_path, "half"), FLOAT32)


@pytest.mark.parametrize("lost", [
    "conditioner.embedders.1.model.text_projection", "conditioner.embedders.1.model.transformer.resblocks.2.attn.in_proj_bias",
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", "model.diffusion_model.label_emb.0.2.bias",
])
def test_a_missing_tensor_is_told(networks: ldm.Networks, tmp_path: Path, lost: str) -> None:
    tensors = {name: tensor for name, tensor in ldm.layout(networks).items() if name != lost}
    with pytest.raises(CheckpointError, match="lacks"):
        load(one_file(tmp_path, tensors), FLOAT32)


@pytest.mark.parametrize("part", ["first_stage_model.", "conditioner.embedders.1.", "conditioner.embedders.0."])
def test_a_missing_part_is_told(networks: ldm.Networks, tmp_path: Path, part: str) -> None:
    tensors = {name: tensor for name, tensor in ldm.layout(networks).items() if not name.startswith(part)}
    with pytest.raises(CheckpointError, match="the file has no"):
        load(one_file(tmp_path, tensors), FLOAT32)


@pytest.mark.parametrize(("how", "kind", "sigma_max"), [
    ("plain", Epsilon, 14.6146), ("v_pred", Velocity, 14.6146), ("v_pred ztsnr", Velocity, 4518.6), ("yaml", Velocity, 14.6146),
    ("json", Velocity, 4518.6),
])
def test_how_a_file_says_what_its_network_predicts(networks, tmp_path, how: str, kind: type, sigma_max: float) -> None:
    marks = {name: torch.zeros(0) for name in how.split() if name in ("v_pred", "ztsnr")}
    checkpoint = one_file(tmp_path, ldm.layout(networks) | marks)
    if how == "yaml":
        Path(checkpoint.path).with_suffix(".yaml").write_text("model:\n  params:\n    parameterization: v\n")
    if how == "json":
        Path(checkpoint.path).with_suffix(".json").write_text(json.dumps({"prediction": "v", "zero_terminal_snr": True}))
    loaded = load(checkpoint, FLOAT32)
    assert type(loaded.parametrisation) is kind
    assert loaded.parametrisation.table.sigma_max == pytest.approx(sigma_max, rel=1e-3)


def test_how_a_folder_says_what_its_network_predicts(networks: ldm.Networks, tmp_path: Path) -> None:
    folder = ldm.save_folder(networks, tmp_path / "checkpoints" / "v")
    (folder / "scheduler").mkdir()
    said = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(said))
    loaded = load(found(tmp_path, "v"), FLOAT32)
    assert type(loaded.parametrisation) is Velocity
    assert loaded.parametrisation.table.sigma_max == pytest.approx(4518.6, rel=1e-3)


@pytest.mark.parametrize("said", [
    {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}, {"trained_betas": [0.001, 0.01, 0.05, 0.1]}, {"beta_schedule": None, "trained_betas": None},
], ids=str)
def test_a_folders_noise_levels_are_those_of_diffusers(networks: ldm.Networks, tmp_path: Path, said: dict[str, object]) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(said))
    known = {name: value for name, value in ({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"} | said).items() if value}
    truth = DDPMScheduler(**({"beta_schedule": "scaled_linear"} | known)).alphas_cumprod.double()
    table = prediction_type.folder_parametrisation(tmp_path).table
    assert np.allclose(table.sigmas, ((1 - truth) / truth).sqrt().numpy(), rtol=1e-3)


@pytest.mark.parametrize(("line", "is_v"), [
    ("parameterization: \"v\"   # as it was trained", True), ("target: sgm.modules.diffusionmodules.denoiser_scaling.VScaling", True),
    ("target: sgm.modules.diffusionmodules.denoiser_scaling.EpsScaling", False), ("# target: x.VScaling", False),
    ("target: x.VScalingWithEDMcNoise", False), ("parameterization: eps", False),
])
def test_how_training_configs_say_that_a_network_predicts_v(tmp_path: Path, line: str, is_v: bool) -> None:
    (tmp_path / "x.yaml").write_text(f"model:\n  params:\n    {line}\n    scale_factor: 0.13025\n")
    assert prediction_type.yaml_says_v(tmp_path / "x.safetensors") is is_v


def test_inpainting_networks_see_masks(tmp_path: Path) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(ldm.tiny_sdxl(in_channels=9)))
    assert checkpoint.family == "sdxl-inpaint"
    assert load(checkpoint, FLOAT32).sees_masks


# ---- full size, on the meta device ----

@pytest.fixture(scope="module")
def full() -> ldm.Networks:
    with torch.device("meta"):
        return ldm.Networks(
            UNet2DConditionModel.from_config(sdxl.UNET), AutoencoderKL.from_config(sdxl.VAE),
            CLIPTextModel(CLIPTextConfig(**clip_text.CLIP_L)), CLIPTextModelWithProjection(CLIPTextConfig(**open_clip_layout.OPEN_CLIP_BIG_G)),
        )


def test_real_sizes_give_the_published_config_and_lose_nothing(full: ldm.Networks) -> None:
    components = SDXL.split(ldm.layout(full))
    assert components["unet"].config == sdxl.UNET and components["vae"].config == sdxl.VAE
    assert components["text_encoder"].config == clip_text.CLIP_L
    assert components["text_encoder_2"].config == open_clip_layout.OPEN_CLIP_BIG_G
    assert sum(p.numel() for p in full.unet.parameters()) == 2_567_463_684
    networks = {"unet": full.unet, "vae": full.vae, "text_encoder_2": full.text_2}
    for name, network in networks.items():
        shapes = {key: tensor.shape for key, tensor in components[name].tensors.items()}
        assert shapes == {key: tensor.shape for key, tensor in network.state_dict().items()}, name


def test_previews_have_sdxls_colours_and_not_sd1s(full: ldm.Networks) -> None:
    assert sdxl.COLOURS.fits(full.vae) and sd1.COLOURS.fits(full.vae), "both families' VAEs are of one build"
    assert sdxl.COLOURS.rows != sd1.COLOURS.rows


# ---- texts ----

@pytest.mark.parametrize("record", [r for r in RECORDS if not {"embeddings", "comma_padding_backtrack"} & r.keys()],
                         ids=lambda record: record["text"][:20])
@torch.inference_mode()
def test_the_second_encoder_is_fed_what_automatic1111_feeds_it(model: Model, record: dict) -> None:
    fed: list[torch.Tensor] = []
    encoders = [encoder.register_forward_pre_hook(lambda _, args, named: fed.append(named["input_ids"]), with_kwargs=True)
                for encoder in model.text_encoders]
    model.encode_text(record["text"], replace(PLAIN, emphasis=record.get("emphasis", "Original")))
    for hook in encoders:
        hook.remove()
    assert fed[0].tolist() == [chunk["tokens"] for chunk in record["chunks"]]
    assert fed[1].tolist() == record["openclip_tokens"]


def by_hand(networks: ldm.Networks, tokens: list[list[int]], states: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 77, 32) and (n, 77, 64): those hidden states of both encoders."""
    first = networks.text(torch.tensor(tokens), output_hidden_states=True).hidden_states[states[0]]
    padded = [row[: row.index(49407) + 1] + [0] * (76 - row.index(49407)) for row in tokens]
    second = networks.text_2(torch.tensor(padded), output_hidden_states=True)
    return first, second.hidden_states[states[1]]


@torch.inference_mode()
def test_long_prompts_are_chunks_side_by_side_and_the_first_one_is_pooled(model: Model, networks: ldm.Networks) -> None:
    text = "a red cat, " * 40
    encoded, first = model.encode_text(text, PLAIN), model.encode_text("a red cat, " * 18 + "a red cat", PLAIN)
    assert encoded.tokens.shape == (3 * 77, 96)
    assert torch.allclose(encoded.pooled, first.pooled, atol=1e-5)
    assert torch.allclose(encoded.tokens[:77], first.tokens, atol=1e-5)


@pytest.mark.parametrize(("clip_skip", "listens", "state"), [(1, False, -2), (4, False, -2), (1, True, -1), (3, True, -3)])
@torch.inference_mode()
def test_clip_skip_counts_for_the_first_encoder_when_it_is_asked_to(model, networks, clip_skip, listens, state) -> None:
    request = Request(clip_skip=clip_skip, sdxl_clip_l_skip=listens)
    encoded = model.encode_text("a fox", model.text_settings(request, "cond", (64, 64), ["a fox"]))
    tokens = [[49406, 320, 3240, *[49407] * 74]]
    first, second = by_hand(networks, tokens, (state, -2))
    assert torch.allclose(encoded.tokens, torch.cat([first, second], dim=-1)[0], atol=1e-5)


@torch.inference_mode()
def test_emphasis_is_each_encoders_own_and_leaves_pooled_alone(model: Model, networks: ldm.Networks) -> None:
    plain, strong = model.encode_text("a fox", PLAIN), model.encode_text("a (fox:1.4)", PLAIN)
    weights = torch.ones(1, 77)
    weights[0, 2] = 1.4
    halves = by_hand(networks, [[49406, 320, 3240, *[49407] * 74]], (-2, -2))
    expected = torch.cat([apply_emphasis(z, weights, "Original") for z in halves], dim=-1)[0]
    assert torch.allclose(strong.tokens, expected, atol=1e-5) and torch.equal(strong.pooled, plain.pooled)


@pytest.mark.parametrize(("text", "role", "asked", "zeros"), [
    ("", "uncond", True, True), ("", "uncond", False, False), ("", "cond", True, False), ("blurry", "uncond", True, False),
])
@torch.inference_mode()
def test_an_empty_negative_prompt_is_zeros_unless_it_is_switched_off(model, text, role, asked, zeros) -> None:
    settings = model.text_settings(Request(sdxl_zero_negative=asked), role, (96, 64), [text])
    encoded = model.encode_text(text, settings)
    assert encoded.tokens.shape == (77, 96)
    assert bool((encoded.tokens == 0).all()) == zeros == bool((encoded.pooled[:-6] == 0).all())
    assert encoded.pooled[-6:].tolist() == [96, 64, 0, 0, 96, 64], "sizes are told all the same"


def test_sizes_and_crop_are_told(model: Model) -> None:
    request = Request(sdxl_crop_top=16, sdxl_crop_left=40)
    encoded = model.encode_text("a fox", model.text_settings(request, "cond", (1024, 768), ["a fox"]))
    assert encoded.pooled[-6:].tolist() == [1024, 768, 16, 40, 1024, 768]


@torch.inference_mode()
def test_a_special_word_that_one_tokenizer_knows_leaves_both_halves_equally_long(model: Model) -> None:
    encoded = model.encode_text("<|endoftext|> " * 20, PLAIN)
    assert encoded.tokens.shape == (2 * 77, 96), "one chunk for the first encoder, two for the second"


# ---- memory ----

def halved(networks: ldm.Networks) -> dict[str, torch.Tensor]:
    return {name: t.half() if t.is_floating_point() else t for name, t in ldm.layout(networks).items()}


@torch.inference_mode()
def test_the_second_encoder_stays_narrow_and_computes_as_if_it_were_wide(networks: ldm.Networks, tmp_path: Path) -> None:
    loaded = load(one_file(tmp_path, halved(networks)), FLOAT32)
    kept = loaded.text_encoders[1]
    assert kept.text_projection.weight.dtype == torch.float16 and kept.text_model.final_layer_norm.weight.dtype == torch.float32
    wide = CLIPTextModelWithProjection(kept.config).eval()
    wide.load_state_dict({name: tensor.float() for name, tensor in kept.state_dict().items()})
    expected = replace_second(loaded, wide).encode_text("a (red:1.3) fox", PLAIN)
    ours = loaded.encode_text("a (red:1.3) fox", PLAIN)
    assert torch.equal(ours.tokens, expected.tokens) and torch.equal(ours.pooled, expected.pooled)


def replace_second(model: Model, encoder: torch.nn.Module) -> Model:
    return replace(model, text_encoders=(model.text_encoders[0], encoder))


def test_a_narrow_file_on_a_card_takes_the_cards_format(networks: ldm.Networks, tmp_path: Path) -> None:
    half = Placement(torch.device("cpu"), torch.bfloat16, torch.bfloat16, torch.bfloat16)
    loaded = load(one_file(tmp_path, halved(networks)), half)
    assert {p.dtype for network in loaded.networks() for p in network.parameters()} == {torch.bfloat16}


MEASURED = """
import gc, os, sys
gc.disable()
from pathlib import Path
import torch
from backend.catalog.model_catalog import ModelCatalog
from backend.worker.device import Placement
from backend.worker.models.loader import load

def status(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

torch.set_num_threads(1)        # a process that is forked has no other
catalog = ModelCatalog((Path(sys.argv[1]),))
placement = Placement(torch.device("cpu"), torch.bfloat16, torch.float32, torch.float32)
gc.enable()
load(catalog.find("checkpoint", "warm"), placement)
for layout in ("file", "folder"):
    if not os.fork():           # each where nothing was freed that it could use
        Path("/proc/self/clear_refs").write_text("5")       # the peak starts anew
        before = status("VmRSS")
        model = load(catalog.find("checkpoint", layout), placement)
        print(status("VmHWM") - before)
        sys.exit()
    os.wait()
"""


def test_loading_takes_little_more_memory_than_the_file_has_bytes(tmp_path: Path) -> None:
    """float16 files of some hundred megabytes, most of them the UNet's, as in a file of full size."""
    wide = ldm.tiny_sdxl()
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(wide.unet.config, block_out_channels=(64, 256, 640), attention_head_dim=(1, 4, 10))
    wide.unet = unet.half().to_empty(device="cpu")
    for network in (wide.vae, wide.text, wide.text_2):
        network.half()
    one_file(tmp_path, halved(ldm.tiny_sdxl()), "warm")
    folder = ldm.save_folder(wide, tmp_path / "checkpoints" / "folder")
    sizes = [Path(one_file(tmp_path, halved(wide), "file").path).stat().st_size, sum(file.stat().st_size for file in folder.rglob("*.safetensors"))]
    ran = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, check=True, cwd=HOME)
    taken = [int(line) for line in ran.stdout.split()]
    assert min(sizes) > 150e6
    assert [0.8 * size < each < 1.2 * size for size, each in zip(sizes, taken, strict=True)] == [True, True], (sizes, taken)


# ---- the catalogue ----

@pytest.mark.parametrize(("name", "values"), [
    ("model", {"width": 1024, "height": 1024}),
    ("sd_xl_turbo_1.0", {"width": 512, "height": 512, "steps": 4, "cfg_scale": 1.0, "sampler": "Euler a", "schedule": "Turbo"}),
    ("xl_lightning_8step", {"width": 1024, "height": 1024, "steps": 8, "cfg_scale": 1.0, "sampler": "Euler",
                            "schedule": "SGM Uniform"}),
])
def test_the_catalogue_knows_what_suits_it(networks: ldm.Networks, tmp_path: Path, name: str, values: dict) -> None:
    checkpoint = one_file(tmp_path, ldm.layout(networks), name)
    assert (checkpoint.family, checkpoint.problem, checkpoint.defaults) == ("sdxl", "", values)


def test_every_part_of_the_file_has_a_place() -> None:
    assert set(SDXL.prefixes.values()) == set(SDXL.formats(FLOAT32))
    assert ldm_layout.UNET_PREFIX in SDXL.prefixes
