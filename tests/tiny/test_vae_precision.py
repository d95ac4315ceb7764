"""A VAE whose numbers outgrow float16: found by its result, worked again in float32, and that remembered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from backend.errors import EaselError
from backend.worker.models import vae
from backend.worker.models.preview_colours import preview_factors
from backend.worker.models.vae_tiles import Tiles, decode_tiled, encode_tiled
from tests.tiny import ldm

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
LATENT = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
SMALL = Tiles(4, 1)

USES: dict[str, Callable[[nn.Module], object]] = {
    "decode": lambda network: vae.decode(network, LATENT),
    "decode in tiles": lambda network: decode_tiled(network, LATENT, SMALL),
    "encode": lambda network: vae.encode(network, PICTURE),
    "encode in tiles": lambda network: encode_tiled(network, PICTURE, SMALL),
    "preview colours": preview_factors,
}


def made(scale: float = 3e5) -> nn.Module:
    """Its first layers give numbers beyond float16, which the norms behind them bring back."""
    network = ldm.tiny_sdxl().vae
    for conv in (network.encoder.conv_in, network.decoder.conv_in):
        conv.weight.data *= scale
    return network.requires_grad_(False)


@pytest.mark.parametrize("use", USES)
@torch.inference_mode()
def test_what_outgrows_float16_is_done_again_in_float32_once(use: str) -> None:
    narrow, wide, calls = made().half(), made().half().float(), []
    counted = narrow.decoder.conv_in if use.startswith("decode") else narrow.encoder.conv_in
    counted.register_forward_hook(lambda module, *rest: calls.append(module.weight.dtype))
    first = USES[use](narrow)
    assert narrow.dtype == torch.float32
    assert np.array_equal(np.asarray(first), np.asarray(USES[use](wide)))
    USES[use](narrow)
    assert calls.count(torch.float16) == 1, "it is tried once only"


@torch.inference_mode()
def test_a_broken_latent_does_not_widen_the_vae() -> None:
    network = ldm.tiny_sdxl().vae.half()
    with pytest.raises(EaselError, match="finite"):
        vae.decode(network, torch.full((1, 4, 8, 8), float("nan")))
    assert network.dtype == torch.float16
