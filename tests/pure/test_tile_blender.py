"""Tiles put together: what each makes of its part is the whole again, in any number format and with little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from backend.worker.pixels.tile_blender import blend, blended, spans


@pytest.mark.parametrize(("length", "tile", "overlap"), [(33, 8, 3), (33, 8, 4), (17, 5, 0), (40, 16, 8), (12, 64, 16), (129, 64, 16)])
@pytest.mark.parametrize("scale", [1, 8])
def test_every_value_has_weight_one(length: int, tile: int, overlap: int, scale: int) -> None:
    total = np.zeros(length * scale)
    for span in spans(length, length * scale, tile, overlap):
        total[span.first:span.end] += span.weights
        assert span.start * scale <= span.first and span.end <= span.stop * scale, "a tile fills only what it sees"
    assert np.allclose(total, 1)


def test_numbers_come_back_as_they_were_with_any_number_of_channels() -> None:
    values = np.random.default_rng(0).normal(size=(33, 40, 4)).astype(np.float32) * 1000
    whole = blend(blended(spans(33, 33, 8, 3), spans(40, 40, 16, 8), 4, np.float32), lambda box: box.fitted(box.cut(values), (1, 1)))
    assert whole.dtype == np.float32 and np.allclose(whole, values, rtol=1e-5)


def test_pixels_are_rounded_and_kept_in_range() -> None:
    def values(box) -> np.ndarray:
        height, width = box.row.end - box.row.first, box.column.end - box.column.first
        return np.broadcast_to(np.array([-3.0, 100.6, 300.0], np.float32), (height, width, 3))

    whole = blend(blended(spans(20, 20, 8, 2), spans(30, 30, 8, 2)), values)
    assert whole.dtype == np.uint8 and (whole == [0, 101, 255]).all()


def test_two_tiles_meet_in_a_ramp_over_the_middle_half_of_their_overlap() -> None:
    shades = iter((0.0, 80.0))
    columns = spans(24, 24, 16, 8)
    whole = blend(blended(spans(4, 4, 16, 8), columns, 1, np.float32), lambda box: np.full((4, box.column.end - box.column.first, 1), next(shades)))
    assert whole[0, :, 0].tolist() == [0] * 10 + [10, 30, 50, 70] + [80] * 10


def test_only_one_row_of_tiles_is_held_as_floating_point_numbers() -> None:
    side, tile = 2048, 128
    along, piece = spans(side, side, tile, 32), np.zeros((tile, tile, 3), np.float32)
    tracemalloc.start()
    whole = blend(blended(along, along), lambda box: box.fitted(piece[:box.row.stop - box.row.start], (1, 1)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < whole.nbytes + 4 * tile * side * 3 * 4
