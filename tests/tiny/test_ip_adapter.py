"""IP-Adapters: every layout, one call against diffusers' own, beside a LoRA and a ControlNet, and nothing stays."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPImageProcessor

from backend.catalog.model_catalog import ModelCatalog
from backend.errors import CheckpointError
from backend.worker.adapters import ip_adapter
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.ip_adapter_attention_weights import attention_weights
from backend.worker.adapters.ip_adapter_projection import PicturePrompt, Shown
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models import clip_vision
from backend.worker.models.clip_vision import ClipVision
from backend.worker.models.encoded_text import stacked
from backend.worker.models.model_base import Model
from tests.tiny import ip_adapters
from tests.tiny.test_controlnet import model, own, row, use

__all__ = ["model", "own"]
PIXELS = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)


def opened(folder: Path, name: str, model: Model, content: dict) -> IPAdapter:
    file = folder / "ip_adapter" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, file) if name.endswith(".bin") else save_file(ip_adapters.flat(content), file)
    found = ModelCatalog((folder,)).find("ip_adapter", file.stem)
    assert not found.problem
    return ip_adapter.load(found, model)


def tower(folder: Path, model: Model, *, single: bool = False) -> ClipVision:
    network = ip_adapters.tower()
    if single:
        file = folder / "clip_vision" / "h.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()} | {"logit_scale": torch.ones(1)}, file)
    else:
        network.save_pretrained(folder / "clip_vision" / "h")
    return clip_vision.load(ModelCatalog((folder,)).find("clip_vision", "h"), model.placement)


def every(model: Model) -> Tensor:
    return attention_weights(model)


def prompt_of(adapter: IPAdapter, *shown: Shown, combine: str = "Concatenate") -> PicturePrompt:
    return adapter.projection.prompt(shown, combine)


def theirs(model: Model, each: Row, content: dict, scale: float, embeds: Tensor) -> Tensor:
    unet = copy.deepcopy(model.denoiser)
    unet._load_ip_adapter_weights([content], low_cpu_mem_usage=False)
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale]
    texts, at = stacked([each.encoded]), each.parametrisation.scalings(each.sigma)
    more: dict[str, object] = {"image_embeds": [embeds]}
    if texts.pooled is not None:
        pooled, sizes = texts.pooled.split([texts.pooled.shape[-1] - 6, 6], dim=-1)
        more |= {"text_embeds": pooled, "time_ids": sizes}
    x = each.x[None]
    output = unet(x * at.c_in, torch.tensor([at.timestep]), texts.tokens, added_cond_kwargs=more, return_dict=False)[0]
    return (x * at.c_skip + output * at.c_out)[0]


@torch.inference_mode()
@pytest.mark.parametrize("kind", ip_adapters.PROJECTIONS)
@pytest.mark.parametrize("ending", ["bin", "safetensors"])
def test_every_layout_gives_what_diffusers_gives(model: Model, tmp_path: Path, kind: str, ending: str) -> None:
    content = ip_adapters.ip_adapter(model.denoiser, kind)
    adapter, sees = opened(tmp_path, f"x.{ending}", model, content), tower(tmp_path, model, single=ending == "bin")
    process = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    shown = process(images=[PIXELS], return_tensors="pt")["pixel_values"]
    told = [ip_adapters.tower()(each, output_hidden_states=True) for each in (shown, torch.zeros_like(shown))]
    embeds = [told[0].image_embeds, torch.zeros_like(told[0].image_embeds)] if kind == "plain" else [each.hidden_states[-2] for each in told]
    prompt = prompt_of(adapter, Shown(sees.seen(PIXELS), sees.nothing()))
    for number, tokens in enumerate((prompt.picture, prompt.none)):
        each = row(model, number, uses=(Use(adapter, 0.7, (tokens, every(model))),))
        ours = denoise([each])[0].denoised
        assert (ours - theirs(model, each, content, 0.7, embeds[number][:, None])).abs().max() < 1e-5
        assert (ours - denoise([row(model, number)])[0].denoised).abs().max() > 1e-3, "it does something"


@torch.inference_mode()
def test_rows_have_their_own_strengths_and_nothing_stays(model: Model, own: object, tmp_path: Path) -> None:
    adapter, sees = opened(tmp_path, "x.bin", model, ip_adapters.ip_adapter(model.denoiser, "plus")), tower(tmp_path, model)
    prompt = prompt_of(adapter, Shown(sees.seen(PIXELS), sees.nothing()))
    picture, none = prompt.picture, prompt.none
    plain, processors = denoise([row(model)])[0].denoised, dict(model.denoiser.attn_processors)
    rows = [row(model, uses=(Use(adapter, strength, (tokens, every(model))),)) for strength, tokens in ((0.0, picture), (0.5, picture), (0.5, none), (1.0, picture))]
    assert len({each.key for each in rows}) == 1
    answers = [answer.denoised for answer in denoise(rows)]
    assert torch.allclose(answers[0], plain, atol=1e-5)
    for number in range(1, 4):
        assert torch.allclose(answers[number], denoise([rows[number]])[0].denoised, atol=1e-5)
        assert (answers[number] - answers[number - 1]).abs().max() > 1e-4
    swapped = [denoise([rows[1], other])[0].denoised for other in rows[2:]]
    assert torch.equal(*swapped), "at one row count a row does not depend on its neighbours"
    both = [denoise([row(model, uses=uses)])[0].denoised for uses in ((use(own), Use(adapter, 0.5, (picture, every(model)))), (Use(adapter, 0.5, (picture, every(model))), use(own)))]
    assert torch.allclose(*both, atol=1e-5) and not torch.allclose(both[0], answers[1], atol=1e-4)
    assert torch.equal(denoise([row(model)])[0].denoised, plain)
    assert model.denoiser.attn_processors == processors


def test_files_for_other_networks_are_refused(model: Model, tmp_path: Path) -> None:
    content = ip_adapters.ip_adapter(model.denoiser, "plain")
    fewer = {"image_proj": content["image_proj"], "ip_adapter": dict(list(content["ip_adapter"].items())[2:])}
    with pytest.raises(CheckpointError, match="cross-attentions"):
        opened(tmp_path, "few.bin", model, fewer)
    wide = {name: torch.cat([tensor, tensor]) for name, tensor in content["ip_adapter"].items()}
    with pytest.raises(CheckpointError, match="another size"):
        opened(tmp_path, "wide.bin", model, content | {"ip_adapter": wide})


@pytest.mark.parametrize("size", [(1, 60), (3, 60), (60, 3)])
def test_three_rows_of_pixels_are_not_three_channels(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setattr(ClipVision, "_told", lambda self, picture: picture)
    shown = tower(tmp_path, model).seen(np.full((*size, 3), (255, 0, 0), np.uint8))
    assert shown.flatten(2).std(-1).max() < 1e-5 and shown[0, 0].mean() > shown[0, 1].mean(), "a red picture is red everywhere"
