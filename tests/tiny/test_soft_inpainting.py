"""Differential diffusion: the grey levels of a mask say how much a cell may change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from backend.request.choices import INPAINT_AREAS
from backend.sampling.protocol import Noisy
from backend.sampling.samplers import SAMPLERS
from backend.worker.draw import init_image as source
from backend.worker.guidance.mask_hooks import SoftBlend
from tests.tiny.test_engine import house
from tests.tiny.test_init_image import FROM, INIT, INPAINT, MASK, draw, picture, png, spot

__all__ = ["house"]
SOFT = INPAINT.replace(soft_inpainting=True)


def grey(level: int) -> Image.Image:
    return Image.new("L", (64, 64), level)


def test_cells_are_freed_in_the_order_of_their_levels():
    levels = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0]).view(1, 1, 5)
    blend = SoftBlend(torch.zeros(1, 1, 5), levels, [10.0, 7.0, 4.0, 2.0, 0.0])
    freed = [blend.denoised(Noisy(torch.zeros(1, 1, 5), sigma, 0), torch.ones(1, 1, 5)).flatten().tolist()
             for sigma in (10.0, 7.0, 4.0, 2.0)]
    assert freed == [[0, 0, 0, 0, 1], [0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
    assert blend.threshold(5.5) == pytest.approx(0.625, abs=1e-4), "between two steps, as for the second call of Heun"
    assert blend.kept(torch.ones(1, 1, 5)).flatten().tolist() == [0, 1, 1, 1, 1]


def test_an_even_grey_is_img2img_with_less_strength(house):
    """Half grey and 8 of 8 steps: the first four change nothing, so the last four are those of half the strength."""
    files = {INIT: picture(64, 64), MASK: grey(128)}
    settings = {"sampler": "Euler", "steps": 8, "mask_blur": 0}
    soft = draw(house, SOFT.replace(**settings), files)[0]
    half = draw(house, FROM.replace(**settings | {"denoising_strength": 0.375}), {INIT: picture(64, 64)})[0]
    assert np.abs(soft.astype(int) - half).max() <= 2


def test_a_white_mask_is_the_same_hard_and_soft(house):
    files = {INIT: picture(64, 64), MASK: grey(255)}
    soft, hard = (draw(house, request.replace(steps=3), files)[0] for request in (SOFT, INPAINT))
    assert np.abs(soft.astype(int) - hard).max() <= 1


@pytest.mark.parametrize("area", INPAINT_AREAS)
def test_a_black_mask_gives_the_input(house, area):
    result = draw(house, SOFT.replace(inpaint_area=area, steps=2), {INIT: picture(64, 64), MASK: grey(0)})[0]
    assert np.array_equal(result, picture(64, 64))


@pytest.mark.parametrize("area", INPAINT_AREAS)
@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Heun", "DDIM", "UniPC", "DPM adaptive"])
def test_outside_the_blurred_mask_every_pixel_is_the_input(house, area, sampler):
    request = SOFT.replace(inpaint_area=area, width=96, sampler=sampler, steps=2, mask_blur=6)
    result, before = draw(house, request)[0], np.asarray(picture())
    blurred = np.asarray(source._mask(request, {MASK: png(spot())}, (96, 64)))
    assert sampler in SAMPLERS and np.array_equal(result[blurred == 0], before[blurred == 0])
    assert (result[blurred > 200] != before[blurred > 200]).mean() > 0.8


def test_grey_levels_of_a_mask_count_only_in_soft_inpainting():
    levels = np.unique(np.asarray(source._mask(SOFT.replace(mask_blur=0), {MASK: png(grey(100))}, (64, 64))))
    hard = np.unique(np.asarray(source._mask(INPAINT.replace(mask_blur=0), {MASK: png(grey(100))}, (64, 64))))
    assert (levels.tolist(), hard.tolist()) == ([100], [0])
