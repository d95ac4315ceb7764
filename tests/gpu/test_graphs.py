"""Network calls replayed from CUDA graphs: the same bits as the calls themselves, and memory that is given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.messages import Picture
from backend.prompt.network_terms import Applied
from backend.request.request import Request
from backend.settings import HOME
from backend.worker.adapters.network_file import read_network
from backend.worker.adapters.prompt_networks import PromptNetworks
from backend.worker.device import place
from backend.worker.guidance.network_call import NetworkCall
from backend.worker.guidance.row import Row
from backend.worker.models.graph_capture import GRAPHS, CudaGraph
from backend.worker.models.graph_replay import SEEN, Recordings
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.result_cache import ResultCache
from tests.tiny.networks import attention, lora, save, tensors
from tests.tiny.test_engine import Studio, neighbours

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
REQUEST = Request(prompt="a red circle on a blue background", width=128, height=128, seed=1, variation_seed=1, cfg_scale=5)


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory(place("cuda"))


@pytest.fixture(scope="module")
def model(memory: Memory) -> Model:
    return memory.get(ModelCatalog((HOME / "models",)).find("checkpoint", "demo"))


@pytest.fixture
def recordings() -> Recordings:
    return Recordings(ResultCache(lambda coming: 8 << 30), CudaGraph)


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def row(model: Model, seed: int, sigma: float = 2.0, text: str = "a red circle", **more: object) -> Row:
    shape = model.latent_shape(128, 128)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(model.device)
    return Row(x * 3, sigma, model.encode_text(text), model, model.parametrisation, **more)


def replayed(recordings: Recordings, rows: list[Row]) -> tuple[Tensor, Tensor]:
    """What a recording gives, and what the call gives."""
    call = NetworkCall(rows)
    return recordings.run(call).clone(), call.run(call.inputs)


@pytest.mark.parametrize("count", [16, 4, 2, 1])
def test_to_the_bit_at_every_count(model: Model, recordings: Recordings, count: int) -> None:
    for seed in range(SEEN + 4):
        rows = [row(model, seed + place, sigma=1.0 + seed, text=f"a circle {seed}") for place in range(count)]
        assert torch.equal(*replayed(recordings, rows))
    assert recordings._kept.bytes and not recordings._refused


def test_another_weight_of_a_lora_replays_the_same_graph(
    model: Model, memory: Memory, recordings: Recordings, tmp_path: Path
) -> None:
    content = tensors(model.denoiser, "lora_unet_", attention(model.denoiser), lora(16))
    content = {name: tensor.cpu() for name, tensor in content.items()}
    file = read_network(ModelFile("lora", "x", str(save(tmp_path / "x.safetensors", content))), model.placement)
    networks = PromptNetworks(model, {("lora", "x"): file}, memory)
    for weight in (*[0.8] * (SEEN + 1), 0.2, -1.0, 0.5):
        changes = networks.unet([Applied("lora", "x", 1.0, weight)])
        rows = [row(model, 1, branches=changes.branches), row(model, 2)]
        assert torch.equal(*replayed(recordings, rows))
    assert len(recordings._kept._held) == 1 and not recordings._refused


def test_an_engine_draws_the_same_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = ModelCatalog((HOME / "models",)).find("checkpoint", "demo")

    def drawn(use: str, policy: str) -> list[bytes]:
        monkeypatch.setenv(GRAPHS, use)
        studio = Studio((Memory(place("cuda")), {"first": demo}), policy)
        studio.add("mine", REQUEST.replace(width=64, height=64, steps=12))
        if policy == "packed":
            neighbours(studio, 1)
        return [each.pixels for each in sorted(studio.run().of(Picture), key=lambda each: (each.job, each.index))]

    for policy in ("solo", "packed"):
        assert drawn("", policy) == drawn("off", policy)


def test_their_memory_is_given_back_with_the_model() -> None:
    before = torch.cuda.memory_allocated()
    memory = Memory(place("cuda"))
    model = memory.get(ModelCatalog((HOME / "models",)).find("checkpoint", "demo"))
    for seed in range(SEEN + 2):
        call = NetworkCall([row(model, seed), row(model, seed + 1)])
        memory.recordings.run(call)
    assert memory.recordings._kept.bytes
    del model, call
    memory.clear()
    assert torch.cuda.memory_allocated() - before < 2**20
