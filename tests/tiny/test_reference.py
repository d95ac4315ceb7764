"""Reference-only and reference-AdaIN against the formula of sd-webui-controlnet, and nothing stays."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from torch import Tensor

from backend.worker.adapters.adapter import Use
from backend.worker.adapters.reference import REFERENCES, attention_layers, statistics_layers
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.encoded_text import stacked
from backend.worker.models.model_base import Model
from tests.tiny.test_controlnet import model, own, row, use

__all__ = ["model", "own"]


def random(seed: int) -> Tensor:
    return torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(seed))


def refers(kind: str, strength: float = 1.0, fidelity: float = 0.5) -> Use:
    return Use(REFERENCES[kind], strength, (random(50), random(51), torch.tensor([fidelity])))


def theirs(model: Model, each: object, kind: str, weight: float, fidelity: float) -> Tensor:
    """Written as the extension does: every layer's forward is another one that writes or reads its bank."""
    unet, mode = model.denoiser, {"write": True}
    at, texts = each.parametrisation.scalings(each.sigma), stacked([each.encoded])
    more = {}
    if texts.pooled is not None:
        pooled, sizes = texts.pooled.split([texts.pooled.shape[-1] - 6, 6], dim=-1)
        more["added_cond_kwargs"] = {"text_embeds": pooled, "time_ids": sizes}

    def mixed(own_one: Tensor, changed: Tensor) -> Tensor:
        kept = own_one.clone() if each.role == "uncond" and fidelity > 1e-5 else changed.clone()
        return fidelity * kept + (1 - fidelity) * changed

    def attention(module: torch.nn.Module, layer: float):
        original, bank = module.forward, []

        def forward(x: Tensor, **named: object) -> Tensor:
            if mode["write"]:
                if weight > layer:
                    bank.append(x.clone())
                return original(x)
            return mixed(original(x), original(x, encoder_hidden_states=torch.cat([x, *bank], dim=1))) if bank else original(x)

        return forward

    def statistics(module: torch.nn.Module, layer: float):
        original, bank = module.forward, []

        def forward(*given: object, **named: object) -> object:
            found = original(*given, **named)
            x = found[0] if isinstance(found, tuple) else found
            var, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
            if mode["write"]:
                if weight > layer:
                    bank.append((var, mean))
                return found
            if not bank:
                return found
            std, (their_var, their_mean) = torch.maximum(var, torch.zeros_like(var) + 1e-6) ** 0.5, bank[0]
            y = mixed(x, (x - mean) / std * torch.maximum(their_var, torch.zeros_like(var) + 1e-6) ** 0.5 + their_mean)
            return (y, *found[1:]) if isinstance(found, tuple) else y

        return forward

    changed = ([(attention, attention_layers(unet))] if kind != "reference_adain" else []) + ([(statistics, statistics_layers(unet))] if kind != "reference_only" else [])
    with ExitStack() as stack:
        for make, layers in changed:
            for module, layer in layers:
                module.forward = make(module, layer)
                stack.callback(module.__dict__.pop, "forward")
        noised = (random(50) + each.sigma * random(51))[None] * at.c_in
        unet(noised, torch.tensor([at.timestep]), texts.tokens, return_dict=False, **more)
        mode["write"] = False
        output = unet(each.x[None] * at.c_in, torch.tensor([at.timestep]), texts.tokens, return_dict=False, **more)[0]
    return (each.x[None] * at.c_skip + output * at.c_out)[0]


@torch.inference_mode()
@pytest.mark.parametrize("kind", REFERENCES)
def test_rows_are_guided_as_the_formula_says_and_nothing_stays(model: Model, own: object, kind: str) -> None:
    plain = denoise([row(model)])[0].denoised
    before = {name: each.clone() for name, each in model.denoiser.state_dict().items()}
    settings = [("cond", 1.0, 0.5), ("uncond", 1.0, 0.5), ("uncond", 1.0, 1.0), ("uncond", 0.6, 0.0), ("cond", 0.0, 0.5)]
    rows = [row(model, role=role, uses=(refers(kind, weight, fidelity),)) for role, weight, fidelity in settings]
    assert len({each.key for each in rows}) == 1, "strengths and fidelities do not keep rows apart"
    answers = [answer.denoised for answer in denoise(rows)]
    for (_, weight, fidelity), each, answer in zip(settings, rows, answers, strict=True):
        assert (answer - theirs(model, each, kind, weight, fidelity)).abs().max() < 1e-5
    assert torch.allclose(answers[4], plain, atol=1e-5) and torch.allclose(answers[2], plain, atol=1e-5)
    assert min((answers[number] - plain).abs().max() for number in (0, 1, 3)) > 1e-4
    both = row(model, uses=(use(own, 0.5), refers(kind)))
    assert (denoise([both])[0].denoised - answers[0]).abs().max() > 1e-4, "beside a ControlNet"
    assert torch.equal(denoise([row(model)])[0].denoised, plain)
    assert all(torch.equal(each, before[name]) for name, each in model.denoiser.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.denoiser.modules())


@torch.inference_mode()
def test_a_higher_weight_lets_more_layers_take_part(model: Model) -> None:
    layers = attention_layers(model.denoiser)
    assert [weight for _, weight in layers] == sorted(weight for _, weight in layers) and layers[0][1] == 0 and layers[-1][1] < 1
    assert layers[0][0].to_q.in_features >= layers[-1][0].to_q.in_features
    assert statistics_layers(model.denoiser)[0] == (model.denoiser.mid_block, 0.0)
