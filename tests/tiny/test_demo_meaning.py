"""The demo model through the engine: it draws what it is asked; prompt language and samplers can be seen to work."""

import io
import random

import numpy as np
import pytest
import torch
from PIL import Image

from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Picture, Run
from backend.request.request import Request
from backend.sampling.samplers import SAMPLERS
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.draw import pipeline
from backend.worker.models.memory import Memory
from tests.tiny.test_engine import Studio
from training.captions import caption
from training.checker import judge, look
from training.drawing import draw as drawing
from training.measure_large import enlarged, sharpness
from training.scenes import Scene, Thing, random_scenes

BASE = Request(prompt="", width=128, height=128, steps=12, seed=1, variation_seed=1, cfg_scale=5, sampler="DPM++ 2M", schedule="Karras")
RED_CIRCLE = Scene("blue", (Thing("red", "circle"),))


@pytest.fixture(scope="module")
def demo():
    checkpoint = ModelCatalog((HOME / "models",)).find("checkpoint", "demo")
    return Memory(place("cpu")), {"first": checkpoint}


def draw(demo, requests: list[Request]) -> list[Image.Image]:
    studio = Studio(demo)
    for number, request in enumerate(requests):
        studio.add(str(number), request)
    studio.run()
    return [Image.frombytes("RGB", (p.width, p.height), p.pixels)
            for p in (next(e for e in studio.events if getattr(e, "pixels", None) and e.job == str(n)) for n in range(len(requests)))]


def share(values) -> float:
    return float(np.mean(list(values)))


def test_combinations_it_never_saw(demo):
    rng = random.Random(5)
    scenes = [s for count in (1, 2) for s in random_scenes(40 + count, 20, held_out=True, count=count, plain=1.0)]
    pictures = draw(demo, [BASE.replace(prompt=caption(s, rng), seed=i, steps=20) for i, s in enumerate(scenes)])
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    assert share(v.background for v in verdicts) >= 0.95
    assert share(v.colours[0] for v in verdicts[:20]) >= 0.9
    assert share(v.shapes[0] for v in verdicts[:20]) >= 0.9
    assert share(v.things_right for v in verdicts[20:]) >= 0.75


SLOWER = {"DPM fast": 24, "PLMS": 20, "IPNDM": 20, "IPNDM_V": 20}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_a_red_circle_on_blue(demo, sampler):
    request = BASE.replace(prompt="red circle, blue background", sampler=sampler, schedule="Automatic",
                           cfg_scale=1.0 if sampler == "LCM" else 5.0, steps=SLOWER.get(sampler, BASE.steps))
    verdicts = [judge(p, RED_CIRCLE) for p in draw(demo, [request.replace(seed=seed) for seed in (1, 2)])]
    assert [v.background and v.colours[0] for v in verdicts] == [True, True]


def test_one_picture_is_round_red_and_on_blue(demo):
    prompts = ("a red circle on a blue background", "red circle, blue background")
    verdicts = [judge(p, RED_CIRCLE) for p in draw(demo, [BASE.replace(prompt=x, seed=s) for x in prompts for s in range(4)])]
    assert sum(v.background and v.things_right for v in verdicts) >= 7


def test_prompt_editing_changes_the_colour_half_way(demo):
    early, late = (BASE.replace(prompt=f"[red:green:{when}] circle, white background") for when in (0.02, 0.98))
    colours = [look(p).objects[0].colour for p in draw(demo, [early, late])]
    assert colours == ["green", "red"]


def test_the_negative_prompt_is_heard(demo):
    plain = BASE.replace(prompt="circle, white background")
    pushed = plain.replace(negative_prompt="red circle, white background")
    red = [sum(look(p).objects[0].colour == "red" for p in draw(demo, [r.replace(seed=s) for s in range(8)] )
               if look(p).objects) for r in (plain.replace(prompt="red circle, white background"), pushed)]
    assert red[0] >= 7 and red[1] <= 2


def test_cfg_one_draws_with_half_the_rows_and_still_hears(demo):
    picture = draw(demo, [BASE.replace(prompt="red circle, blue background", cfg_scale=1.0)])[0]
    assert look(picture).background == "blue"


def test_a_preview_is_the_picture_made_small(demo):
    picture = drawing(Scene("blue", (Thing("red", "circle"), Thing("yellow", "star"))), 128, seed=1)
    with torch.inference_mode():
        model = demo[0].get(demo[1]["first"])
        preview = model.preview(model.encode(np.array(picture)[None]))[0]
    small = np.asarray(picture.resize((16, 16), Image.Resampling.BOX))
    assert preview.shape == small.shape
    assert np.abs(preview.astype(int) - small).mean() < 6


def test_all_zero_latents_are_no_picture_of_anything(demo):
    """The checker does not see things where there are none."""
    with torch.inference_mode():
        grey = demo[0].get(demo[1]["first"]).decode(torch.zeros(1, 4, 16, 16))[0]
    verdict = judge(Image.fromarray(grey), RED_CIRCLE)
    assert not verdict.things_right


# ---- from pictures ----


def drawn_from(demo, request: Request, picture: Image.Image, mask: Image.Image | None = None) -> Image.Image:
    def png(image: Image.Image) -> bytes:
        out = io.BytesIO()
        image.save(out, "PNG")
        return out.getvalue()

    studio = Studio(demo)
    files = {"a" * 64: png(picture)} | ({"b" * 64: png(mask)} if mask else {})
    request = request.replace(init_image="a" * 64, mask="b" * 64 if mask else "")
    studio.engine.add(Run("mine", "local", request, (0,), {("checkpoint", request.checkpoint): demo[1]["first"]}, files))
    studio.run()
    (found,) = studio.of(Picture)
    return Image.frombytes("RGB", (found.width, found.height), found.pixels)


def test_img2img_keeps_the_layout_and_changes_the_colour(demo):
    before = drawing(Scene("blue", (Thing("red", "circle", "big", "left"),)), 128, seed=1)
    wanted = Scene("blue", (Thing("green", "circle", "big", "left"),))
    request = BASE.replace(prompt="big green circle left, blue background", denoising_strength=0.8)
    places = []
    for seed in range(4):
        after = drawn_from(demo, request.replace(seed=seed), before)
        verdict = judge(after, wanted)
        assert verdict.background and verdict.colours[0]
        places.append((look(after).objects[0].x, look(after).objects[0].y))
    there = look(before).objects[0]
    assert np.abs(np.array(places) - (there.x, there.y)).max() < 0.1


def test_a_low_strength_keeps_the_picture(demo):
    before = drawing(Scene("white", (Thing("purple", "house"),)), 128, seed=2)
    after = drawn_from(demo, BASE.replace(prompt="purple house, white background", denoising_strength=0.1), before)
    assert np.abs(np.asarray(after).astype(int) - np.asarray(before)).mean() < 12


def test_an_inpainted_star_appears_only_inside_the_mask(demo):
    before = drawing(Scene("blue", (Thing("red", "circle", "small", "left"),)), 128, seed=3)
    mask = Image.new("L", before.size)
    mask.paste(255, (66, 30, 122, 98))
    request = BASE.replace(prompt="small red circle left, small yellow star right, blue background", denoising_strength=1.0, mask_blur=2)
    right = 0
    for seed in range(4):
        after = drawn_from(demo, request.replace(seed=seed), before, mask)
        assert np.array_equal(np.asarray(after)[:, :58], np.asarray(before)[:, :58])
        stars = [thing for thing in look(after).objects if thing.x > 0.5]
        right += len(stars) == 1 and stars[0].colour == "yellow"
    assert right >= 3


# ---- larger than it was first drawn ----


@pytest.fixture
def first_passes(demo, monkeypatch) -> dict[int, Image.Image]:
    """By seed, what is enlarged."""
    original, kept = pipeline._enlarged, {}

    def enlarging(request, canvas, latent):
        kept[request.seed] = Image.fromarray(canvas.model.decode(latent[None])[0])
        return original(request, canvas, latent)

    monkeypatch.setattr(pipeline, "_enlarged", enlarging)
    return kept


def test_hires_fix_is_sharper_than_enlarging_and_draws_nothing_twice(demo, first_passes):
    """At the default denoising strength, with the default upscaler, on combinations that training never saw."""
    rng = random.Random(6)
    scenes = [s for count in (1, 2) for s in random_scenes(50 + count, 4, held_out=True, count=count, plain=1.0)]
    small = [BASE.replace(prompt=caption(s, rng), seed=i, steps=20) for i, s in enumerate(scenes)]
    after = draw(demo, [request.replace(enable_hr=True) for request in small])
    before = [first_passes[request.seed] for request in small]
    assert {picture.size for picture in after} == {(256, 256)}
    gains = [sharpness(large) / sharpness(enlarged(first)) for first, large in zip(before, after, strict=True)]
    assert min(gains) > 1.2
    verdicts = [judge(picture, scene) for picture, scene in zip(after, scenes, strict=True)]
    assert sum(v.background for v in verdicts) >= 7
    assert sum(v.extra_objects > 0 for v in verdicts) <= 1
    assert sum(all(v.colours) for v in verdicts) >= 7
    assert sum(v.things_right for v in verdicts) >= 4


def test_hires_fix_leaves_things_where_the_first_pass_drew_them(demo, first_passes):
    request = BASE.replace(prompt="big red circle left, blue background", hr_upscaler="Lanczos", denoising_strength=0.4, enable_hr=True)
    for seed, picture in enumerate(draw(demo, [request.replace(seed=seed) for seed in range(2)])):
        first, second = look(first_passes[seed]).objects, look(picture).objects
        assert [thing.colour for thing in second] == [thing.colour for thing in first] == ["red"]
        assert abs(first[0].x - second[0].x) < 0.05 and abs(first[0].y - second[0].y) < 0.05


def test_a_picture_drawn_large_at_once_shows_things_once(demo):
    pictures = draw(demo, [BASE.replace(prompt="red circle, blue background", width=256, height=256, seed=s, steps=20) for s in range(4)])
    verdicts = [judge(p, RED_CIRCLE) for p in pictures]
    assert sum(v.background and v.things_right and not v.extra_objects for v in verdicts) >= 3
