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


# ---- sizes and texts ----

def sizes(row: Row) -> list[float]:
    return row.encoded.pooled[-6:].tolist()


@pytest.mark.parametrize("upscaler", ["Latent", "Lanczos"])
@pytest.mark.parametrize(("changes", "height", "width"), [
    ({"hr_resize_x": 96, "hr_resize_y": 128}, 128, 128), ({"hr_resize_x": 128, "hr_resize_y": 96}, 128, 128),
    ({"hr_resize_x": 96, "hr_resize_y": 96}, 96, 96), ({"hr_scale": 1.3}, 83, 83),
])
def test_the_second_pass_is_told_the_size_before_anything_is_cut_off(
    house: House, calls: list[list[Row]], upscaler: str, changes: dict[str, object], height: int, width: int
) -> None:
    draw(house, BASE.replace(enable_hr=True, hr_upscaler=upscaler, denoising_strength=0.5, **changes))
    assert {tuple(sizes(row)) for row in calls[0]} == {(64, 64, 0, 0, 64, 64)}
    assert {tuple(sizes(row)) for row in calls[-1]} == {(height, width, 0, 0, height, width)}


@pytest.mark.parametrize(("negative", "zeros"), [
    ("", True), ("[:blurry:0.5]", False), ("[blurry::0.5]", False), ("blurry", False),
])
def test_a_negative_prompt_is_zeros_if_it_is_empty_at_every_step(
    house: House, calls: list[list[Row]], negative: str, zeros: bool
) -> None:
    draw(house, BASE.replace(negative_prompt=negative, steps=4))
    found = [row.encoded for rows in calls for row in rows if row.role == "uncond"]
    assert [bool((encoded.tokens == 0).all()) for encoded in found] == [zeros] * 4
    assert [bool((encoded.pooled[:-6] == 0).all()) for encoded in found] == [zeros] * 4


@pytest.mark.parametrize("text", ["a (supercalifragilistic:1.2) cat, dog", "cat BREAK dog", "one, " + "word " * 80, ""])
@torch.inference_mode()
def test_words_know_which_vectors_are_theirs(house: House, text: str) -> None:
    models = [house[0].get(house[1][key]) for key in ("sdxl", "sd1")]
    ours, theirs = (model.encode_text(text) for model in models)
    assert ours.words == theirs.words and bool(ours.words) == bool(text)
    assert len(ours.tokens) == len(theirs.tokens)
