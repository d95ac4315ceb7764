"""A family is one file and one table row: one from a test module is detected, listed, loaded and drawn with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend import Backend, Settings
from backend.catalog.families import FAMILIES, cell
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.messages import Failed, Picture, Preview, Run
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.models.loader import load
from backend.worker.models.memory import Memory
from tests.guest import Guest
from tests.tiny import toy_family
from tests.tiny.test_engine import Studio
from tests.tiny.test_init_image import INIT, MASK, picture, png

PLACE = place("cpu", exact=True)
START = {"init_image": INIT, "denoising_strength": 0.5}


@pytest.fixture
def toy() -> Iterator[None]:
    before = FAMILIES.rows()
    FAMILIES.add(toy_family.FAMILY)
    yield
    FAMILIES.restore(before)


@pytest.fixture
def coarse(toy: None, tmp_path: Path) -> Iterator[Guest]:
    """A house whose only checkpoint is of a family with 16 pixels per latent cell."""
    FAMILIES.restore((*FAMILIES.rows()[:-1], replace(toy_family.FAMILY, cell=16)))
    listed(tmp_path)
    backend = Backend(Settings(data=tmp_path / "data"), catalog=ModelCatalog((tmp_path,)), start_workers=False)
    yield Guest(backend)
    backend.close()


def listed(folder: Path) -> ModelFile:
    toy_family.save(folder / "checkpoints" / "toy.safetensors")
    (checkpoint,) = ModelCatalog((folder,)).scan()
    return checkpoint


def drawn(checkpoint: ModelFile, request: Request) -> Studio:
    studio = Studio((Memory(PLACE), {"toy": checkpoint}))
    files = {INIT: png(picture(40, 24)), MASK: png(picture(40, 24).convert("L"))}
    studio.engine.add(Run("mine", "local", request, tuple(range(request.count)), {("checkpoint", ""): checkpoint}, files))
    studio.run()
    assert not studio.of(Failed), studio.of(Failed)
    return studio


def test_without_its_row_it_is_unknown(tmp_path: Path) -> None:
    checkpoint = listed(tmp_path)
    assert checkpoint.family == "unknown" and checkpoint.problem
    with pytest.raises(CheckpointError, match="no family that Easel knows"):
        load(checkpoint, PLACE)


def test_it_is_detected_listed_and_loaded(toy: None, tmp_path: Path) -> None:
    checkpoint = listed(tmp_path)
    assert (checkpoint.family, checkpoint.problem) == ("toy", "")
    assert checkpoint.defaults == {"width": 32, "height": 32, "steps": 4}
    model = load(checkpoint, PLACE)
    assert type(model) is toy_family.Toy and model.latent_shape(64, 48) == (3, 12, 16)
    assert model.latent_scale == cell("toy") == 4 and cell("sd1") == cell("sdxl") == 8
    assert model.preview(torch.zeros(1, 3, 12, 16)).shape == (1, 12, 16, 3)


@pytest.mark.parametrize("changes, drawn", [
    ({}, {}), ({"width": 80, "height": 272}, {}),
    ({"width": 72}, {"width": 64}), ({"width": 88, "height": 267}, {"width": 80, "height": 256}),
    ({"enable_hr": True, "hr_resize_x": 1000, "hr_resize_y": 121}, {"hr_resize_x": 992, "hr_resize_y": 112}),
    ({"hr_resize_x": 1000}, {}),
    ({"seed_resize_from_w": 72, "seed_resize_from_h": 64}, {"seed_resize_from_w": 64}),
], ids=str)
def test_a_size_that_is_not_whole_in_cells_is_cut_and_that_is_said(coarse: Guest, changes: dict[str, object], drawn: dict[str, int]) -> None:
    job = coarse.submit(**changes)
    assert {name: getattr(job.request, name) for name in changes} == changes | drawn
    assert len(job.notes) == len(drawn)
    assert all(f"{drawn[name]} in place of {changes[name]}" in note for name, note in zip(drawn, job.notes, strict=True))


def test_outpainting_grows_to_whole_cells(coarse: Guest) -> None:
    sent = coarse.upload(png(picture(101, 67))).id
    request = coarse.submit(init_image=sent, outpaint_right=30, width=72, height=72).request
    assert (request.width, request.height) == (144, 80), "the size that was asked for is not drawn at"
    job = coarse.submit(init_image=sent, outpaint_right=30, inpaint_area="Only masked", width=72)
    assert job.request.width == 64 and "64 in place of 72" in job.notes[0]


def test_a_model_coarser_than_its_family_is_not_loaded(toy: None, tmp_path: Path) -> None:
    checkpoint = listed(tmp_path)
    FAMILIES.restore((*FAMILIES.rows()[:-1], replace(toy_family.FAMILY, cell=2)))
    with pytest.raises(CheckpointError, match="4 pixels per latent cell, and its family 2"):
        load(checkpoint, PLACE)


@pytest.mark.parametrize("changes", [
    {}, {"prompt": "a AND b", "cfg_scale": 5.0, "tiling": True}, {"enable_hr": True, "hr_upscaler": "Latent"},
    {"enable_hr": True, "hr_upscaler": "Lanczos", "seed_resize_from_w": 24, "seed_resize_from_h": 24},
    START, {**START, "mask": MASK, "resize_mode": "Just resize (latent upscale)"}, {**START, "sd_upscale": "Lanczos", "sd_upscale_overlap": 16},
], ids=str)
def test_it_draws(toy: None, tmp_path: Path, changes: dict[str, object]) -> None:
    request = Request(prompt="a", negative_prompt="b", steps=3, width=40, height=24, seed=1, variation_seed=1,
                      sampler="Euler", schedule="Uniform", preview_every=1).replace(**changes)
    studio = drawn(listed(tmp_path), request)
    (made,) = studio.of(Picture)
    factor = 2 if "enable_hr" in changes or "sd_upscale" in changes else 1
    assert (made.width, made.height) == (40 * factor, 24 * factor)
    assert np.frombuffer(made.pixels, np.uint8).std() > 0 and studio.of(Preview)
