"""Upscalers on a graphics card."""

import numpy as np
import pytest
import torch

pytest.importorskip("torchvision", reason="spandrel's networks need torchvision", exc_type=ImportError)

from backend.catalog.model_file import UPSCALER, ModelFile
from backend.worker.device import place
from backend.worker.models.upscaler import load
from tests.tiny import upscalers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def test_an_upscaler_in_float16_gives_the_picture_of_float32(tmp_path):
    file = ModelFile(UPSCALER, "x", str(upscalers.save(upscalers.compact(4, features=64, convolutions=8), tmp_path / "x.pth")))
    card, cpu = load(file, place("cuda")), load(file, place("cpu"))
    tile = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    assert card.network.dtype == torch.float16 and cpu.network.dtype == torch.float32
    assert card.traits.tile >= cpu.traits.tile
    assert np.abs(card.run(tile).astype(int) - cpu.run(tile)).max() <= 3
