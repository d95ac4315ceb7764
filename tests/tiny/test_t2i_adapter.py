"""T2I-Adapters and style adapters: every layout of their files against diffusers' own, and nothing stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.catalog.guide_files import misfit
from backend.catalog.model_catalog import ModelCatalog
from backend.worker.adapters import t2i_adapter
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.style_adapter import StyleAdapter
from backend.worker.adapters.t2i_adapter import T2IAdapter
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.encoded_text import stacked
from backend.worker.models.model_base import Model
from tests.tiny import t2i_adapters
from tests.tiny.test_controlnet import hint, model, own, row, use

__all__ = ["model", "own"]
WIDTHS = {2: (32, 64), 3: (32, 64, 128, 128)}


def opened(folder: Path, content: dict[str, Tensor], model: Model, name: str = "x.safetensors") -> T2IAdapter | StyleAdapter:
    file = folder / "t2i_adapter" / name
    file.parent.mkdir(exist_ok=True)
    content = {key: each.contiguous() for key, each in content.items()}
    torch.save(content, file) if name.endswith(".pth") else save_file(content, file)
    found = ModelCatalog((folder,)).find("t2i_adapter", "x")
    assert not found.problem and not misfit(found, model.checkpoint)
    return t2i_adapter.load(found, model)


def kinds(model: Model) -> list[str]:
    """Those that are made for networks like this one."""
    return ["full_adapter_xl"] if len(model.denoiser.config.block_out_channels) == 3 else ["full_adapter", "light_adapter"]


def own_use(adapter: T2IAdapter, strength: float = 0.8, seed: int = 7, region: Tensor | None = None) -> Use:
    found = adapter.features(hint(seed))
    return Use(adapter, strength, (torch.ones(len(found)), torch.ones(1, 8, 12) if region is None else region, *found))


def theirs(model: Model, each: object, network: torch.nn.Module | None, scale: float, picture: Tensor) -> Tensor:
    """What diffusers' own classes give."""
    texts, at, x = stacked([each.encoded]), each.parametrisation.scalings(each.sigma), each.x[None]
    more = {}
    if texts.pooled is not None:
        pooled, sizes = texts.pooled.split([texts.pooled.shape[-1] - 6, 6], dim=-1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    residuals = [feature * scale for feature in network(picture[None])] if network else None
    output = model.denoiser(x * at.c_in, torch.tensor([at.timestep]), texts.tokens, down_intrablock_additional_residuals=residuals, return_dict=False, **more)[0]
    return (x * at.c_skip + output * at.c_out)[0]


@torch.inference_mode()
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("layout", ["authors", "diffusers"])
def test_every_layout_gives_what_diffusers_gives(model: Model, tmp_path: Path, layout: str, grey: bool) -> None:
    for kind in kinds(model):
        network = t2i_adapters.adapter(kind, WIDTHS[len(model.denoiser.config.block_out_channels)], grey)
        content = t2i_adapters.authors(network) if layout == "authors" and kind != "full_adapter_xl" else network.state_dict()
        adapter = opened(tmp_path, content, model)
        each = row(model, 1, uses=(own_use(adapter),))
        ours, picture = denoise([each])[0].denoised, hint().mean(dim=0, keepdim=True) if grey else hint()
        assert (ours - theirs(model, each, network, 0.8, picture)).abs().max() < 1e-5
        assert (ours - theirs(model, each, None, 0.8, picture)).abs().max() > 1e-3, "it does something"


@torch.inference_mode()
def test_rows_have_their_own_strengths_and_regions_beside_a_controlnet_and_nothing_stays(model: Model, own: object, tmp_path: Path) -> None:
    kind = kinds(model)[0]
    adapter = opened(tmp_path, t2i_adapters.adapter(kind, WIDTHS[len(model.denoiser.config.block_out_channels)]).state_dict(), model)
    plain, nowhere = denoise([row(model)])[0].denoised, torch.zeros(1, 8, 12)
    left = nowhere.clone()
    left[..., :6] = 1
    rows = [row(model, uses=(one, use(own, 0.5))) for one in (own_use(adapter, 0.0), own_use(adapter, region=nowhere), own_use(adapter, region=left), own_use(adapter))]
    assert len({each.key for each in rows}) == 1
    answers = [answer.denoised for answer in denoise(rows)]
    without = denoise([row(model, uses=(use(own, 0.5),))])[0].denoised
    assert torch.allclose(answers[0], without, atol=1e-5) and torch.allclose(answers[1], without, atol=1e-5)
    assert (answers[2] - answers[3]).abs().max() > 1e-4 and (answers[2] - without).abs().max() > 1e-4
    for number, answer in enumerate(answers):
        assert torch.allclose(answer, denoise([rows[number]])[0].denoised, atol=1e-5)
    assert torch.equal(denoise([row(model)])[0].denoised, plain) and not model.denoiser._forward_pre_hooks


@torch.inference_mode()
def test_a_style_adapter_gives_what_the_authors_formula_gives(model: Model, tmp_path: Path) -> None:
    if len(model.denoiser.config.block_out_channels) == 3:
        pytest.skip("style adapters are made for SD1")
    content = t2i_adapters.style()
    adapter = opened(tmp_path, content, model)
    picture = torch.randn(1, 5, 128)
    assert isinstance(adapter, StyleAdapter)
    assert (adapter.vectors(picture) - t2i_adapters.TheirStyle(content)(picture)[0]).abs().max() < 1e-5
