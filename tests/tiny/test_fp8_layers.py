"""Layers in 8 bits: near to the exact ones, each row with its own scale, beside LoRAs and merged weights, and gone after the call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from backend.worker.adapters.adapter import Use
from backend.worker.adapters.merged import MergedWeights
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Row
from backend.worker.models.graph_capture import RepeatedCall
from backend.worker.models.graph_replay import SEEN, Recordings
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from extensions.fp8_layers.worker import FP8, EightBitLayer, EightBits, rounded
from tests.tiny.test_compiled_regions import model, styled
from tests.tiny.test_controlnet import row

__all__ = ["model"]


@pytest.fixture(autouse=True)
def inference(model: Model) -> Iterator[None]:
    model.derived = ResultCache(lambda coming: 1 << 30)
    with torch.inference_mode():
        yield


def answer(each: Row) -> Tensor:
    return denoise([each])[0].denoised


def test_each_row_is_rounded_by_its_own_scale_within_8_bits() -> None:
    x = torch.randn(5, 64) * torch.tensor([1e-4, 0.1, 1.0, 300.0, 0.0])[:, None]
    found, scale = rounded(x)
    error = (found.float() * scale - x).abs().amax(dim=1) / x.abs().amax(dim=1).clamp_min(1e-30)
    assert found.dtype == torch.float8_e4m3fn and scale.shape == (5, 1)
    assert (error <= 2**-4).all() and not (found.float() * scale)[4].any()


def test_a_layer_is_near_the_exact_one() -> None:
    layer = nn.Linear(64, 32)
    x = torch.randn(2, 7, 64)
    made, exact = EightBitLayer(layer)(x), layer(x)
    assert 0 < (made - exact).norm() / exact.norm() < 0.06


def test_a_call_is_near_the_exact_one_and_leaves_nothing(model: Model) -> None:
    plain, given = answer(row(model, 1)), row(model, 1, uses=(Use(FP8),))
    near = answer(given)
    assert 0 < (near - plain).norm() / plain.norm() < 0.1
    assert torch.equal(answer(row(model, 1)), plain)
    bits = EightBits(model.denoiser)
    assert len(bits.layers) > 4 and not any("forward" in vars(each.layer[0]) for each in bits.layers)
    assert not any(".attn2.to_k" in name for name, module in model.denoiser.named_modules()
                   if any(module is each.layer[0] for each in bits.layers)), "words are kept"


def test_a_lora_still_counts_and_merged_weights_are_not_hidden(model: Model) -> None:
    both = replace(styled(model, 1, 0.5), uses=(Use(FP8),))
    assert (answer(both) - answer(row(model, 1, uses=(Use(FP8),)))).abs().max() > 1e-3
    module = EightBits(model.denoiser).layers[0].layer[0]
    other = MergedWeights({module: (module.weight + 1, None)})
    x = torch.randn(3, module.in_features)
    with other.attached():
        expected = module(x)
        attachment = FP8.attachment(model, [], [])
        with attachment.attach(()):
            assert torch.equal(module(x), expected)


def test_such_calls_are_recorded(model: Model) -> None:
    model.recordings = Recordings(ResultCache(lambda coming: 1 << 30), RepeatedCall)
    each = row(model, 1, uses=(Use(FP8),))
    for step in range(SEEN + 2):
        answer(replace(each, sigma=5.0 - step))
    held, refused = model.recordings._kept.bytes, model.recordings._refused
    model.recordings = None
    assert held and not refused
