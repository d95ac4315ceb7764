"""Random stacks of guides and networks: rows are what they are alone, and when all have left nothing has changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.worker.adapters.adapter import Use
from backend.worker.adapters.controlnet import ControlNet
from backend.worker.adapters.ip_adapter import IPAdapter
from backend.worker.adapters.t2i_adapter import T2IAdapter
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.model_base import Model
from tests.tiny import ip_adapters, t2i_adapters
from tests.tiny import test_ip_adapter as ip
from tests.tiny import test_t2i_adapter as t2i
from tests.tiny.test_controlnet import model, own, row, use
from tests.tiny.test_reference import refers

__all__ = ["model", "own"]
Loaded = tuple[Model, ControlNet, IPAdapter, T2IAdapter]


@pytest.fixture(scope="module")
def loaded(model: Model, own: ControlNet, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("stacks")
    picture = ip.opened(folder, "x.bin", model, ip_adapters.ip_adapter(model.denoiser, "plain"))
    adapter = t2i_adapters.adapter(t2i.kinds(model)[0], t2i.WIDTHS[len(model.denoiser.config.block_out_channels)])
    return model, own, picture, t2i.opened(folder, adapter.state_dict(), model)


def used(loaded: Loaded, kind: str, strength: float) -> Use:
    _, own, picture, adapter = loaded
    if kind == "controlnet":
        return use(own, strength)
    if kind == "picture":
        width = picture.pairs[0].key.shape[1]
        tokens = torch.randn(4, width, generator=torch.Generator().manual_seed(3))
        return Use(picture, strength, (tokens, torch.ones(len(picture.pairs))))
    return t2i.own_use(adapter, strength) if kind == "t2i" else refers(kind, strength)


STACKS = st.lists(st.tuples(st.sampled_from(["controlnet", "picture", "t2i", "reference_only", "reference_adain"]), st.floats(0.1, 1.5)),
                  max_size=4, unique_by=lambda one: one[0])


@torch.inference_mode()
@given(stack=STACKS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_whatever_was_attached_leaves_no_trace(loaded: Loaded, stack: list[tuple[str, float]]) -> None:
    model = loaded[0]
    plain = denoise([row(model)])[0].denoised
    weights = {name: tensor.clone() for name, tensor in model.denoiser.state_dict().items()}
    uses = tuple(used(loaded, kind, strength) for kind, strength in stack)
    rows = [row(model, 1, uses=uses), row(model, 2, uses=uses, role="uncond")]
    together = [answer.denoised for answer in denoise(rows)]
    for each, answer in zip(rows, together, strict=True):
        assert torch.allclose(denoise([each])[0].denoised, answer, atol=1e-5)
    assert torch.equal(denoise([row(model)])[0].denoised, plain)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.denoiser.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.denoiser.modules())


SHARED = st.lists(st.lists(st.tuples(st.sampled_from(["controlnet", "picture", "t2i"]), st.floats(0.1, 1.5)), max_size=4), min_size=2, max_size=5)


@torch.inference_mode()
@given(stacks=SHARED)
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_rows_with_different_stacks_share_a_call_and_are_what_they_are_alone(loaded: Loaded, stacks: list[list[tuple[str, float]]]) -> None:
    model = loaded[0]
    plain = [row(model, seed) for seed in range(len(stacks) + 1)]
    rows = [*(replace(each, uses=tuple(used(loaded, *one) for one in stack)) for each, stack in zip(plain, stacks, strict=False)), plain[-1]]
    assert len({each.key for each in rows}) == 1
    together = [answer.denoised for answer in denoise(rows)]
    for each, answer in zip(rows, together, strict=True):
        assert torch.allclose(denoise([each])[0].denoised, answer, atol=1e-5)
    bare = [answer.denoised for answer in denoise(plain)]
    for each, answer, without in zip(rows, together, bare, strict=True):
        assert torch.equal(answer, without) != bool(each.uses), "a row without guides keeps its bits"
