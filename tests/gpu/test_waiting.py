"""CUDA itself says when somebody waits for the card between two steps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from backend.catalog.model_catalog import ModelCatalog
from backend.sampling.noise import ImageNoise
from backend.sampling.samplers import SAMPLERS
from backend.sampling.seeds import NoiseSpec
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Said, Strength, guided
from backend.worker.guidance.preconditioning import denoise
from backend.worker.models.graph_replay import SEEN
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
SIGMAS = [10.0, 6.0, 4.0, 2.5, 1.5, 1.0, 0.5, 0.2, 0.0]


@pytest.fixture(scope="module")
def model() -> Model:
    return Memory(place("cuda")).get(ModelCatalog((HOME / "models",)).find("checkpoint", "demo"))


@pytest.fixture
def strict() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@torch.inference_mode()
@pytest.mark.parametrize("name", ["Euler", "Euler a", "DPM++ 2M", "UniPC"])
def test_a_loop_after_its_calls_are_recorded(model: Model, strict: None, name: str) -> None:
    shape = model.latent_shape(128, 128)
    parts = [Conditioning(((len(SIGMAS), Said(model.encode_text(text))),)) for text in ("a red circle", "")]
    for attempt in range(SEEN):
        noise = ImageNoise(NoiseSpec(seed=1), shape, device=model.device)
        denoiser = CFGDenoiser(model, model.parametrisation, parts[:1], parts[1], Strength(5.0))
        drawing = guided(SAMPLERS[name].start(noise.initial() * SIGMAS[0], SIGMAS, noise), denoiser, lambda *heard: None)
        rows, running = drawing.send(None), True
        if attempt == SEEN - 1:
            torch.cuda.set_sync_debug_mode("error")
        while running:
            try:
                rows = drawing.send(denoise(rows))
            except StopIteration:
                running = False
