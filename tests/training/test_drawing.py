"""The demo model's pictures, captions and split: what the script draws, its checker must read."""

import random
from dataclasses import replace

import numpy as np
import pytest

from training.captions import caption
from training.checker import judge, look
from training.drawing import draw
from training.scenes import (
    COLOURS,
    LANDSCAPES,
    PLACES,
    SHAPES,
    Scene,
    Thing,
    is_held_out,
    random_scenes,
    resolved_places,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_read_in_its_colours(shape):
    for number, colour in enumerate(COLOURS):
        background = "white" if colour != "white" else "blue"
        scene = Scene(background, (Thing(colour, shape),))
        sight = look(draw(scene, seed=number))
        assert sight.background == background
        assert [(seen.colour, seen.shape) for seen in sight.objects] == [(colour, shape)]


@pytest.mark.parametrize("count", [1, 2])
def test_the_checker_reads_drawn_held_out_scenes(count):
    scenes = random_scenes(17, 25, held_out=True, count=count, plain=1.0)
    verdicts = [judge(draw(scene, seed=number), scene) for number, scene in enumerate(scenes)]
    assert all(verdict.background and verdict.things_right and all(verdict.places) for verdict in verdicts)
    assert not any(verdict.extra_objects for verdict in verdicts)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_checker_is_right_on_600_pictures():
    scenes = [s for count in (1, 2) for s in random_scenes(5 + count, 300, held_out=True, count=count, plain=1.0)]
    verdicts = [judge(draw(scene, seed=number), scene) for number, scene in enumerate(scenes)]
    assert np.mean([verdict.background and verdict.things_right for verdict in verdicts]) >= 0.99


def test_a_wrong_picture_is_called_wrong():
    asked = Scene("yellow", (Thing("red", "circle"), Thing("blue", "star")))
    other = Scene("yellow", (Thing("blue", "circle"), Thing("red", "star")))
    assert judge(draw(asked), asked).things_right
    swapped = judge(draw(other), asked)
    assert swapped.shapes == (True, True)
    assert swapped.colours == (False, False)
    assert not judge(draw(replace(asked, background="green")), asked).background
    missing = judge(draw(Scene("yellow", asked.things[:1])), asked)
    assert not missing.things_right


def test_the_same_seed_draws_the_same_picture():
    scene = Scene("night sky with stars", (Thing("yellow", "moon", "big"),))
    assert np.array_equal(draw(scene, seed=3), draw(scene, seed=3))
    assert not np.array_equal(draw(scene, seed=3), draw(scene, seed=4))


@pytest.mark.parametrize("landscape", LANDSCAPES)
@pytest.mark.parametrize("size", [64, 128, 256])
def test_landscapes_at_any_size(landscape, size):
    assert draw(Scene(landscape), size).size == (size, size)


def test_the_split_is_fixed_and_about_a_tenth():
    assert is_held_out(Scene("black", (Thing("red", "circle"),))) is False
    scenes = random_scenes(1, 2000, held_out=False)
    assert not any(is_held_out(scene) for scene in scenes)
    rng = random.Random(0)
    colours = list(COLOURS)
    anything = [Scene(rng.choice(colours), (Thing(rng.choice(colours), rng.choice(SHAPES)),)) for _ in range(3000)]
    assert 0.07 < np.mean([is_held_out(scene) for scene in anything]) < 0.13


def test_size_and_place_do_not_change_the_side_of_the_split():
    for scene in random_scenes(3, 50, held_out=True):
        varied = [replace(thing, size="big", place="top") for thing in scene.things]
        assert is_held_out(replace(scene, things=tuple(varied)))


def test_a_thing_is_never_as_its_background():
    for scene in random_scenes(4, 500, held_out=False):
        assert all(thing.colour != scene.background for thing in scene.things)


def test_captions_name_everything_in_order():
    rng = random.Random(1)
    for scene in random_scenes(5, 300, held_out=False):
        words = caption(scene, rng).replace(",", "").split()
        assert [word for word in words if word in SHAPES] == [thing.shape for thing in scene.things]
        for thing in scene.things:
            assert thing.colour in words
            assert not thing.place or thing.place in words
        if scene.plain:
            assert scene.background in words


def test_places():
    assert resolved_places([""]) == ["centre"]
    assert resolved_places(["", ""]) == ["left", "right"]
    assert resolved_places(["", "left"]) == ["right", "left"]
    assert resolved_places(["top", ""]) == ["top", "bottom"]
    for place in PLACES:
        scene = Scene("white", (Thing("red", "square", "", place),))
        assert judge(draw(scene), scene).places == (True,)
