"""On a card: pictures that are made beside the next steps, and arithmetic of several pictures at once, change no bit."""

from __future__ import annotations

import pytest
import torch

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Done, Picture
from backend.request.request import Request
from backend.sampling.samplers import SAMPLERS
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.models.memory import Memory
from backend.worker.models.side_stream import CudaSideStream, Later, NoStream, at_once
from tests.tiny.test_engine import Studio, neighbours

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
REQUEST = Request(prompt="a red circle on a blue background", width=128, height=128, steps=8, seed=1, variation_seed=1, cfg_scale=5)


@pytest.fixture(scope="module")
def house() -> tuple[Memory, dict]:
    return Memory(place("cuda")), {"first": ModelCatalog((HOME / "models",)).find("checkpoint", "demo")}


def drawn(house: tuple[Memory, dict], request: Request, policy: str) -> list[bytes]:
    studio = Studio(house, policy)
    studio.add("mine", request)
    if policy == "packed":
        neighbours(studio, 1)
    studio.run()
    assert studio.of(Done, "mine")
    return [each.pixels for each in sorted(studio.of(Picture), key=lambda each: (each.job, each.index))]


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_pictures_are_what_they_are_without_a_second_stream(house: tuple[Memory, dict], monkeypatch, policy: str) -> None:
    request = REQUEST.replace(batch_count=3, width=64, height=64) if policy == "packed" else REQUEST.replace(batch_count=4)
    beside = drawn(house, request, policy)
    monkeypatch.setattr(house[0], "side", NoStream())
    assert drawn(house, request, policy) == beside


@pytest.mark.parametrize("sampler", ["Euler a", "DPM++ 2M", "DPM++ 2M SDE", "UniPC", "Heun", "DDIM", "LMS"])
def test_arithmetic_at_once_is_one_by_one_to_the_bit(house: tuple[Memory, dict], monkeypatch, sampler: str) -> None:
    request = REQUEST.replace(batch_size=4, sampler=sampler)
    together = drawn(house, request, "solo")
    monkeypatch.setattr(SAMPLERS, "owner_of", lambda name: "an extension")
    assert drawn(house, request, "solo") == together


@torch.inference_mode()
def test_results_are_right_while_the_main_stream_takes_and_writes_memory(house: tuple[Memory, dict]) -> None:
    memory, checkpoints = house
    model = memory.get(checkpoints["first"])
    latents = [torch.randn(1, *model.latent_shape(256, 256), device=model.device) for _ in range(4)]
    expected = [at_once(model.decoding(latent)) for latent in latents]
    stream, coming = CudaSideStream(model.device), []
    for latent in latents:
        copy = latent.clone()
        coming.append(Later(model.decoding(copy), stream, [copy]))
        del copy
        for _ in range(20):         # whoever is given the memory that was let go of writes into it
            torch.full_like(latent, float("nan"))
    assert all((later.get() == picture).all() for later, picture in zip(coming, expected, strict=True))


@torch.inference_mode()
def test_a_latent_comes_to_the_main_stream_when_it_is_there(house: tuple[Memory, dict]) -> None:
    memory, checkpoints = house
    model = memory.get(checkpoints["first"])
    pixels = model.decode(torch.randn(1, *model.latent_shape(256, 256), device=model.device))
    later = Later(model.encoding(pixels), CudaSideStream(model.device))
    assert torch.equal(later.get() * 2, model.encode(pixels) * 2)


@torch.inference_mode()
def test_beginning_it_waits_for_nothing(house: tuple[Memory, dict]) -> None:
    memory, checkpoints = house
    model, stream = memory.get(checkpoints["first"]), CudaSideStream(house[0].placement.device)
    latent = torch.randn(1, *model.latent_shape(128, 128), device=model.device)
    Later(model.decoding(latent), stream, [latent]).get()       # what libraries set up at first
    torch.cuda.set_sync_debug_mode("error")
    try:
        later = Later(model.decoding(latent), stream, [latent])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert later.get().shape == (1, 128, 128, 3)
