"""Regions of the prompt: each part acts where its mask is."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Failed, Run
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.guidance.cfg_denoiser import CFGDenoiser, Conditioning, Strength
from backend.worker.models.memory import Memory
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_engine import Studio

LEFT, ALL = "ab" * 32, "cd" * 32


def mask(columns: int) -> bytes:
    pixels, out = np.zeros((64, 64), np.uint8), io.BytesIO()
    pixels[:, :columns] = 255
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


FILES = {LEFT: mask(32), ALL: mask(64)}


def test_parts_count_where_their_regions_are() -> None:
    left = torch.zeros(1, 2, 4)
    left[..., :2] = 1
    parts = [Conditioning((), 1.0, left), Conditioning((), 0.5)]
    guidance = CFGDenoiser(None, None, parts, Conditioning(()), Strength(scale=3.0))
    cond, other, uncond = (torch.full((4, 2, 4), level) for level in (1.0, 2.0, 0.0))
    denoised, _ = guidance.mixed([cond, other, uncond])
    assert torch.allclose(denoised[..., :2], torch.tensor(1 * 3 + 2 * 1.5)) and torch.allclose(denoised[..., 2:], torch.tensor(2 * 1.5))
    one = CFGDenoiser(None, None, [Conditioning((), 1.0, left)], Conditioning(()), Strength(scale=1.0))
    assert one._needs_uncond(1.0), "outside of the region there is something else"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Memory, dict]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    save_folder(tiny(), folder / "checkpoints" / "first")
    return Memory(place("cpu", exact=True)), {"first": ModelCatalog((folder,)).find("checkpoint", "first")}


def drawn(house: tuple, *masks: str, **more: object) -> bytes:
    request = Request.parse({"prompt": "a cat AND a dog", "steps": 3, "width": 64, "height": 64, "seed": 1, "variation_seed": 1, "cfg_scale": 5, "sampler": "Euler",
                             "schedule": "Uniform", "regions": [{"mask": each} for each in masks], **more})
    studio = Studio(house, "solo")
    studio.engine.add(Run("mine", "local", request, (0,), {("checkpoint", ""): house[1]["first"]}, FILES))
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    return studio.pixels("mine")


def test_whole_pictures_and_hires_fix(house: tuple) -> None:
    plain = drawn(house)
    assert drawn(house, ALL, ALL) == plain == drawn(house, "", "")
    left = drawn(house, LEFT, ALL)
    assert left not in (plain, drawn(house, ALL, LEFT)) and drawn(house, LEFT) == left
    hires = {"enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5, "hr_upscaler": "Latent"}
    assert drawn(house, LEFT, **hires) != drawn(house, **hires)
