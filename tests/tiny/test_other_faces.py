"""Face swaps of jobs that are drawn, over small networks in insightface's signatures: what is kept, and what is drawn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.catalog.face_files import BUFFALO, recognition_network, swap_network
from backend.catalog.face_networks import SWAP
from backend.catalog.model_catalog import ModelCatalog
from backend.errors import InvalidRequest
from backend.messages import Done, Failed, Picture, Run
from backend.request.face_swap import BOTH, EACH, START
from backend.request.request import Request
from tests.tiny import face_networks
from tests.tiny.face_networks import face_picture
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_guides import png

__all__ = ["house"]
INIT, MAN, WOMAN = "1" * 64, "2" * 64, "3" * 64
BLUE, GREEN = (0, 0, 255), (0, 255, 0)
PEOPLE = face_picture((3, 4), (9, 8))
FILES = {INIT: png(PEOPLE), MAN: png(face_picture((5, 5), inside=[BLUE])), WOMAN: png(face_picture((5, 5), inside=[GREEN]))}
KEPT = BASE.replace(init_image=INIT, width=640, height=640, denoising_strength=0.0, steps=2, sampler="Euler", seed=3, face_swap_order="Left to right")
"""At strength 0 the picture stays as it is, with all the faces in it."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    folder = tmp_path_factory.mktemp("models")
    face_networks.save(folder, "buffalo_l", swapper=True)
    catalog = ModelCatalog((folder,))
    return {("insightface", BUFFALO): recognition_network((BUFFALO,), catalog), ("insightface", SWAP): swap_network(catalog)}


def drawn(house: Any, networks: Any, wanted: tuple[int, ...] = (), **more: Any) -> dict[int, tuple[np.ndarray, Picture]]:
    studio, request = Studio(house, "solo"), KEPT.replace(**more)
    files = {("checkpoint", request.checkpoint): studio.checkpoints["first"], **networks}
    studio.engine.add(Run("mine", "local", request, wanted or tuple(range(request.count)), files, FILES))
    studio.run()
    assert studio.of(Done) and not studio.of(Failed), studio.of(Failed)
    return {told.index: (np.frombuffer(told.pixels, np.uint8).reshape(told.height, told.width, 3), told) for told in studio.of(Picture)}


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_what_was_drawn_is_kept_beside_each_face_that_is_put_in(house: Any, networks: Any) -> None:
    more = {"face_swap_pictures": (MAN, WOMAN), "face_swap_choice": EACH, "face_swap_keep_original": True, "batch_count": 2}
    made = drawn(house, networks, **more)
    assert list(made) == [0, 1, 2, 3, 4, 5], "in their order, once"
    assert np.array_equal(made[0][0], PEOPLE) and np.array_equal(made[3][0], PEOPLE)
    (man,) = drawn(house, networks, face_swap=MAN).values()
    assert np.array_equal(made[1][0], man[0]) and np.array_equal(made[4][0], man[0]) and min(apart(made[2][0], one) for one in (PEOPLE, man[0])) > 20
    missing = drawn(house, networks, (1, 5), **more)
    assert list(missing) == [1, 5] and all(np.array_equal(missing[index][0], made[index][0]) for index in missing), "after a crash"


def test_a_picture_is_drawn_from_other_faces(house: Any, networks: Any) -> None:
    (result,), (start,) = (drawn(house, networks, face_swap=MAN, **more).values() for more in ({}, {"face_swap_place": START}))
    assert np.array_equal(result[0], start[0]), "at strength 0 it is the same which of both"
    kept = drawn(house, networks, face_swap=MAN, face_swap_place=BOTH, face_swap_keep_original=True)
    assert np.array_equal(kept[0][0], start[0]), "what was drawn was drawn from other faces"
    chosen = drawn(house, networks, face_swap_pictures=(MAN, WOMAN), face_swap_place=START, batch_count=4)
    alone = [KEPT.replace(face_swap_pictures=(MAN, WOMAN), batch_count=4).of_image(index).face_swap for index in range(4)]
    assert {MAN, WOMAN} == set(alone) and [np.array_equal(chosen[index][0], start[0]) for index in range(4)] == [face == MAN for face in alone]


def test_the_finished_picture_is_enlarged_and_what_is_missing_is_told(house: Any, networks: Any) -> None:
    larger = {"face_swap": MAN, "face_swap_upscaler": "Lanczos", "face_swap_upscale_by": 1.5, "face_swap_keep_original": True}
    made = drawn(house, networks, **larger)
    assert [made[index][0].shape for index in (0, 1)] == [(640, 640, 3), (960, 960, 3)] and not made[1][1].notes
    nobody = drawn(house, networks, **larger, face_swap_targets="5")
    assert nobody[1][0].shape == (640, 640, 3) and nobody[1][1].notes == ("No face was replaced: none of the 2 in the picture is one of those that were asked for.",)
    assert drawn(house, networks, **larger, face_swap_targets="5", face_swap_upscale_always=True)[1][0].shape == (960, 960, 3)


def test_extras_makes_a_result_for_each_face(house: Any, networks: Any) -> None:
    extras = {"process": "Extras", "face_swap_pictures": (MAN, WOMAN)}
    made = drawn(house, networks, **extras, face_swap_choice=EACH, face_swap_keep_original=True, face_swap_place=BOTH)
    assert list(made) == [0, 1], "it has no picture of its own to keep"
    for index, face in enumerate((MAN, WOMAN)):
        (alone,) = drawn(house, networks, process="Extras", face_swap=face).values()
        assert np.array_equal(made[index][0], alone[0]) and apart(alone[0], PEOPLE) > 20
    assert list(drawn(house, networks, (1,), **extras, face_swap_choice=EACH)) == [1], "after a crash"
    one = drawn(house, networks, **extras)
    assert list(one) == [0] and any(np.array_equal(one[0][0], each) for each, _ in made.values())


def test_extras_chooses_a_face_for_each_picture() -> None:
    """The same again; also where pictures tell of no seed."""
    requests = [KEPT.replace(process="Extras", face_swap_pictures=(MAN, WOMAN), init_image=f"{number:064x}") for number in range(20)]
    chosen = [request.of_image(0).face_swap for request in requests]
    assert set(chosen) == {MAN, WOMAN} and chosen == [request.of_image(0).face_swap for request in requests]


def test_extras_enlarges_after_the_swap_as_drawing_does(house: Any, networks: Any) -> None:
    larger = {"process": "Extras", "face_swap": MAN, "face_swap_upscaler": "Lanczos", "face_swap_upscale_by": 1.5}
    (drawing,), (made,) = (drawn(house, networks, **larger | more).values() for more in ({"process": "Draw"}, {}))
    assert made[0].shape == (960, 960, 3) and np.array_equal(made[0], drawing[0])
    assert drawn(house, networks, **larger, face_swap_targets="5")[0][0].shape == (640, 640, 3)
    assert drawn(house, networks, **larger, face_swap_targets="5", face_swap_upscale_always=True)[0][0].shape == (960, 960, 3)
    with pytest.raises(InvalidRequest, match="face_swap_upscaler: cannot be used together with Extras' own"):
        Request.parse({**larger, "init_image": INIT, "upscaler_1": "Lanczos"})
