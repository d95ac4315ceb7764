"""Outpainting: the picture grows, what was there stays where and as it is, and the job knows its size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.errors import InvalidRequest
from backend.request.choices import INPAINT_AREAS, MASKED_CONTENT
from backend.request.cross_field_checks import OUTPAINT
from backend.request.output_size import Margins, drawn, settled
from backend.request.request import Request
from backend.worker.draw import init_image as source
from backend.worker.draw.outpaint import grown, grown_mask
from tests.tiny.house import open_house
from tests.tiny.test_engine import house
from tests.tiny.test_init_image import FROM, INIT, MASK, draw, picture, png

__all__ = ["house"]
GROW = FROM.replace(steps=2, denoising_strength=1.0, mask_blur=3)


def outpainted(house, before: Image.Image, files: dict | None = None, **sides) -> tuple[Request, np.ndarray]:
    request = settled(GROW.replace(**sides), before.size)
    return request, draw(house, request, {INIT: before, **(files or {})})[0]


def old_part(result: np.ndarray, request: Request, before: Image.Image) -> np.ndarray:
    left, up = request.outpaint_left, request.outpaint_up
    return result[up : up + before.height, left : left + before.width]


@pytest.mark.parametrize("sides", [
    {"outpaint_left": 24}, {"outpaint_right": 40}, {"outpaint_up": 8}, {"outpaint_down": 17},
    {"outpaint_left": 5, "outpaint_right": 11, "outpaint_up": 3, "outpaint_down": 24},
], ids=str)
@pytest.mark.parametrize("area", INPAINT_AREAS)
def test_the_picture_grows_and_the_old_part_stays(house, sides, area):
    before = picture(101, 67)
    request, result = outpainted(house, before, inpaint_area=area, **sides)
    width, height = Margins.of(request).around(before.size)
    assert result.shape == (height, width, 3)
    blurred = np.asarray(source._mask(request, {}, before.size))
    assert blurred.shape == (height, width)
    canvas = np.asarray(grown(before, Margins.of(request)))
    assert np.array_equal(result[blurred == 0], canvas[blurred == 0]) and (blurred == 0).mean() > 0.2
    assert np.array_equal(old_part(result, request, before)[30:40, 40:60], np.asarray(before)[30:40, 40:60])
    new = np.ones((height, width), bool)
    new[request.outpaint_up : request.outpaint_up + 67, request.outpaint_left : request.outpaint_left + 101] = False
    assert (blurred[new] == 255).all() and (result[new] != canvas[new]).mean() > 0.7


@pytest.mark.parametrize("content", MASKED_CONTENT)
@pytest.mark.parametrize("soft", [False, True])
def test_every_content_and_soft_inpainting(house, content, soft):
    before = picture(64, 64)
    _, result = outpainted(house, before, outpaint_right=32, masked_content=content, soft_inpainting=soft)
    assert np.array_equal(result[:, :40], np.asarray(before)[:, :40])
    assert np.abs(np.diff(result[:, 70:].astype(int), axis=1)).mean() > 0


def test_a_painted_mask_joins_the_new_sides(house):
    before, mask = picture(64, 64), Image.new("L", (64, 64))
    mask.paste(255, (8, 8, 16, 16))
    _, result = outpainted(house, before, {MASK: mask}, mask=MASK, outpaint_right=32, mask_blur=0)
    before = np.asarray(before)
    assert (result[8:16, 8:16] != before[8:16, 8:16]).mean() > 0.8
    assert np.array_equal(result[20:, :60], before[20:, :60])


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (300, 2)])
def test_tiny_and_narrow_pictures_grow(house, size):
    before = picture(*size)
    _, result = outpainted(house, before, outpaint_left=8, outpaint_down=8, mask_blur=64)
    assert result.shape == (size[1] + 8, size[0] + 8, 3)


def test_the_mask_reaches_into_the_old_picture_and_is_soft_there():
    mask = np.asarray(grown_mask(None, (64, 64), Margins(0, 32, 0, 0), (4, 4)))
    row = mask[30].astype(int)
    assert (row[64:] == 255).all() and 0 < row[56] < 255 and row[40] == 0 and (np.diff(row) >= 0).all()
    hard = np.asarray(grown_mask(None, (64, 64), Margins(0, 32, 0, 0), (0, 0)))
    assert (hard[:, :64] == 0).all() and (hard[:, 64:] == 255).all()


def test_sizes_are_settled_from_the_picture():
    request = GROW.replace(outpaint_left=8, outpaint_up=3)
    assert (settled(request, (101, 67)).width, settled(request, (101, 67)).height) == (112, 72)
    assert settled(settled(request, (101, 67)), (101, 67)) == settled(request, (101, 67))
    part = request.replace(inpaint_area="Only masked", width=512, height=256)
    assert settled(part, (101, 67)) == part
    assert drawn((1, 1)) == (64, 64)
    assert settled(GROW, (101, 67)) == GROW, "nothing to add, nothing to settle"


@pytest.mark.parametrize("size, sides, field", [
    ((8000, 64), {"outpaint_left": 8, "outpaint_right": 300}, "outpaint_right"),
    ((64, 8192), {"outpaint_down": 1}, "outpaint_down"),
])
def test_too_large_is_told_by_its_side(size, sides, field):
    with pytest.raises(InvalidRequest) as refused:
        settled(GROW.replace(**sides), size)
    assert refused.value.problems[0].field == field and field in OUTPAINT


def test_a_submitted_job_has_the_grown_size(tmp_path):
    backend = open_house(tmp_path, start_workers=False)
    try:
        sent = backend.upload(png(picture(101, 67)))
        values = {"prompt": "a", "init_image": sent.id, "outpaint_right": 30, "width": 64, "height": 64}
        request = backend.submit(**values).request
        assert (request.width, request.height) == (136, 72)
        with pytest.raises(InvalidRequest) as refused:
            backend.submit(**values | {"init_image": backend.upload(png(picture(8190, 8))).id})
        assert refused.value.problems[0].field == "outpaint_right"
    finally:
        backend.close()
