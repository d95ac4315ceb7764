"""ControlNets: every layout of their files, one call against diffusers' own, several together, and nothing stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.worker.adapters import controlnet
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.device import place
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.encoded_text import stacked
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny import controlnets
from tests.tiny.ldm import save_folder, tiny, tiny_sdxl

FAMILIES = {"sd1": tiny, "sdxl": tiny_sdxl}


@pytest.fixture(scope="module", params=list(FAMILIES))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp(request.param)
    save_folder(FAMILIES[request.param](), folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)).get(ModelCatalog((folder,)).find("checkpoint", "first"))


def difference(network: torch.nn.Module, model: Model) -> dict[str, Tensor]:
    unet = model.denoiser.state_dict()
    plain = {name: tensor - unet[name] if name in unet and unet[name].shape == tensor.shape else tensor
             for name, tensor in network.state_dict().items()}
    whole = controlnets.controlnet(model.denoiser)
    whole.load_state_dict(plain)
    return controlnets.ldm(whole, "") | {"difference": torch.tensor([])}


def control_lora(network: torch.nn.Module, model: Model, theirs: bool = True) -> dict[str, Tensor]:
    """Products for the weights of the trunk, the rest whole, in `theirs`, Stability's, names or diffusers'.

    `network` becomes what it stands for.
    """
    unet, found, named = model.denoiser.state_dict(), {"lora_controlnet": torch.tensor([])}, network.state_dict()
    torch.manual_seed(4)
    for name, tensor in named.items():
        file_name = controlnets.ldm_name(name, network) if theirs else name
        if name not in unet or tensor.dim() < 2:
            found[file_name] = tensor
            continue
        up, down = torch.randn(tensor.shape[0], 2, *[1] * (tensor.dim() - 2)) * 0.1, torch.randn(2, *tensor.shape[1:]) * 0.1
        stem = file_name.removesuffix(".weight")
        found |= {f"{stem}.up": up, f"{stem}.down": down}
        named[name].copy_(unet[name] + (up.flatten(1) @ down.flatten(1)).reshape(tensor.shape))
    return found


LAYOUTS: dict[str, tuple[str, Callable[[torch.nn.Module, Model], dict[str, Tensor]]]] = {
    "lllyasviel's": ("x.pth", lambda network, model: controlnets.ldm(network)),
    "without prefix": ("x.safetensors", lambda network, model: controlnets.ldm(network, "")),
    "diffusers": ("x.safetensors", lambda network, model: network.state_dict()),
    "difference": ("x.safetensors", difference),
    "Control-LoRA": ("x.safetensors", control_lora),
    "Control-LoRA in diffusers' names": ("x.safetensors", lambda network, model: control_lora(network, model, False)),
}


def opened(folder: Path, model: Model) -> ControlNet:
    file = ModelCatalog((folder,)).find("controlnet", "x")
    assert not file.problem
    return controlnet.load(file, model)


@pytest.fixture(scope="module")
def own(model: Model, tmp_path_factory: pytest.TempPathFactory) -> ControlNet:
    folder = tmp_path_factory.mktemp("own")
    controlnets.controlnet(model.denoiser).save_pretrained(folder / "controlnet" / "x")
    return opened(folder, model)


def row(model: Model, seed: int = 0, **more: object) -> Row:
    x = torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(seed))
    return Row(x * 3, 2.0, encoded(model, f"cat {seed}"), model, model.parametrisation, **more)


def encoded(model: Model, text: str):
    return model.encode_text(text)


def hint(seed: int = 7) -> Tensor:
    return torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(seed))


def use(net: ControlNet, strength: float = 0.8, seed: int = 7, weights: Tensor | None = None) -> Use:
    return Use(net, strength, (hint(seed), torch.ones(net.places) if weights is None else weights))


def theirs(model: Model, rows: list[Row], uses: list[tuple[torch.nn.Module, float, Tensor]]) -> Tensor:
    """What diffusers' own classes give for these rows."""
    x = torch.stack([each.x for each in rows])
    at = rows[0].parametrisation.scalings(rows[0].sigma)
    texts, times = stacked([each.encoded for each in rows]), torch.full((len(rows),), at.timestep)
    more = {}
    if texts.pooled is not None:
        pooled, sizes = texts.pooled.split([texts.pooled.shape[-1] - 6, 6], dim=-1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}
    down, middle = None, None
    for network, strength, picture in uses:
        new = network(x * at.c_in, times, texts.tokens, controlnet_cond=picture.expand(len(rows), -1, -1, -1),
                      conditioning_scale=strength, return_dict=False, **more)
        down, middle = new if down is None else ([a + b for a, b in zip(down, new[0], strict=True)], middle + new[1])
    output = model.denoiser(x * at.c_in, times, texts.tokens, down_block_additional_residuals=down,
                            mid_block_additional_residual=middle, return_dict=False, **more)[0]
    return x * at.c_skip + output * at.c_out


@torch.inference_mode()
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_what_diffusers_gives(model: Model, tmp_path: Path, layout: str) -> None:
    network = controlnets.controlnet(model.denoiser)
    name, make = LAYOUTS[layout]
    file, content = tmp_path / "controlnet" / name, make(network, model)        # some change the network
    file.parent.mkdir()
    content = {key: tensor.contiguous() for key, tensor in content.items()}
    torch.save(content, file) if name.endswith(".pth") else save_file(content, file)
    net = opened(tmp_path, model)
    rows = [row(model, seed, uses=(use(net),)) for seed in (1, 2)]
    ours = torch.stack([answer.denoised for answer in denoise(rows)])
    assert (ours - theirs(model, rows, [(network, 0.8, hint())])).abs().max() < 1e-5
    assert (ours - theirs(model, rows, [])).abs().max() > 1e-3, "it does something"


@torch.inference_mode()
def test_a_folder_and_two_units_together(model: Model, own: ControlNet) -> None:
    network = controlnets.controlnet(model.denoiser)
    both = row(model, uses=(use(own, 0.8), use(own, -0.3, seed=9)))
    ours = denoise([both])[0].denoised
    assert (ours - theirs(model, [both], [(network, 0.8, hint()), (network, -0.3, hint(9))])[0]).abs().max() < 1e-5


@torch.inference_mode()
def test_rows_have_their_own_strengths_hints_and_weights_and_nothing_stays(model: Model, own: ControlNet) -> None:
    plain, before = denoise([row(model)])[0].denoised, {name: each.clone() for name, each in model.denoiser.state_dict().items()}
    fading = torch.linspace(0.1, 1, own.places)
    rows = [row(model, uses=(use(own, 0.0),)), row(model, uses=(use(own, 0.5),)), row(model, uses=(use(own, 0.5, seed=1),)),
            row(model, uses=(use(own, 0.5, weights=fading),))]
    assert len({each.key for each in rows}) == 1, "strengths and hints do not keep rows apart"
    answers = [answer.denoised for answer in denoise(rows)]
    assert torch.allclose(answers[0], plain, atol=1e-5)
    for number in range(1, 4):
        assert torch.allclose(answers[number], denoise([rows[number]])[0].denoised, atol=1e-5)
        assert (answers[number] - answers[number - 1]).abs().max() > 1e-4
    swapped = [denoise([rows[1], other])[0].denoised for other in rows[2:]]
    assert torch.equal(*swapped), "at one row count a row does not depend on its neighbours"
    assert torch.equal(denoise([row(model)])[0].denoised, plain)
    assert all(torch.equal(each, before[name]) for name, each in model.denoiser.state_dict().items())
    assert not model.denoiser._forward_pre_hooks


@torch.inference_mode()
@pytest.mark.parametrize("kinds", [6, 8])
def test_a_controlnet_of_several_kinds_gives_what_diffusers_gives(model: Model, tmp_path: Path, kinds: int) -> None:
    network = controlnets.union(model.denoiser, kinds)
    file = tmp_path / "controlnet" / "x.safetensors"
    file.parent.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file)
    net, answers = opened(tmp_path, model), []
    for kind in (0, kinds - 1):
        typed = net.of_kind(kind)
        assert typed is net.of_kind(kind)
        each = row(model, uses=(use(typed),))
        answers.append(denoise([each])[0].denoised)
        asked = torch.zeros(1, kinds)
        asked[:, kind] = 1
        shown = lambda x, times, words, *, controlnet_cond, kind=kind, asked=asked, **more: network(  # noqa: E731
            x, times, words, [controlnet_cond], asked, [kind], conditioning_scale=[more.pop("conditioning_scale")], **more)
        assert (answers[-1] - theirs(model, [each], [(shown, 0.8, hint())])[0]).abs().max() < 1e-5
    assert (answers[0] - answers[1]).abs().max() > 1e-4


@torch.inference_mode()
def test_a_region_and_shuffle(model: Model, own: ControlNet) -> None:
    plain, whole = denoise([row(model)])[0].denoised, denoise([row(model, uses=(use(own),))])[0].denoised
    nowhere, left = torch.zeros(1, 64, 96), torch.zeros(1, 64, 96)
    left[..., :48] = 1
    inside = {name: denoise([row(model, uses=(Use(own, 0.8, (*use(own).data, region)),))])[0].denoised
              for name, region in (("nowhere", nowhere), ("left", left), ("everywhere", nowhere + 1))}
    assert torch.allclose(inside["nowhere"], plain, atol=1e-5) and torch.allclose(inside["everywhere"], whole, atol=1e-5)
    assert (inside["left"] - whole).abs().max() > 1e-4 < (inside["left"] - plain).abs().max()
    pooled = ControlNet(own.network, pools=True)
    network = own.network
    network.register_to_config(global_pool_conditions=True)
    try:
        each = row(model, uses=(use(pooled),))
        assert (denoise([each])[0].denoised - theirs(model, [each], [(network, 0.8, hint())])[0]).abs().max() < 1e-5
    finally:
        network.register_to_config(global_pool_conditions=False)
