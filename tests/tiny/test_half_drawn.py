"""Interrupt and Skip keep what there is of a picture: decoded, pasted back, and said to be unfinished."""

from __future__ import annotations

import numpy as np
import pytest

from backend.messages import Cancelled, Done, Failed, Picture, Progress, Run, Skipped
from backend.worker.draw import init_image
from backend.worker.draw.work_items import EncodeText
from backend.worker.engine.engine import Engine
from backend.worker.models.codec import DecodeLatent
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_init_image import FROM, INIT, MASK, picture, png, spot
from tests.tiny.test_loopback import LOOP
from tests.tiny.test_sd_upscale import UP

__all__ = ["house"]
PLAIN = BASE.replace(prompt="a cat", sampler="Euler", steps=6)
HIRES = PLAIN.replace(enable_hr=True, hr_scale=1.5, denoising_strength=0.7)


def begun(house, request, steps, *, indices=None, policy="solo", image=None) -> Studio:
    """A studio in which the job "mine" has made so many steps."""
    studio = Studio(house, policy)
    wanted = tuple(range(request.count)) if indices is None else indices
    files = {INIT: png(image or picture()), MASK: png(spot())}
    studio.engine.add(Run("mine", "local", request, wanted, {("checkpoint", ""): studio.checkpoints["first"]}, files))
    if not steps:
        studio.step()
    while len(studio.of(Progress)) < steps:
        studio.step()
    return studio


def pictures(studio) -> list[tuple[int, bool, str]]:
    return [(e.index, e.unfinished, e.facts.get("Unfinished", "")) for e in studio.of(Picture)]


def shape(event) -> tuple[int, int]:
    return event.width, event.height


def test_it_is_the_last_guided_latent_decoded(house, monkeypatch):
    heard, original = [], Engine._heard
    monkeypatch.setattr(Engine, "_heard", lambda self, *what: heard.append(what[2]) or original(self, *what))
    studio = begun(house, PLAIN.replace(batch_count=3), 2)
    studio.engine.cancel("mine")
    studio.run()
    assert pictures(studio) == [(0, True, "step 2 of 6")]
    assert studio.of(Cancelled) and not studio.of(Done) and not studio.of(Skipped) and len(studio.of(Progress)) == 2
    decoded = studio.memory.get(studio.checkpoints["first"]).decode(heard[-1][None])[0]
    assert np.array_equal(np.frombuffer(studio.pixels("mine"), np.uint8), decoded.ravel())


def test_before_the_first_step_there_is_nothing(house):
    studio = begun(house, PLAIN, 0)
    studio.engine.cancel("mine")
    assert studio.of(Cancelled) and not studio.run().of(Picture)


def test_a_job_that_waits_draws_nothing(house):
    studio = begun(house, PLAIN, 1)
    studio.add("waits", PLAIN)
    studio.engine.cancel("waits")
    assert studio.of(Cancelled, "waits")
    assert [e.job for e in studio.run().of(Picture)] == ["mine"]


def test_what_is_being_decoded_is_whole(house):
    studio = begun(house, PLAIN.replace(batch_count=2), 6)
    assert isinstance(studio.engine.programs[0].work, DecodeLatent)
    studio.engine.cancel("mine")
    studio.run()
    assert pictures(studio) == [(0, False, "")] and studio.of(Cancelled)


@pytest.mark.parametrize("steps, size", [(2, (64, 64)), (6, (64, 64)), (8, (96, 96))])
def test_hires_fix_gives_the_pass_that_it_is_in(house, steps, size):
    studio = begun(house, HIRES, steps)
    if steps == 6:
        assert isinstance(studio.engine.programs[0].work, EncodeText), "between the passes"
    studio.engine.cancel("mine")
    (event,) = studio.run().of(Picture)
    assert event.unfinished and shape(event) == size and studio.of(Cancelled)


@pytest.mark.parametrize("changes", [{}, {"inpaint_area": "Only masked"}, {"soft_inpainting": True}])
def test_outside_the_mask_it_is_the_input(house, changes):
    request = FROM.replace(mask=MASK, sampler="Euler", steps=12, denoising_strength=1.0, width=96, **changes)
    studio = begun(house, request, 2)
    studio.engine.cancel("mine")
    (event,) = studio.run().of(Picture)
    drawn = np.frombuffer(event.pixels, np.uint8).reshape(event.height, event.width, 3)
    untouched = np.asarray(init_image._mask(request, {MASK: png(spot())}, (96, 64))) == 0
    before = np.asarray(picture())
    assert event.unfinished and np.array_equal(drawn[untouched], before[untouched]) and not np.array_equal(drawn, before)


def test_a_round_of_loopback_ends_its_chain(house):
    studio = begun(house, LOOP.replace(batch_count=2), 4)       # the first step of the second round
    studio.engine.skip("mine")
    studio.run()
    assert [p[:2] for p in pictures(studio)] == [(0, False), (1, True), (3, False), (4, False), (5, False)]
    assert sorted(e.index for e in studio.of(Skipped)) == [1, 2] and studio.of(Done)


def test_a_round_that_is_only_on_the_way_is_not_shown(house):
    studio = begun(house, LOOP, 1, indices=(2,))
    studio.engine.cancel("mine")
    assert studio.run().of(Cancelled) and not studio.of(Picture)
    decoding = begun(house, LOOP, 3, indices=(2,))
    assert isinstance(decoding.engine.programs[0].work, DecodeLatent)
    decoding.engine.cancel("mine")
    assert decoding.run().of(Cancelled) and not decoding.of(Picture)


def test_sd_upscale_leaves_the_other_tiles_enlarged(house):
    before = picture(160, 160)
    larger = np.asarray(before.convert("RGB").resize((320, 320), init_image.LANCZOS))
    studio = begun(house, UP, 9, image=before)          # eight tiles share the first call
    studio.engine.cancel("mine")
    (event,) = studio.run().of(Picture)
    drawn = np.frombuffer(event.pixels, np.uint8).reshape(320, 320, 3)
    assert event.unfinished and np.array_equal(drawn[-40:, -40:], larger[-40:, -40:])
    assert not np.array_equal(drawn[:40, :40], larger[:40, :40])
    early = begun(house, UP, 0, image=before)
    early.engine.cancel("mine")
    assert early.run().of(Cancelled) and not early.of(Picture)


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_skip_ends_the_batch_and_goes_on_with_the_next(house, policy):
    studio = begun(house, PLAIN.replace(batch_size=2, batch_count=2), 3, policy=policy)
    studio.engine.skip("mine")
    studio.engine.skip("mine")          # pressed twice
    studio.run()
    assert sorted(p[:2] for p in pictures(studio)) == [(0, True), (1, True), (2, False), (3, False)]
    assert sorted(e.index for e in studio.of(Skipped)) == [0, 1] and studio.of(Done)


def test_a_latent_that_cannot_be_decoded_leaves_a_cancelled_job(house, monkeypatch):
    studio = begun(house, PLAIN, 2)
    monkeypatch.setattr(type(studio.engine.codec), "decode", lambda *_: 1 / 0)
    studio.engine.cancel("mine")
    assert studio.run().of(Cancelled) and not studio.of(Failed) and not studio.of(Picture)
