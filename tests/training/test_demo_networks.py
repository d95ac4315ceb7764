"""What the demo LoRA and the demo embedding teach: drawn as it should be, and read as it was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.checker import judge
from training.drawing import draw, thing_masks
from training.half_shade import draw_half_shaded, half_shaded
from training.new_colour import new_coloured, seen
from training.scenes import COLOURS, NEW_COLOUR, Scene, Thing, random_scenes

MODELS = Path(__file__).parents[2] / "models"


def test_the_style_is_seen_where_it_was_drawn_and_nowhere_else() -> None:
    scenes = [scene for count in (1, 2) for scene in random_scenes(40 + count, 20, held_out=True, count=count, plain=1.0)]
    styled = [draw_half_shaded(scene, seed=number) for number, scene in enumerate(scenes)]
    assert np.mean([half_shaded(picture) for picture in styled]) >= 0.95
    assert np.mean([half_shaded(draw(scene, seed=number)) for number, scene in enumerate(scenes)]) <= 0.05
    verdicts = [judge(picture, scene) for picture, scene in zip(styled, scenes, strict=True)]
    assert np.mean([verdict.background and verdict.things_right for verdict in verdicts]) >= 0.95


def test_no_thing_no_style() -> None:
    assert not half_shaded(draw(Scene("blue")))


@pytest.mark.parametrize("background", ["blue", "sea at sunset"])
def test_masks_lie_on_the_things(background: str) -> None:
    scene = Scene(background, (Thing("red", "circle"), Thing("yellow", "square")))
    with_things, without = (np.asarray(draw(one, seed=5), dtype=int) for one in (scene, Scene(background)))
    masks = thing_masks(scene, seed=5)
    for mask, colour in zip(masks, ("red", "yellow"), strict=True):
        assert np.abs(np.median(with_things[mask], axis=0) - COLOURS[colour]).max() < 25
    outside = ~np.logical_or(*masks)
    assert np.median(np.abs(with_things - without)[outside]) < 3


def test_the_new_colour_is_seen_where_it_was_drawn() -> None:
    scenes = new_coloured(9, 20, held_out=True)
    found = [seen(draw(scene, seed=number)) for number, scene in enumerate(scenes)]
    right = [(NEW_COLOUR, scene.things[0].shape) in one for scene, one in zip(scenes, found, strict=True)]
    assert np.mean(right) >= 0.95
    assert not any(NEW_COLOUR in dict(seen(draw(Scene("white", (Thing(colour, "circle"),))))) for colour in COLOURS)


def test_both_are_small_enough_to_ship() -> None:
    files = [MODELS / "Lora" / "demo-halfshade.safetensors", MODELS / "embeddings" / "demo-navy.safetensors"]
    assert sum(file.stat().st_size for file in files) <= 2_000_000
