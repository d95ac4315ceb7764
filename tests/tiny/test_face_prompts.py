"""FaceID in all its kinds, and InstantID: one call against diffusers' own path or the formula of the authors."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.worker.adapters import ip_adapter
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.ip_adapter_attention_weights import attention_weights
from backend.worker.adapters.ip_adapter_projection import Shown
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.clip_vision import Seen
from backend.worker.models.encoded_text import stacked
from backend.worker.models.model_base import Model
from tests.tiny import controlnets, ip_adapters
from tests.tiny.test_controlnet import FAMILIES, hint, model, own, row
from tests.tiny.test_controlnet import use as control

__all__ = ["FAMILIES", "model", "own"]
BOUND = 1e-5


def opened(folder: Path, kind: str, content: dict, model: Model) -> IPAdapter:
    home = "instant_id" if kind == "instant_id" else "ip_adapter"
    (folder / home).mkdir(parents=True, exist_ok=True)
    torch.save(content, folder / home / f"{kind}.bin")
    found = ModelCatalog((folder,)).find(home, kind)
    assert not found.problem
    return ip_adapter.load(found, model)


def seen(seed: int) -> Seen:
    noise = torch.Generator().manual_seed(seed)
    return Seen(torch.randn(1, ip_adapters.PROJECTION, generator=noise), *(torch.randn(1, 5, ip_adapters.WIDTH, generator=noise) for _ in range(2)))


def face(seed: int) -> Tensor:
    return torch.randn(1, ip_adapters.IDENTITY, generator=torch.Generator().manual_seed(seed)) * 3


def merged(model: Model, content: dict) -> torch.nn.Module:
    """A copy of the UNet with a FaceID LoRA in its weights."""
    unet, table = copy.deepcopy(model.denoiser), content["ip_adapter"]
    for number, name in enumerate(unet.attn_processors):
        attention = unet.get_submodule(name.removesuffix(".processor"))
        for part, layer in {"q": attention.to_q, "k": attention.to_k, "v": attention.to_v, "out": attention.to_out[0]}.items():
            if f"{number}.to_{part}_lora.up.weight" in table:
                layer.weight.data += table[f"{number}.to_{part}_lora.up.weight"] @ table[f"{number}.to_{part}_lora.down.weight"]
    return unet


def theirs(model: Model, each: Row, content: dict, embeds: Tensor, clip: Tensor | None, shortcut: bool, **more: object) -> Tensor:
    unet = merged(model, content)
    unet._load_ip_adapter_weights([content], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.7]
    layer = unet.encoder_hid_proj.image_projection_layers[0]
    if clip is not None:
        layer.clip_embeds, layer.shortcut = clip, shortcut
    return called(unet, model, each, {"image_embeds": [embeds]}, **more)


def called(unet: torch.nn.Module, model: Model, each: Row, conditions: dict[str, object], **more: object) -> Tensor:
    texts, at, x = stacked([each.encoded]), each.parametrisation.scalings(each.sigma), each.x[None]
    conditions = conditions | sizes(each)
    output = unet(x * at.c_in, torch.tensor([at.timestep]), texts.tokens, added_cond_kwargs=conditions, return_dict=False, **more)[0]
    return (x * at.c_skip + output * at.c_out)[0]


def sizes(each: Row) -> dict[str, Tensor]:
    texts = stacked([each.encoded])
    if texts.pooled is None:
        return {}
    pooled, numbers = texts.pooled.split([texts.pooled.shape[-1] - 6, 6], dim=-1)
    return {"text_embeds": pooled, "time_ids": numbers}


def ours(model: Model, adapter: IPAdapter, tokens: Tensor, *, strength: float = 0.7, uses: tuple[Use, ...] = (), **more: object) -> Tensor:
    lora = adapter.branches(model, 1.0)
    use = Use(adapter, strength, (tokens, attention_weights(model)))
    return denoise([row(model, uses=(use, *uses), branches=(lora,) if lora else (), **more)])[0].denoised


@torch.inference_mode()
@pytest.mark.parametrize("kind", ip_adapters.FACES)
def test_every_layout_for_faces_gives_what_its_authors_give(model: Model, tmp_path: Path, kind: str) -> None:
    content = ip_adapters.ip_adapter(model.denoiser, kind)
    adapter = opened(tmp_path, kind, content, model)
    prompt = adapter.projection.prompt([Shown(seen(1), seen(2), face(3))], "Concatenate")
    normed = face(3) / face(3).norm()
    plus, raw = "plus" in kind, kind == "instant_id"
    before = denoise([row(model)])[0].denoised
    for tokens, identity, looked in ((prompt.picture, face(3) if raw else normed, seen(1)), (prompt.none, torch.zeros(1, 512), seen(2))):
        embeds = identity[:, None, None] if raw else identity[:, None]
        expected = theirs(model, row(model), content, embeds, looked.inner[:, None] if plus else None, kind.endswith("v2"))
        assert (ours(model, adapter, tokens) - expected).abs().max() < BOUND
        assert (expected - before).abs().max() > 1e-3, "it does something"
    assert bool(adapter.loras) == (kind in ip_adapters.CARRY_LORA)
    assert torch.equal(denoise([row(model)])[0].denoised, before), "nothing stays"


@torch.inference_mode()
def test_plus_v2_adds_the_identity_again(model: Model, tmp_path: Path) -> None:
    content = ip_adapters.ip_adapter(model.denoiser, "ip-adapter-faceid-plusv2")
    shown = [Shown(seen(1), seen(2), face(3))]
    with_shortcut, without = (opened(tmp_path, f"ip-adapter-faceid-{name}", content, model).projection for name in ("plusv2", "plus"))
    network = with_shortcut.network
    network.clip_embeds, network.shortcut = seen(1).inner[:, None], False
    resampled = network(face(3) / face(3).norm())
    identity = network.norm(network.proj(face(3) / face(3).norm()).reshape(1, 4, -1))
    assert (with_shortcut.prompt(shown, "Average").picture - (identity + resampled)[0]).abs().max() < BOUND
    assert (without.prompt(shown, "Average").picture - resampled[0]).abs().max() < BOUND


@torch.inference_mode()
@pytest.mark.parametrize("combine", ["Concatenate", "Average"])
def test_several_references_of_one_person(model: Model, tmp_path: Path, combine: str) -> None:
    faces = [face(number) for number in (3, 4, 5)]
    shown = [Shown(face=each) for each in faces]
    adapter = opened(tmp_path, "instant_id", ip_adapters.ip_adapter(model.denoiser, "instant_id"), model)
    prompt = adapter.projection.prompt(shown, combine)
    sequence = torch.stack(faces, 1) if combine == "Concatenate" else torch.stack(faces).mean(0)[:, None]
    assert torch.equal(prompt.picture, adapter.projection.network(sequence)[0])
    assert prompt.picture.shape == prompt.none.shape
    plain = opened(tmp_path, "ip-adapter-faceid", ip_adapters.ip_adapter(model.denoiser, "ip-adapter-faceid"), model)
    tokens = plain.projection.prompt(shown, combine).picture
    alone = [plain.projection.prompt([each], combine).picture for each in shown]
    assert torch.equal(tokens, torch.cat(alone)) if combine == "Concatenate" else tokens.shape == alone[0].shape


@torch.inference_mode()
def test_instant_id_with_both_of_its_parts(model: Model, own: object, tmp_path: Path) -> None:
    """The formula: IdentityNet reads the identity in place of the words; the UNet looks at it beside them."""
    content = ip_adapters.ip_adapter(model.denoiser, "instant_id")
    adapter = opened(tmp_path, "instant_id", content, model)
    prompt = adapter.projection.prompt([Shown(face=face(3))], "Average")
    each, at = row(model), row(model).parametrisation.scalings(row(model).sigma)
    network = controlnets.controlnet(model.denoiser)
    down, middle = network(each.x[None] * at.c_in, torch.tensor([at.timestep]), prompt.picture[None], controlnet_cond=hint()[None],
                           conditioning_scale=0.8, added_cond_kwargs=sizes(each), return_dict=False)
    expected = theirs(model, each, content, face(3)[:, None, None], None, False,
                      down_block_additional_residuals=down, mid_block_additional_residual=middle)
    identity = Use(own, 0.8, (hint(), torch.ones(own.places), torch.ones(1, 64, 96), prompt.picture))
    found = ours(model, adapter, prompt.picture, uses=(identity,))
    assert (found - expected).abs().max() < BOUND
    assert (found - ours(model, adapter, prompt.picture, uses=(control(own),))).abs().max() > 1e-4, "not what it reads by words"


@torch.inference_mode()
def test_weights_by_attention_and_a_region_as_diffusers_has_them(model: Model, tmp_path: Path) -> None:
    from diffusers.image_processor import IPAdapterMaskProcessor  # noqa: F401 - the reference reads masks through it

    content = ip_adapters.ip_adapter(model.denoiser, "plus")
    (tmp_path / "ip_adapter").mkdir()
    save_file(ip_adapters.flat(content), tmp_path / "ip_adapter" / "x.safetensors")
    adapter = ip_adapter.load(ModelCatalog((tmp_path,)).find("ip_adapter", "x"), model)
    tokens = adapter.projection.prompt([Shown(seen(1), seen(2))], "Average").picture
    mask = torch.zeros(64, 96)
    mask[:, 48:] = 1
    weights = torch.linspace(0, 1, len(adapter.pairs))
    unet = copy.deepcopy(model.denoiser)
    unet._load_ip_adapter_weights([content], low_cpu_mem_usage=False)
    processors = [module.processor for module in ip_adapter.cross_attentions(unet)]
    for processor, weight in zip(processors, weights.tolist(), strict=True):
        processor.scale = [0.7 * weight]
    each = row(model)
    expected = called(unet, model, each, {"image_embeds": [seen(1).inner[:, None]]}, cross_attention_kwargs={"ip_adapter_masks": [mask[None, None]]})
    found = denoise([row(model, uses=(Use(adapter, 0.7, (tokens, weights, mask)),))])[0].denoised
    assert (found - expected).abs().max() < BOUND
    everywhere = denoise([row(model, uses=(Use(adapter, 0.7, (tokens, weights)),))])[0].denoised
    assert (found - everywhere).abs().max() > 1e-4
    none = denoise([row(model, uses=(Use(adapter, 0.7, (tokens, weights * 0)),))])[0].denoised
    assert torch.equal(none, denoise([row(model)])[0].denoised), "an attention that counts nothing is left as it is"
