"""What cards have fast kernels for is what networks are asked for: fused attention, and convolutions with channels last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from backend.catalog.model_catalog import ModelCatalog
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.lora_branches import Branches
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.adapters.reference import REFERENCES
from backend.worker.device import place
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from tests.tiny.ldm import save_folder, tiny

SHAPE = (4, 8, 8)
FUSED = "scaled_dot_product_attention"


class Asked(TorchFunctionMode):
    """What torch is asked for, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        self.names.append(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(), folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)).get(ModelCatalog((folder,)).find("checkpoint", "first"))


def plain(model: Model) -> dict[str, Any]:
    return {}


def with_lora(model: Model) -> dict[str, Any]:
    path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    module = model.denoiser.get_submodule(path)
    down, up = torch.randn(4, module.in_features), torch.randn(module.out_features, 4)
    return {"branches": (Branches({path: FittedLayer(module, "lora", 4, {}, "", LowRank(down, up, 1.0))}, 0.8, key=1, kept=None),)}


def with_controlnet(model: Model) -> dict[str, Any]:
    network = ControlNetModel.from_unet(model.denoiser, conditioning_embedding_out_channels=(4, 8, 8, 16), load_weights_from_unet=False)
    net = ControlNet(network.eval(), kept_words=model.kept_words)
    return {"uses": (Use(net, 0.8, (torch.rand(3, 64, 64), torch.ones(net.places))),)}


def with_reference(model: Model) -> dict[str, Any]:
    data = torch.randn(SHAPE), torch.randn(SHAPE), torch.tensor([0.5])
    return {"uses": (Use(REFERENCES["reference_adain+attn"], 0.5, data),)}


@torch.inference_mode()
@pytest.mark.parametrize("beside", [plain, with_lora, with_controlnet, with_reference])
def test_attention_is_fused_whatever_is_attached(model: Model, beside: Any) -> None:
    attentions = sum(hasattr(module, "processor") for module in model.denoiser.modules())
    with Asked() as asked:
        denoise([Row(torch.randn(SHAPE), 2.0, model.encode_text("a cat"), model, model.parametrisation, **beside(model))])
    assert asked.names.count(FUSED) >= attentions
    assert not {"softmax", "get_attention_scores"} & set(asked.names), "attention is nowhere made from its parts"


@torch.inference_mode()
def test_words_and_pictures_go_through_fused_attention_too(model: Model) -> None:
    for use in (lambda: model.encode_text("a cat"), lambda: model.decode(torch.randn(1, *SHAPE))):
        with Asked() as asked:
            use()
        assert FUSED in asked.names and "softmax" not in asked.names


@torch.inference_mode()
@pytest.mark.parametrize("part", ["denoiser", "vae"])
def test_convolutions_have_their_channels_last_from_the_file_to_the_answer(model: Model, part: str) -> None:
    network, seen = getattr(model, part), []

    def look(module: nn.Conv2d, given: tuple[Tensor, ...], made: Tensor) -> None:
        seen.append(made.is_contiguous(memory_format=torch.channels_last))

    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert all(each.weight.is_contiguous(memory_format=torch.channels_last) for each in convolutions)
    handles = [each.register_forward_hook(look) for each in convolutions]
    try:
        if part == "vae":
            model.encode(model.decode(torch.randn(1, *SHAPE)))
        else:
            denoise([Row(torch.randn(SHAPE), 2.0, model.encode_text("a cat"), model, model.parametrisation)])
    finally:
        for handle in handles:
            handle.remove()
    assert seen and all(seen)


def test_they_stay_so_in_another_number_format(tmp_path: Path) -> None:
    save_folder(tiny(), tmp_path / "checkpoints" / "first")
    model = Memory(place("cpu", exact=True)).get(ModelCatalog((tmp_path,)).find("checkpoint", "first"))
    for network in (model.denoiser.half(), model.vae.half().float()):
        kernels = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
        assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
