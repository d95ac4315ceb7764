"""LoRA from the prompt to the picture: equal to merged weights, row by row, and gone without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import backend.worker.engine.engine as engines
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.needed_files import files_of
from backend.messages import Failed, Picture, Run
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.models.memory import Memory
from tests.tiny.ldm import Networks, save_single, tiny
from tests.tiny.networks import attention, lora, save, tensors

BASE = Request(prompt="a cat", negative_prompt="bad", steps=3, width=64, height=64, seed=1, cfg_scale=5.0,
               sampler="Euler", checkpoint="first")


class Studio:
    """An engine over a folder of models, driven to the end."""

    def __init__(self, folder: Path, policy: str = "packed") -> None:
        self.catalog = ModelCatalog((folder,))
        self.memory = Memory(place("cpu", exact=True))
        self.events: list[object] = []
        self.engine = Engine(self.memory, policy, self.events.append)

    def add(self, job: str, request: Request) -> None:
        self.engine.add(Run(job, "local", request, tuple(range(request.count)), files_of(request, self.catalog)))

    def run(self) -> None:
        with torch.inference_mode():
            while self.engine.step():
                assert len(self.events) < 10_000

    def draw(self, **changes: object) -> Picture:
        self.add(f"job {len(self.events)}", BASE.replace(**changes))
        self.run()
        assert not [each for each in self.events if isinstance(each, Failed)], self.events
        return [each for each in self.events if isinstance(each, Picture)][-1]

    @property
    def model(self):
        return self.memory.get(self.catalog.find("checkpoint", "first"))


def merged(network: nn.Module, prefix: str, file: dict[str, Tensor], strength: float) -> None:
    """The plain formula: W + strength * alpha / rank * up down."""
    for path, module in network.named_modules():
        name = f"{prefix}{path.replace('.', '_')}"
        if f"{name}.lora_up.weight" in file:
            up, down = file[f"{name}.lora_up.weight"], file[f"{name}.lora_down.weight"]
            alpha = float(file.get(f"{name}.alpha", down.shape[0]))
            made = alpha / down.shape[0] * (up.flatten(1) @ down.flatten(1)).reshape(module.weight.shape)
            module.weight.data += strength * made


@pytest.fixture(scope="module")
def kohya() -> dict[str, Tensor]:
    networks = tiny()
    return tensors(networks.unet, "lora_unet_", attention(networks.unet), lora()) | tensors(
        networks.text, "lora_te_text_model_", attention(networks.text), lora(), seed=1)


@pytest.fixture
def studio(tmp_path: Path, kohya: dict[str, Tensor]) -> Studio:
    torch.set_num_threads(1)
    save_single(tiny(), tmp_path / "checkpoints" / "first.safetensors")
    save(tmp_path / "loras" / "style.safetensors", kohya)
    return Studio(tmp_path)


def pixels(picture: Picture) -> Tensor:
    return torch.frombuffer(bytearray(picture.pixels), dtype=torch.uint8).float()


def test_a_lora_draws_what_merged_weights_draw(studio: Studio, tmp_path: Path, kohya: dict[str, Tensor]) -> None:
    plain = studio.draw()
    styled = studio.draw(prompt="a cat <lora:style:0.8>")
    assert styled.pixels != plain.pixels
    networks: Networks = tiny()
    merged(networks.unet, "lora_unet_", kohya, 0.8)
    merged(networks.text, "lora_te_text_model_", kohya, 0.8)
    save_single(networks, tmp_path / "truth" / "checkpoints" / "first.safetensors")
    truth = Studio(tmp_path / "truth").draw()
    assert (pixels(truth) - pixels(styled)).abs().max() <= 1 < (pixels(truth) - pixels(plain)).abs().max()
    assert any("style: " in note and " of " in note for note in styled.notes)


def test_without_with_without(studio: Studio) -> None:
    before = {name: each.clone() for name, each in studio.model.denoiser.state_dict().items()}
    first, second, third = (studio.draw(prompt=prompt) for prompt in ("a cat", "a cat <lora:style:1>", "a cat"))
    assert first.pixels == third.pixels != second.pixels
    assert studio.draw(prompt="a cat <lora:style:0>").pixels == first.pixels
    assert all(torch.equal(each, before[name]) for name, each in studio.model.denoiser.state_dict().items())


def test_eight_rows_with_eight_networks_share_calls_and_are_as_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks and strengths differ; each picture has the bits that it has among seven copies of itself."""
    networks = tiny()
    save_single(networks, tmp_path / "checkpoints" / "first.safetensors")
    for number in range(8):
        file = tensors(networks.unet, "lora_unet_", attention(networks.unet)[number:], lora(rank=3 + 2 * number), seed=number)
        save(tmp_path / "loras" / f"style{number}.safetensors", file)
    calls: list[int] = []
    original = engines.denoise
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(len(rows)) or original(rows))
    requests = [BASE.replace(prompt=f"a cat <lora:style{n}:{0.3 + 0.1 * n}>", negative_prompt="", cfg_scale=1.0) for n in range(8)]
    alone = []
    for request in requests:
        studio = Studio(tmp_path, "solo")
        studio.add("alone", request.replace(batch_size=8, variation_strength=1e-9, variation_seed=1))
        studio.run()
        alone.append(next(each for each in studio.events if isinstance(each, Picture) and each.index == 0).pixels)
    calls.clear()
    studio = Studio(tmp_path)
    for number, request in enumerate(requests):
        studio.add(str(number), request.replace(variation_strength=1e-9, variation_seed=1))
    studio.run()
    found = {each.job: each.pixels for each in studio.events if isinstance(each, Picture)}
    assert [found[str(number)] for number in range(8)] == alone and set(calls) == {8}
