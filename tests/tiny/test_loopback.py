"""Loopback: every round is a picture of the job, each from the one before, and each can be made again alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.messages import Cancelled, Done, Failed, Picture, Progress, Run, Skipped
from backend.worker.draw import init_image as source
from backend.worker.draw import loopback as rounds
from backend.worker.models.model_base import Model
from tests.tiny.test_engine import Studio, house
from tests.tiny.test_init_image import FROM, INIT, MASK, draw, drawn, picture, png, spot

__all__ = ["house"]
LOOP = FROM.replace(sampler="Euler", steps=4, denoising_strength=0.5, loopback_loops=3, final_denoising_strength=1.0)


def studio(house, request, indices=None, policy="solo") -> Studio:
    made = Studio(house, policy)
    wanted = tuple(range(request.count)) if indices is None else indices
    files = {INIT: png(picture()), MASK: png(spot())}
    made.engine.add(Run("mine", "local", request, wanted, {("checkpoint", request.checkpoint): made.checkpoints["first"]}, files))
    return made


@pytest.mark.parametrize("curve, middle", [("Linear", 0.75), ("Aggressive", 0.5 + 0.5 * math.sin(math.pi / 4)),
                                           ("Lazy", 1 - 0.5 * math.cos(math.pi / 4))])
def test_strengths_follow_the_curve(curve, middle):
    request = LOOP.replace(denoising_curve=curve)
    assert [rounds.strength(request, n) for n in range(3)] == pytest.approx([0.5, middle, 1.0])
    down = LOOP.replace(denoising_strength=1.0, final_denoising_strength=0.0)
    assert [each.denoising_strength for each in rounds.requests(down)] == pytest.approx([1.0, 0.5, 0.0])


def test_seeds_count_up_and_later_rounds_keep_what_is_there():
    each = rounds.requests(LOOP.replace(seed=2**64 - 2, masked_content="fill"))
    assert [r.seed for r in each] == [2**64 - 2, 2**64 - 1, 0]
    assert [r.masked_content for r in each] == ["fill", "original", "original"]


def test_every_round_is_a_picture_made_from_the_one_before(house):
    results = draw(house, LOOP)
    assert len(results) == LOOP.count == 3
    before = picture()
    for each, result in zip(rounds.requests(LOOP), results, strict=True):
        plain = each.replace(loopback_loops=1)
        from PIL import Image
        assert np.array_equal(draw(house, plain, {INIT: before})[0], result)
        before = Image.fromarray(result)


@pytest.mark.parametrize("curve", ["Linear", "Aggressive", "Lazy"])
def test_a_round_can_be_made_again_alone(house, curve):
    request = LOOP.replace(batch_size=2, denoising_curve=curve)
    assert request.count == 6
    together = draw(house, request)
    assert [request.of_image(i).seed - request.seed for i in range(6)] == [0, 0, 0, 3, 3, 3]
    for index in (1, 5):
        alone = request.of_image(index)
        assert (alone.count, alone.loopback_round) == (1, index % 3 + 1)
        assert np.abs(draw(house, alone)[0].astype(int) - together[index]).max() <= 1


def test_after_a_crash_only_missing_rounds_are_delivered(house):
    whole = draw(house, LOOP)
    made = studio(house, LOOP, (1, 2)).run()
    assert [e.index for e in made.of(Picture)] == [1, 2] and made.of(Done)
    assert made.pixels("mine", 2) == whole[2].tobytes()
    calls = [(e.index, e.step, e.steps) for e in made.of(Progress)]
    assert calls == [(1, n, 7) for n in range(1, 8)] + [(2, n, 4) for n in range(1, 5)]


def test_cancel_and_skip_end_the_chain(house):
    made = studio(house, LOOP.replace(batch_count=2))
    while not made.of(Picture):
        made.step()
    made.engine.skip("mine")
    made.run()
    assert sorted(e.index for e in made.of(Skipped)) == [1, 2]
    assert [e.index for e in made.of(Picture)] == [0, 3, 4, 5] and made.of(Done)
    gone = studio(house, LOOP)
    while not gone.of(Picture):
        gone.step()
    gone.engine.cancel("mine")
    assert gone.of(Cancelled) and not gone.run().engine.programs and len(gone.of(Picture)) == 1


def test_packed_gives_all_rounds_too(house):
    made = studio(house, LOOP.replace(batch_size=3), policy="packed").run()
    assert sorted(e.index for e in made.of(Picture)) == list(range(9)) and not made.of(Failed)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("area", ["Whole picture", "Only masked"])
def test_outside_the_mask_all_rounds_are_the_input(house, soft, area):
    request = LOOP.replace(mask=MASK, soft_inpainting=soft, inpaint_area=area, width=96, color_correction=True)
    blurred = np.asarray(source._mask(request, {MASK: png(spot())}, (96, 64)))
    results = draw(house, request)
    for result in results:
        assert np.array_equal(result[blurred == 0], np.asarray(picture())[blurred == 0])
    assert not np.array_equal(results[0], results[1])


def test_outpainting_grows_once(house):
    request = LOOP.replace(outpaint_right=16, width=112, height=64)
    assert {result.shape for result in draw(house, request)} == {(64, 112, 3)}


def test_the_first_picture_is_encoded_once_for_all_chains(house, monkeypatch):
    looked, encoding = [], Model.encoding
    monkeypatch.setattr(Model, "encoding", lambda self, pixels, noise=None: looked.append(1) or encoding(self, pixels, noise))
    drawn(house, LOOP.replace(batch_count=2, batch_size=2, seed=77), {INIT: picture(80, 64)})
    assert len(looked) == 1 + 4 * 2, "one for the picture, and one for each later round"


def test_one_loop_is_no_loopback(house):
    plain = FROM.replace(loopback_loops=1, final_denoising_strength=0.1)
    assert plain.count == 1 and np.array_equal(draw(house, plain)[0], draw(house, FROM)[0])
    assert FROM.replace(init_image="", loopback_loops=5).count == 1
