"""Stable Diffusion XL in the engine: what its network is asked at every call, on tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import backend.worker.engine.engine as engines
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.messages import Failed, Picture
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.guidance.row import Row
from backend.worker.models.memory import Memory
from tests.tiny.ldm import save_folder, tiny, tiny_sdxl
from tests.tiny.test_engine import Studio

SCHEDULES = json.loads((Path(__file__).parents[1] / "golden" / "schedules.json").read_text("utf-8"))
ALL_SCHEDULES = SCHEDULES["schedules"] + SCHEDULES["forge_extra"]["schedules"]
BASE = Request(prompt="a fox", steps=2, width=64, height=64, seed=1, variation_seed=1, sampler="Euler",
               schedule="Uniform", cfg_scale=5.0)

House = tuple[Memory, dict[str, ModelFile]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(), folder / "checkpoints" / "sd1")
    save_folder(tiny_sdxl(), folder / "checkpoints" / "sdxl")
    return Memory(place("cpu", exact=True)), {found.key: found for found in ModelCatalog((folder,)).scan()}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[Row]]:
    """The rows of each network call."""
    original, calls = engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(list(rows)) or original(rows))
    return calls


def draw(house: House, request: Request, checkpoint: str = "sdxl") -> Picture:
    studio = Studio(house, "solo")
    studio.add("mine", request, checkpoint)
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    return studio.of(Picture)[0]


def recorded(label: str, n: int, is_sdxl: bool) -> list[float]:
    return next(record["sigmas"] for record in ALL_SCHEDULES
                if record["scheduler"] == label and record["n"] == n and record.get("is_sdxl", False) == is_sdxl
                and not record.get("opts") and not record.get("sampler_options"))


# ---- noise levels ----

@pytest.mark.parametrize("checkpoint", ["sd1", "sdxl"])
@pytest.mark.parametrize("label", ["Align Your Steps", "Align Your Steps GITS", "Align Your Steps 32"])
def test_optimised_schedules_have_the_knots_of_the_family(
    house: House, calls: list[list[Row]], label: str, checkpoint: str
) -> None:
    expected = recorded(label, 10, checkpoint == "sdxl")
    draw(house, BASE.replace(schedule=label, steps=10), checkpoint)
    assert [rows[0].sigma for rows in calls] == pytest.approx(expected[:-1], rel=1e-5)


def test_the_second_pass_has_the_familys_knots_too(house: House, calls: list[list[Row]]) -> None:
    asked = {"enable_hr": True, "hr_schedule": "Align Your Steps", "denoising_strength": 0.999, "hr_second_pass_steps": 10}
    draw(house, BASE.replace(**asked))
    assert calls[-1][0].sigma == pytest.approx(recorded("Align Your Steps", 10, True)[-2], rel=1e-5)
    assert calls[-3][0].sigma == pytest.approx(recorded("Align Your Steps", 10, True)[-4], rel=1e-5)
