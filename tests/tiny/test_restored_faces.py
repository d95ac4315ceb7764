"""Faces of a picture that is drawn are made clean before it is put back, and an interruption meanwhile loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.catalog.model_file import ModelFile
from backend.messages import UNFINISHED, Done, Failed, Picture, Run
from backend.worker.pixels.face_restoration import TEMPLATE, FindFaces
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_init_image import INIT, INPAINT, MASK, draw, picture, png, spot
from tests.tiny.test_postprocess import Restorer

__all__ = ["house"]
WIDE = INPAINT.replace(width=96, height=64)


class Finder:
    """Finds one face, of 32 pixels, in the middle of 64."""

    bytes, device = 0, torch.device("cpu")

    def to(self, device: torch.device) -> Finder:
        return self

    def faces(self, pixels: np.ndarray) -> list[np.ndarray]:
        return [TEMPLATE / 16 + 16]


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.worker.models.upscaler.load", lambda file, placement: Restorer())
    monkeypatch.setattr("backend.worker.models.face_detector.load", lambda file, placement: Finder())


def studio(house, request) -> Studio:
    made = Studio(house, "solo")
    files = {("face_restorer", "CodeFormer"): ModelFile("face_restorer", "CodeFormer", "there"), ("face_detector", ""): ModelFile("face_detector", "", "here"),
             ("checkpoint", request.checkpoint): made.checkpoints["first"]}
    pictures = {INIT: png(picture()), MASK: png(spot())} if request.init_image else {}
    made.engine.add(Run("mine", "local", request, (0,), files, pictures))
    return made


def pixels(made: Studio) -> np.ndarray:
    (event,) = made.of(Picture)
    return np.frombuffer(event.pixels, np.uint8).reshape(event.height, event.width, 3)


def finished(made: Studio) -> np.ndarray:
    made.run()
    assert not made.of(Failed) and made.of(Done), made.of(Failed)
    return pixels(made)


@pytest.mark.parametrize("weight, blue", [(0.5, 50), (0.0, 0)])
def test_a_face_that_was_drawn_is_made_clean(house, weight, blue):
    plain = BASE.replace(width=64, height=64, steps=2)
    before = finished(studio(house, plain))
    after = finished(studio(house, plain.replace(face_restoration="CodeFormer", face_restoration_weight=weight)))
    assert after[32, 32].tolist() == [255, 255, blue] and before[32, 32].tolist() != [255, 255, blue]
    assert np.array_equal(after[:12], before[:12]), "around the face the picture is as it was"


def test_what_is_masked_out_stays_the_inputs(house):
    kept = finished(studio(house, WIDE.replace(face_restoration="CodeFormer", mask_blur=0)))
    outside = np.asarray(spot()) == 0
    assert np.array_equal(kept[outside], np.asarray(picture())[outside])


def test_sd_upscale_restores_the_whole_and_not_each_tile(house):
    request = INPAINT.replace(mask="", sd_upscale="Nearest", sd_upscale_factor=1.5, sd_upscale_overlap=16, width=64, height=64, steps=2)
    before = finished(studio(house, request))
    after = finished(studio(house, request.replace(face_restoration="CodeFormer")))
    changed = np.argwhere((before != after).any(-1))
    assert after[32, 32].tolist() == [255, 255, 50] and changed.max() < 64, "one face, not one in each tile"


def test_an_interruption_while_faces_are_made_clean_keeps_the_picture(house):
    request = BASE.replace(width=64, height=64, steps=2, face_restoration="CodeFormer")
    made = studio(house, request)
    with torch.inference_mode():
        while not (made.engine.programs and isinstance(made.engine.programs[0].work, FindFaces)):
            made.engine.step()
        made.engine.cancel("mine")
    made.run()
    (event,) = made.of(Picture)
    assert event.unfinished and UNFINISHED in event.facts
    assert np.array_equal(pixels(made), finished(studio(house, request.replace(face_restoration="None"))))


def test_a_mask_is_blurred_more_in_one_direction(house):
    def reach(**blurs):
        result = draw(house, WIDE.replace(**blurs))[0]
        changed = np.argwhere((result != np.asarray(picture())).any(-1))
        return np.ptp(changed, axis=0) + 1        # height and width of what is not the input's

    hard, along = reach(mask_blur=0), reach(mask_blur=0, mask_blur_y=6)
    across = reach(mask_blur=6, mask_blur_y=0)
    assert along[0] > hard[0] and along[1] == hard[1]
    assert across[1] > hard[1] and across[0] == hard[0]
    assert (reach(mask_blur=6) > hard).all()
