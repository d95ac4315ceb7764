"""On a card: products of 8-bit numbers are those of the rounded numbers, and compiled blocks draw the same within rounding."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import torch
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from backend.worker.models.compiled_regions import CompiledRegions
from extensions.fp8_layers.worker import ROW_SCALES_SINCE, EightBitLayer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("rows", [(1, 16), (2, 77), (3, 5, 64)])
def test_the_cards_products_in_8_bits_are_those_of_the_rounded_numbers(rows: tuple[int, ...]) -> None:
    if torch.cuda.get_device_capability() < ROW_SCALES_SINCE:
        pytest.skip("this card has no products of 8-bit numbers with a scale for each row")
    layer = nn.Linear(640, 320)
    x = torch.randn(*rows, 640)
    expected = EightBitLayer(layer)(x)
    made = EightBitLayer(layer.to("cuda", torch.float16))(x.to("cuda", torch.float16))
    assert made.shape == expected.shape and made.dtype == torch.float16
    assert (made.cpu().float() - expected).norm() / expected.norm() < 0.02


@pytest.mark.skipif(not shutil.which("gcc"), reason="triton needs a C compiler")
def test_a_compiled_block_gives_the_same_within_rounding_at_every_size_and_count(caplog: pytest.LogCaptureFixture) -> None:
    block = ResnetBlock2D(in_channels=32, temb_channels=64).to("cuda").requires_grad_(False)
    regions = CompiledRegions.of(nn.Sequential(block))
    for shape in ((2, 32, 16, 24), (4, 32, 16, 16), (8, 32, 8, 24)):
        x, time = torch.randn(shape, device="cuda"), torch.randn(shape[0], 64, device="cuda")
        expected = block(x, time)
        with regions.attached(()):
            assert (block(x, time) - expected).norm() / expected.norm() < 1e-3
    assert not caplog.records
