"""Nobody waits for the card between two steps: tensors that only pretend to lie on one go through the whole loop.

They have no contents, so whatever asks for a number of one fails here, as it would wait there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from backend.sampling.noise import ImageNoise
from backend.sampling.samplers import SAMPLERS
from backend.sampling.seeds import NoiseSpec
from backend.worker.adapters.adapter import Use
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.lora_branches import Branches
from backend.worker.adapters.network_file import FittedLayer, LowRank
from backend.worker.adapters.reference import REFERENCES
from backend.worker.device import Placement
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Said, Strength, guided
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.lazy_latents import Calculate, LazyLatent, calculate, lazy_noise
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.encoded_text import Encoded
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from backend.worker.models.sd1 import SD1
from tests.tiny.ldm import tiny
from tests.tiny.test_rows import model as toy

__all__ = ["toy"]
CARD = torch.device("cuda")
SIGMAS = [10.0, 4.0, 1.5, 0.5, 0.0]
ADAPTIVE = {name for name, row in SAMPLERS.items() if row.adaptive}
SHAPE = (4, 8, 8)


class NoWaiting(TorchDispatchMode):
    """Raises at a copy between the card and main memory for which somebody waits; any to main memory is one."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        given = [each for each in args if isinstance(each, Tensor)]
        if "copy" in str(operation) and isinstance(made, Tensor):
            devices = {each.device.type for each in (*given, made)}
            blocks = not (kwargs or {}).get("non_blocking", args[2] if "copy_" in str(operation) and len(args) > 2 else False)
            if len(devices) > 1 and (blocks or made.device.type == "cpu"):
                raise AssertionError(f"{operation} waits for the card")
        return made


@pytest.fixture(scope="module")
def config() -> Mapping[str, Any]:
    return dict(tiny().unet.config)


@pytest.fixture(scope="module")
def pretending(config: Mapping[str, Any], toy: Model) -> Iterator[FakeTensorMode]:
    with torch.no_grad(), FakeTensorMode() as mode:
        yield mode


@pytest.fixture(scope="module")
def model(toy: Model, config: Mapping[str, Any], pretending: FakeTensorMode) -> Model:
    with CARD:
        network = UNet2DConditionModel.from_config(dict(config)).eval()
    plain = {name: getattr(toy, name) for name in ("checkpoint", "text_encoders", "vae", "parametrisation", "preview_factors")}
    made = SD1(**plain, placement=Placement(CARD, *[torch.float32] * 3), denoiser=network, tokenizer=None)
    made.kept_words = ResultCache(lambda coming: 1 << 30)
    return made


@pytest.fixture
def strict(pretending: FakeTensorMode) -> Iterator[None]:
    with NoWaiting():
        yield


def lora(model: Model, weight: float) -> Branches:
    path = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    module = model.denoiser.get_submodule(path)
    down, up = (torch.randn(*shape, device=CARD) for shape in ((4, module.in_features), (module.out_features, 4)))
    return Branches({path: FittedLayer(module, "lora", 4, {}, "", LowRank(down, up, 1.0))}, weight, key=weight, kept=None)


class Uses(Hook):
    """Has all rows use these."""

    def __init__(self, *uses: Use) -> None:
        self.uses = uses

    def rows(self, noisy: Any, rows: list) -> list:
        return [replace(row, uses=self.uses) for row in rows]


def plain(model: Model) -> tuple[tuple[Branches, ...], tuple[Hook, ...]]:
    return (), ()


def with_lora(model: Model) -> tuple[tuple[Branches, ...], tuple[Hook, ...]]:
    return (lora(model, 0.8),), ()


def with_controlnet(model: Model) -> tuple[tuple[Branches, ...], tuple[Hook, ...]]:
    with CARD:
        network = ControlNetModel.from_unet(model.denoiser, conditioning_embedding_out_channels=(4, 8, 8, 16), load_weights_from_unet=False)
    net = ControlNet(network.eval(), kept_words=model.kept_words)
    data = torch.rand(3, 64, 64, device=CARD), torch.ones(net.places)
    return (), (Uses(Use(net, 0.8, data)),)


def with_reference(model: Model) -> tuple[tuple[Branches, ...], tuple[Hook, ...]]:
    data = torch.randn(SHAPE, device=CARD), torch.randn(SHAPE, device=CARD), torch.tensor([0.5]).to(CARD, non_blocking=True)
    return (), (Uses(Use(REFERENCES["reference_adain+attn"], 0.5, data)),)


def sampled(model: Model, name: str, branches: tuple[Branches, ...] = (), hooks: tuple[Hook, ...] = ()) -> Tensor:
    """The whole loop, from the first noise to the last latent."""
    noise = ImageNoise(NoiseSpec(seed=1, source="CPU"), SHAPE, device=CARD)
    words = [Said(Encoded(torch.randn(77, 32, device=CARD)), branches=branches) for _ in range(2)]
    parts = [Conditioning(((4, each),)) for each in words]
    strength = Strength(5.0, rescale=0.5, keep_uncond=SAMPLERS[name].needs_uncond)
    denoiser = CFGDenoiser(model, model.parametrisation, parts[:1], parts[1], strength, hooks)
    x = LazyLatent(noise.initial() * SIGMAS[0])
    drawing = guided(SAMPLERS[name].start(x, SIGMAS, lazy_noise(noise)), denoiser, lambda *heard: None)
    work = drawing.send(None)
    while True:
        try:
            work = drawing.send(calculate([work])[0] if isinstance(work, Calculate) else denoise(work))
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("name", ["Euler", "Euler a", "DPM++ 2M", "DPM++ SDE", "UniPC", "Restart", "LMS", "DDIM"])
def test_samplers(model: Model, strict: None, name: str) -> None:
    assert sampled(model, name).device.type == CARD.type


@pytest.mark.parametrize("beside", [with_lora, with_controlnet, with_reference])
def test_what_changes_the_network(
    model: Model, pretending: FakeTensorMode, beside: Callable[[Model], tuple[tuple[Branches, ...], tuple[Hook, ...]]]
) -> None:
    branches, hooks = beside(model)
    with NoWaiting():
        assert sampled(model, "Euler", branches, hooks).device.type == CARD.type


def test_waiting_would_be_seen(strict: None) -> None:
    x = torch.randn(3, device=CARD)
    for waits in (lambda: x.cpu(), lambda: torch.ones(3).to(CARD), lambda: torch.tensor([1.0], device=CARD)):
        with pytest.raises(AssertionError):
            waits()
    for waits in (lambda: x.sum().item(), lambda: bool(x.any()), lambda: x.tolist()):
        with pytest.raises(DataDependentOutputException):
            waits()
