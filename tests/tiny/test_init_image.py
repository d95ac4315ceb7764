"""Pictures from pictures, on a tiny random network: what is masked changes, what is not stays, bit for bit."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from backend.messages import Done, Failed, Picture, Progress, Run
from backend.request.choices import INPAINT_AREAS, MASKED_CONTENT, RESIZE_MODES
from backend.request.request import Request
from backend.worker.draw import init_image as source
from backend.worker.draw.init_image import Source
from tests.tiny.test_engine import BASE, Studio, house

__all__ = ["house"]
INIT, MASK = "a" * 64, "b" * 64
FROM = BASE.replace(prompt="a cat", init_image=INIT, steps=4, denoising_strength=0.5)
INPAINT = FROM.replace(mask=MASK, denoising_strength=1.0)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def picture(width: int = 96, height: int = 64) -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8))


def spot(width: int = 96, height: int = 64) -> Image.Image:
    """A mask with a white ellipse right of the middle."""
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).ellipse((width * 0.5, height * 0.3, width * 0.8, height * 0.7), fill=255)
    return mask


def drawn(house, request: Request, files: dict[str, Image.Image] | None = None) -> Studio:
    """An engine that has done the request."""
    files = files or {INIT: picture(), MASK: spot()}
    studio = Studio(house, "solo")
    run = Run("mine", "local", request, tuple(range(request.count)), {("checkpoint", request.checkpoint): studio.checkpoints["first"]},
              {name: png(image) for name, image in files.items()})
    studio.engine.add(run)
    studio.run()
    assert not studio.of(Failed) and studio.of(Done), studio.of(Failed)
    return studio


def draw(house, request: Request, files: dict[str, Image.Image] | None = None) -> list[np.ndarray]:
    pictures = sorted(drawn(house, request, files).of(Picture), key=lambda p: p.index)
    return [np.frombuffer(p.pixels, np.uint8).reshape(p.height, p.width, 3) for p in pictures]


@pytest.mark.parametrize("strength, fixed, steps", [(0.75, False, 16), (0.5, False, 11), (1.0, False, 20), (0.0, False, 0), (0.5, True, 20)])
def test_strength_decides_how_many_steps_are_made(house, strength, fixed, steps):
    studio = drawn(house, FROM.replace(sampler="Euler", steps=20, denoising_strength=strength, fix_steps=fixed))
    assert [(e.step, e.steps) for e in studio.of(Progress)] == [(step, steps) for step in range(1, steps + 1)]


def test_a_picture_is_encoded_once_for_a_whole_job(house, monkeypatch):
    from backend.worker.models.model_base import Model

    looked = []
    encoding = Model.encoding
    monkeypatch.setattr(Model, "encoding", lambda self, pixels, noise=None: looked.append(1) or encoding(self, pixels, noise))
    many = draw(house, FROM.replace(batch_count=2, batch_size=2))
    assert len(looked) == 1 and len(many) == 4
    alone = draw(house, FROM.replace(batch_count=2, batch_size=2).of_image(3))[0]
    assert np.abs(alone.astype(int) - many[3]).max() <= 1


@pytest.mark.parametrize("area", INPAINT_AREAS)
@pytest.mark.parametrize("content", MASKED_CONTENT)
def test_outside_the_blurred_mask_every_pixel_is_the_input(house, area, content):
    result = draw(house, INPAINT.replace(inpaint_area=area, masked_content=content, width=96))[0]
    blurred = np.asarray(source._mask(INPAINT, {MASK: png(spot())}, (96, 64)))
    before = np.asarray(picture())
    assert result.shape == before.shape
    assert np.array_equal(result[blurred == 0], before[blurred == 0])
    assert (result[blurred == 255] != before[blurred == 255]).mean() > 0.9


def test_a_mask_turned_round_keeps_the_other_part(house):
    result = draw(house, INPAINT.replace(mask_mode="Inpaint not masked", mask_blur=0, width=96))[0]
    marked = np.asarray(spot()) == 255
    before = np.asarray(picture())
    assert np.array_equal(result[marked], before[marked])
    assert (result[~marked] != before[~marked]).mean() > 0.9


@pytest.mark.parametrize("area", INPAINT_AREAS)
def test_a_black_mask_gives_the_input(house, area):
    result = draw(house, INPAINT.replace(inpaint_area=area, width=96), {INIT: picture(), MASK: Image.new("L", (96, 64))})[0]
    assert np.array_equal(result, picture())


def test_a_white_mask_of_another_size_changes_everything(house):
    result = draw(house, INPAINT.replace(width=96), {INIT: picture(), MASK: Image.new("L", (10, 300), 255)})[0]
    assert (result != np.asarray(picture())).mean() > 0.9


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("size", [(96, 64), (30, 200), (1, 1)])
def test_every_resize_mode_gives_the_size_asked_for(house, mode, size):
    result = draw(house, FROM.replace(resize_mode=mode, width=64, height=128), {INIT: picture(*size)})[0]
    assert result.shape == (128, 64, 3)


def test_colour_correction_takes_over_the_colours(house):
    red = Image.new("RGB", (64, 64), (200, 30, 30))
    plain, corrected = (draw(house, FROM.replace(color_correction=on), {INIT: red})[0] for on in (False, True))
    assert np.abs(corrected.mean((0, 1)) - (200, 30, 30))[1:].max() < np.abs(plain.mean((0, 1)) - (200, 30, 30))[1:].max()


def test_noise_settings_change_the_picture(house):
    plain = draw(house, FROM)[0]
    for changed in (FROM.replace(extra_noise=0.5), FROM.replace(initial_noise_multiplier=0.8)):
        assert not np.array_equal(draw(house, changed)[0], plain)


@pytest.mark.parametrize("mode, corners", [
    ("Just resize", ("red", "blue")), ("Crop and resize", (None, None)), ("Resize and fill", ("red", "blue")),
])
def test_fitting_keeps_or_cuts_the_ends(mode, corners):
    wide = Image.new("RGB", (400, 100), "green")
    wide.paste("red", (0, 0, 100, 100))
    wide.paste("blue", (300, 0, 400, 100))
    fitted = source.fitted(wide, 100, 100, mode)
    assert fitted.size == (100, 100)
    left, right = fitted.getpixel((2, 50)), fitted.getpixel((97, 50))
    expected = tuple(Image.new("RGB", (1, 1), c or "green").getpixel((0, 0)) for c in corners)
    assert np.abs(np.array([left, right]) - np.array(expected)).max() < 20


def test_the_drawn_box_has_the_proportions_of_the_picture_to_draw():
    mask = Image.new("L", (400, 300))
    mask.paste(255, (10, 250, 60, 290))
    left, top, right, bottom = source.drawn_box(mask, 8, 2.0)
    assert left <= 2 and bottom == 298 and (right - left) / (bottom - top) == pytest.approx(2.0, abs=0.05)
    assert source.drawn_box(Image.new("L", (400, 300), 255), 32, 1.0) == (0, 0, 400, 300)


def test_fill_takes_the_colours_around():
    flat = np.full((64, 64, 3), (10, 200, 30), np.uint8)
    flat[20:40, 20:40] = 255
    mask = Image.new("L", (64, 64))
    mask.paste(255, (18, 18, 42, 42))
    filled = source.surroundings(flat, mask)
    assert np.abs(filled[25:35, 25:35].astype(int) - (10, 200, 30)).max() <= 6     # premultiplied bytes round


def test_nothing_to_start_from_is_no_source():
    assert Source.prepare(BASE, {}, 8) is None


def test_inpainting_equals_the_peers_blend():
    """Outside the mask the latent is the picture's own at the end, whatever the sampler did."""
    from backend.worker.guidance.mask_hooks import Blend

    own, other = torch.randn(4, 8, 8), torch.randn(4, 8, 8)
    mask = torch.zeros(1, 8, 8)
    mask[:, 2:4] = 1
    kept = Blend(own, mask).kept(other)
    assert torch.equal(kept[:, 2:4], other[:, 2:4]) and torch.equal(kept[:, 4:], own[:, 4:])


def test_an_inpainting_network_is_shown_the_mask_and_the_hidden_picture(tmp_path, monkeypatch):
    from backend.catalog.model_catalog import ModelCatalog
    from backend.worker.device import place
    from backend.worker.models.memory import Memory
    from backend.worker.models.sd1 import SD1
    from tests.tiny.ldm import save_folder, tiny

    save_folder(tiny(in_channels=9), tmp_path / "checkpoints" / "first")
    checkpoints = {c.key: c for c in ModelCatalog((tmp_path,)).scan()}
    shown = []
    predict = SD1.predict
    monkeypatch.setattr(SD1, "predict", lambda self, *args, **control: shown.append(control["channels"]) or predict(self, *args, **control))
    memory = Memory(place("cpu", exact=True))
    mask = Image.new("L", (64, 64))
    mask.paste(255, (32, 0, 64, 64))
    before = picture(64, 64)
    result = draw((memory, checkpoints), INPAINT.replace(mask_blur=0, steps=2), {INIT: before, MASK: mask})[0]
    assert np.array_equal(result[:, :32], np.asarray(before)[:, :32])
    channels = shown[0][0]
    assert channels.shape == (5, 8, 8)
    assert channels[0, :, :4].max() == 0 and channels[0, :, 4:].min() == 1
    hidden = np.asarray(before).astype(np.float32)
    hidden[:, 32:] = 127.5
    with torch.inference_mode():
        latent = memory.get(checkpoints["first"]).encode(hidden[None])[0]
    assert torch.allclose(channels[1:], latent, atol=1e-5)


@pytest.mark.parametrize("sampler", ["Euler a", "DDIM", "LCM"])
@pytest.mark.parametrize("steps", [1, 4])
def test_strength_0_keeps_the_picture(house, sampler, steps):
    kept = FROM.replace(denoising_strength=0.0, steps=steps, sampler=sampler, width=96, height=64)
    assert np.array_equal(draw(house, kept)[0], np.asarray(picture()))
    assert np.array_equal(draw(house, kept.replace(mask=MASK))[0], np.asarray(picture()))
    smaller = draw(house, kept.replace(width=64, resize_mode="Just resize (latent upscale)"))[0]
    assert smaller.shape == (64, 64, 3)


def test_what_was_see_through_is_drawn_from_on_white(house):
    clear = Image.new("RGBA", (96, 64), (255, 0, 0, 0))
    kept = FROM.replace(denoising_strength=0.0, width=96, height=64)
    assert (draw(house, kept, {INIT: clear})[0] == 255).all()
