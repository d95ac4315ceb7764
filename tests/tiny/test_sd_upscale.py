"""SD upscale: the picture enlarged and drawn again in tiles that share calls and leave no seams."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import backend.worker.engine.engine as engines
from backend.errors import InvalidRequest
from backend.messages import Progress
from backend.request.output_size import settled
from backend.request.request import Request
from backend.worker.draw import sd_upscale as redraw
from backend.worker.draw.sd_upscale import side_by_side
from backend.worker.models.model_base import Model
from tests.tiny.test_engine import house
from tests.tiny.test_init_image import FROM, INIT, MASK, draw, drawn, picture

__all__ = ["house"]
UP = FROM.replace(sd_upscale="Lanczos", sd_upscale_factor=2.0, sd_upscale_overlap=16, steps=4, denoising_strength=0.5, sampler="Euler")


@pytest.mark.parametrize("size, factor", [((96, 64), 2.0), ((33, 70), 1.55), ((1, 1), 2.0), ((300, 9), 1.0)])
def test_the_result_has_the_size_of_the_source_times_the_factor(house, size, factor):
    result = draw(house, UP.replace(sd_upscale_factor=factor), {INIT: picture(*size)})[0]
    assert result.shape == (max(round(size[1] * factor), 1), max(round(size[0] * factor), 1), 3)


def test_a_single_tile_is_img2img_of_the_enlarged_picture(house):
    before = picture(32, 32)
    larger = before.resize((64, 64), Image.Resampling.LANCZOS)
    assert np.array_equal(draw(house, UP, {INIT: before})[0], draw(house, UP.replace(sd_upscale="None"), {INIT: larger})[0])


def test_tiles_share_calls_and_all_are_counted(house, monkeypatch):
    counts, original = [], engines.denoise
    monkeypatch.setattr(engines, "denoise", lambda rows: counts.append(len(rows)) or original(rows))
    studio = drawn(house, UP.replace(prompt="a cat"), {INIT: picture(72, 40)})       # 144 x 80: 3 x 2 tiles
    assert counts == [12] * 3
    calls = [(e.step, e.steps) for e in studio.of(Progress)]
    assert calls == [(n, 18) for n in range(1, 19)]


def test_tiles_leave_no_seams(house, monkeypatch):
    """A network that changes nothing gives the enlarged picture back, also where tiles meet."""
    monkeypatch.setattr(Model, "encoding", lambda self, pixels, noise=None: _reading_nothing(_cells(pixels)))
    monkeypatch.setattr(Model, "decoding", lambda self, latent: _reading_nothing(_pixels(latent)))
    across = np.linspace(0, 255, 96)
    smooth = Image.fromarray(np.repeat(np.repeat(across[None, :, None], 96, 0), 3, 2).astype(np.uint8))
    result = draw(house, UP.replace(denoising_strength=0.0, steps=50, cfg_scale=1.0), {INIT: smooth})[0].astype(int)
    assert np.abs(np.diff(result, axis=1)).max() < 60 and np.abs(np.diff(result, axis=0)).max() < 60
    assert result.shape == (192, 192, 3)


def _reading_nothing(result):
    yield from ()
    return result


def _cells(pixels):
    import torch
    grey = torch.tensor(pixels).float().mean(-1) / 255
    cells = grey.unfold(1, 8, 8).unfold(2, 8, 8).mean((-1, -2))
    return cells[:, None].expand(-1, 4, -1, -1).clone()


def _pixels(latent):
    grey = (latent.mean(1).clamp(0, 1) * 255).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return grey[..., None].expand(-1, -1, -1, 3).byte().numpy()


def test_a_batch_and_packed_repeat(house):
    files = {INIT: picture(72, 40)}
    both = draw(house, UP.replace(batch_size=2), files)
    alone = draw(house, UP.replace(batch_size=2).of_image(1), files)[0]
    assert np.abs(both[1].astype(int) - alone).max() <= 1 and not np.array_equal(both[0], both[1])


def test_a_job_of_many_enlarges_and_encodes_once(house, monkeypatch):
    enlarged, looked, original, encoding = [], [], redraw.enlarged, Model.encoding
    monkeypatch.setattr(redraw, "enlarged", lambda *given: enlarged.append(1) or original(*given))
    monkeypatch.setattr(Model, "encoding", lambda self, pixels, noise=None: looked.append(1) or encoding(self, pixels, noise))
    draw(house, UP.replace(batch_count=3), {INIT: picture(71, 40)})
    assert (len(enlarged), len(looked)) == (1, 6)


@pytest.mark.parametrize("values, field", [
    ({"sd_upscale_overlap": 128}, "sd_upscale_overlap"),
    ({"mask": MASK}, "sd_upscale"), ({"outpaint_left": 8}, "sd_upscale"), ({"loopback_loops": 2}, "sd_upscale"),
])
def test_what_cannot_be_is_told_by_its_field(values, field):
    with pytest.raises(InvalidRequest) as refused:
        Request.parse({"init_image": INIT, "sd_upscale": "Lanczos", "width": 128, "height": 128, **values})
    assert [problem.field for problem in refused.value.problems] == [field]


def test_too_large_names_the_factor():
    with pytest.raises(InvalidRequest) as refused:
        settled(UP.replace(sd_upscale_factor=8.0), (1200, 100))
    assert refused.value.problems[0].field == "sd_upscale_factor"


def test_programs_side_by_side_keep_their_order_and_their_own_answers():
    def program(number, rounds):
        total = 0
        for _ in range(rounds):
            total += sum((yield [number, number]))
        total += yield f"item {number}"
        return total

    together = side_by_side([program(n, n) for n in (1, 2, 3)])
    seen, answer = [], None
    with pytest.raises(StopIteration) as end:
        while True:
            work = together.send(answer)
            seen.append(work)
            answer = [row * 10 for row in work] if isinstance(work, list) else 1
    assert end.value.value == ([21, 81, 181], False)
    assert seen[0] == [1, 1, 2, 2, 3, 3] and seen[-1] == "item 3"
