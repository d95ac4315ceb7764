"""Face swaps, over small networks in insightface's signatures: who is replaced, in Extras, and what is said when nobody can be."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.catalog.face_files import BUFFALO, recognition_network, swap_network
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.needed_files import files_of
from backend.errors import InvalidRequest
from backend.messages import Run
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.engine.image_prompts import faces_in
from backend.worker.models.memory import Memory
from backend.worker.pixels.face_restoration import SwapFaces
from backend.worker.pixels.pixel_networks import PixelNetworks
from backend.worker.pixels.postprocess import postprocess
from tests.tiny import face_networks
from tests.tiny.face_networks import face_picture
from tests.tiny.test_guides import png

BLUE, GREEN = (0, 0, 255), (0, 255, 0)
SOURCE, TARGET = "1" * 64, "2" * 64
PEOPLE = face_picture((3, 4), (3, 12), (9, 8), inside=[BLUE, GREEN, BLUE])          # a man, a woman, a man


class User:
    """For whom networks stay in memory."""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> ModelCatalog:
    folder = tmp_path_factory.mktemp("models")
    face_networks.save(folder, "buffalo_l", swapper=True)
    return ModelCatalog((folder,))


def asked(**more: object) -> Request:
    return Request.parse({"process": "Extras", "init_image": TARGET, "face_swap": SOURCE, "face_swap_order": "Left to right", **more})


def finished(catalog: ModelCatalog, request: Request, source: np.ndarray, notes: list[str] | None = None) -> np.ndarray:
    """What Extras makes, its work items answered as the engine does."""
    run = Run("mine", "local", request, (0,), files_of(request, catalog), {SOURCE: png(source), TARGET: png(PEOPLE)})
    networks, user = PixelNetworks(Memory(place("cpu", exact=True))), User()
    program, answer = postprocess(request, run.pictures[TARGET], (notes if notes is not None else []).append), None
    while True:
        try:
            work = program.send(answer)
        except StopIteration as end:
            return end.value
        answer = networks.answer(run, work, user) if isinstance(work, SwapFaces) else None


def changed(result: np.ndarray) -> set[tuple[int, int]]:
    """The grid cells of PEOPLE that are no longer what they were."""
    apart = np.abs(result.astype(int) - PEOPLE).max(-1).reshape(20, 32, 20, 32).max((1, 3)) > 20
    return {(int(row), int(column)) for row, column in np.argwhere(apart)} & {(3, 4), (3, 12), (9, 8)}


@pytest.mark.parametrize("more, replaced", [
    ({"face_swap_targets": "0"}, {(3, 4)}), ({"face_swap_targets": "1"}, {(9, 8)}), ({"face_swap_targets": "0, 2"}, {(3, 4), (3, 12)}),
    ({"face_swap_targets": "all"}, {(3, 4), (3, 12), (9, 8)}), ({"face_swap_targets": "all", "face_swap_gender": "Female"}, {(3, 12)}),
    ({"face_swap_targets": "0", "face_swap_order": "Bottom to top"}, {(9, 8)}), ({"face_swap_targets": "7"}, set()),
])
def test_who_is_replaced(catalog: ModelCatalog, more: dict[str, object], replaced: set[tuple[int, int]]) -> None:
    assert changed(finished(catalog, asked(**more), face_picture((5, 5), inside=[GREEN]))) == replaced


def test_whose_face_it_gets(catalog: ModelCatalog) -> None:
    man, woman, both = face_picture((5, 5), inside=[BLUE]), face_picture((5, 5), inside=[GREEN]), face_picture((5, 2), (5, 9), inside=[BLUE, GREEN])
    by_number = [finished(catalog, asked(face_swap_source=number), both) for number in (0, 1)]
    assert np.abs(by_number[0].astype(int) - by_number[1]).max() > 20
    for one, alone in zip(by_number, (man, woman), strict=True):
        assert np.abs(one.astype(int) - finished(catalog, asked(), alone)).max() <= 2
    assert np.array_equal(finished(catalog, asked(face_swap_source_gender="Female"), both), by_number[1])


def test_each_face_gets_one_of_its_own(catalog: ModelCatalog) -> None:
    both = face_picture((5, 2), (5, 9), inside=[BLUE, GREEN])
    crossed = finished(catalog, asked(face_swap_targets="0, 2", face_swap_sources="1, 0"), both)
    for left, right, number in ((0, 320, 1), (320, 640, 0)):
        alone = finished(catalog, asked(face_swap_targets="0, 2", face_swap_source=number), both)
        assert np.array_equal(crossed[:, left:right], alone[:, left:right])
    with pytest.raises(InvalidRequest, match="face_swap: shows 2 faces, 0 to 1; there is no number 4"):
        finished(catalog, asked(face_swap_targets="0, 2", face_swap_sources="1, 4"), both)


@pytest.mark.parametrize("targets, sources", [("0, 2", "1"), ("all", "0, 1"), ("0", "x"), ("0", "all"), ("0, 1", "0, 1, 2")])
def test_faces_that_are_put_in_are_as_many_as_are_replaced(targets: str, sources: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(face_swap_targets=targets, face_swap_sources=sources)
    assert [problem.field for problem in caught.value.problems] == ["face_swap_sources"]


def test_what_cannot_be_done_names_the_field(catalog: ModelCatalog, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="face_swap: shows no face"):
        finished(catalog, asked(), face_picture())
    with pytest.raises(InvalidRequest, match="face_swap_targets: must be numbers"):
        asked(face_swap_targets="the left one")
    with pytest.raises(InvalidRequest, match=r"face_swap: .*inswapper_128.onnx into models/insightface.*research"):
        face_networks.save(tmp_path, "buffalo_l")
        files_of(asked(), ModelCatalog((tmp_path,)))
    assert swap_network(catalog).key == "inswapper_128" and recognition_network((BUFFALO,), catalog).key == "w600k_r50"


def test_face_id_and_swap_hold_one_analysis(catalog: ModelCatalog) -> None:
    memory, user = Memory(place("cpu", exact=True)), User()
    file = recognition_network((BUFFALO,), catalog)
    faces_in(memory, file, PEOPLE, PEOPLE)
    request = asked()
    run = Run("mine", "local", request, (0,), files_of(request, catalog), {SOURCE: png(PEOPLE), TARGET: png(PEOPLE)})
    PixelNetworks(memory).answer(run, SwapFaces.of(request, PEOPLE), user)
    assert sorted(memory.loaded) == ["det_10g", "inswapper_128", "w600k_r50"]


def test_a_source_that_is_seen_through_lies_on_white(catalog: ModelCatalog) -> None:
    """As at every other place where a face is looked at: its colours below nothing do not count."""
    seen_through = np.dstack([face_picture((9, 8), (3, 4), inside=[GREEN, BLUE]), np.full((640, 640), 255, np.uint8)])
    seen_through[9 * 32 : 10 * 32, 8 * 32 : 9 * 32, 3] = 0      # the first face cannot be seen
    memory, request = Memory(place("cpu", exact=True)), asked()
    sources = [Image.fromarray(seen_through, "RGBA"), Image.fromarray(face_picture((3, 4), inside=[BLUE]))]
    made = []
    for source in sources:
        out = io.BytesIO()
        source.save(out, "PNG")
        run = Run("mine", "local", request, (0,), files_of(request, catalog), {SOURCE: out.getvalue(), TARGET: png(PEOPLE)})
        made.append(PixelNetworks(memory).answer(run, SwapFaces.of(request, PEOPLE), User())[0])
    assert np.array_equal(*made)
