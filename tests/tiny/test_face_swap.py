"""Face swaps, over small networks in insightface's signatures: who is replaced, in Extras, and what is said when nobody can be."""

from __future__ import annotations

import io
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from backend.catalog.face_files import BUFFALO, recognition_network, swap_network
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.catalog.request_files import files_of, resolved
from backend.errors import InvalidRequest
from backend.messages import Run
from backend.request.face_swap import EACH
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.draw import face_swap
from backend.worker.engine.image_prompts import faces_in
from backend.worker.faces.analysis import Faces
from backend.worker.faces.loading import analysis_in
from backend.worker.models.memory import Memory
from backend.worker.pixels.face_restoration import NO_FACES, FindFaces, RestoreFace, SwapFaces, Swapped
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


def one_swap(catalog: ModelCatalog, pixels: np.ndarray, source: np.ndarray, **more: object) -> Swapped:
    request = asked(**more)
    run = Run("mine", "local", request, (0,), files_of(request, catalog), {SOURCE: png(source)})
    return PixelNetworks(Memory(place("cpu", exact=True))).answer(run, SwapFaces.of(request, pixels), User())


@pytest.fixture(scope="module")
def outlining(tmp_path_factory: pytest.TempPathFactory) -> ModelCatalog:
    """Beside the others a network that finds 106 key points."""
    folder = tmp_path_factory.mktemp("models")
    face_networks.save(folder, "buffalo_l", swapper=True, outlines=True)
    return ModelCatalog((folder,))


@pytest.mark.parametrize("known", [False, True], ids=["five points", "106 points"])
def test_nothing_beside_a_face_changes_where_that_is_asked_for(catalog: ModelCatalog, outlining: ModelCatalog, known: bool) -> None:
    people, source = face_picture((3, 4), size=640), face_picture((5, 5), inside=[GREEN])
    whole, within = (one_swap(outlining if known else catalog, people, source, face_swap_mask=mask).pixels for mask in (False, True))
    face = slice(96 + 12, 96 + 20), slice(128 + 12, 128 + 20)            # the middle of the square
    assert np.abs(whole[face].astype(int) - within[face]).max() <= 1 and np.abs(within[face].astype(int) - people[face]).max() > 20
    changed = [np.abs(one.astype(int) - people).max(-1) > 2 for one in (whole, within)]
    assert changed[1].sum() < changed[0].sum() and not (changed[1] & ~changed[0]).any()
    edge = within[96:128, 128:160].astype(int) - people[96:128, 128:160]
    assert len(np.unique(edge)) > 8, "its edge is soft"


def test_only_faces_that_are_sure_enough_count_and_only_so_many(catalog: ModelCatalog) -> None:
    people, source = face_picture((3, 4), (9, 8)), face_picture((5, 5))
    people[96:128, 128:160] = (200, 60, 0)          # the detector gives it 0.76
    assert [one_swap(catalog, people, source, face_swap_targets="all", face_swap_threshold=sure).replaced for sure in (0.5, 0.9)] == [2, 1]
    assert one_swap(catalog, people, source, face_swap_targets="all", face_swap_most=1).replaced == 1
    with pytest.raises(InvalidRequest, match="face_swap: shows no face"):
        one_swap(catalog, people, people[:250, :200], face_swap_threshold=0.9)


def test_numbers_count_among_all_faces_where_that_is_asked_for(catalog: ModelCatalog) -> None:
    woman = face_picture((5, 5), inside=[GREEN])
    more = {"face_swap_targets": "0, 1", "face_swap_gender": "Male"}            # of a man, a man lower down, and a woman, from the left
    assert changed(finished(catalog, asked(**more), woman)) == {(3, 4), (9, 8)}
    assert changed(finished(catalog, asked(face_swap_targets="0, 2", face_swap_gender="Male", face_swap_count_all=True), woman)) == {(3, 4)}
    with pytest.raises(InvalidRequest, match="face_swap: shows a face number 0 that is not of the chosen gender"):
        finished(catalog, asked(face_swap_source_gender="Male", face_swap_count_all=True), woman)


@pytest.mark.parametrize("targets, people, note", [
    ("0", face_picture(), NO_FACES), ("7", PEOPLE, "No face was replaced: none of the 3"), ("0, 9", PEOPLE, "Faces were replaced: 1 of 2"), ("all", PEOPLE, ""),
])
def test_faces_that_stay_as_they_are_are_told(catalog: ModelCatalog, targets: str, people: np.ndarray, note: str) -> None:
    told = one_swap(catalog, people, face_picture((5, 5)), face_swap_targets=targets).note
    assert told.startswith(note) and bool(told) == bool(note)


def test_a_face_model_stands_for_a_picture(catalog: ModelCatalog, tmp_path: Path) -> None:
    source = face_picture((5, 5), inside=[GREEN])
    file = recognition_network((BUFFALO,), catalog)
    (face,) = analysed(file, source)
    models = Path(file.path).parents[3]
    (models / "reactor" / "faces").mkdir(parents=True)
    save_file({"embedding": face.identity, "gender": np.array([0])}, models / "reactor" / "faces" / "elena.safetensors")
    save_file({"embedding": np.ones(4, np.float32)}, models / "reactor" / "faces" / "wrong.safetensors")
    there = ModelCatalog((models,))
    named = asked(face_swap="", face_swap_model="elena.safetensors")
    run = Run("mine", "local", resolved(named, there), (0,), files_of(resolved(named, there), there), {})
    swapped = PixelNetworks(Memory(place("cpu", exact=True))).answer(run, SwapFaces.of(run.request, PEOPLE), User())
    assert run.request.face_swap_model == "elena" and np.array_equal(swapped.pixels, one_swap(catalog, PEOPLE, source).pixels)
    for name, why in (("nobody", "there is: elena"), ("wrong", "no face model as ReActor saves one"), ("../elena", "there is: elena")):
        with pytest.raises(InvalidRequest, match=f"face_swap_model: .*{why}"):
            files_of(asked(face_swap="", face_swap_model=name), there)
    with pytest.raises(InvalidRequest, match="face_swap_model: cannot be used together with another source"):
        asked(face_swap_model="elena")


def analysed(file: ModelFile, pixels: np.ndarray) -> Faces:
    return analysis_in(Memory(place("cpu", exact=True)), file).faces(pixels)


def done(program: Generator, there: list[int]) -> tuple[object, list[str]]:
    """What a program returns, and what it asked for; faces are put in by a colour, restored ones are white."""
    asked_for, answer = [], None
    while True:
        try:
            work = program.send(answer)
        except StopIteration as end:
            return end.value, asked_for
        asked_for.append(type(work).__name__)
        answer = None
        if isinstance(work, SwapFaces):
            answer = Swapped(np.full_like(work.pixels, 100), there[0], "")
        if isinstance(work, FindFaces):
            answer = [np.array([[20, 20], [44, 20], [32, 32], [22, 44], [42, 44]], float)]
        if isinstance(work, RestoreFace):
            answer = np.full_like(work.face, 200)


def test_the_picture_is_enlarged_after_the_swap_and_faces_restored_before_that_or_after() -> None:
    request = Request.parse({"face_swap": SOURCE, "face_restoration": "GFPGAN", "face_swap_upscaler": "Lanczos", "face_swap_upscale_by": 1.5})
    picture = np.zeros((200, 200, 3), np.uint8)
    (pixels, enlarges), asked_for = done(face_swap.drawn(request, picture), [1])
    assert enlarges and pixels[32, 32, 0] == 200 and pixels[199, 199, 0] == 100 and asked_for == ["SwapFaces", "FindFaces", "RestoreFace"]
    assert done(face_swap.larger(request, pixels), [1])[0].shape == (300, 300, 3)
    (pixels, enlarges), asked_for = done(face_swap.drawn(request.replace(face_swap_upscale_first=True), picture), [1])
    assert enlarges and asked_for == ["SwapFaces"]
    made, asked_for = done(face_swap.larger(request.replace(face_swap_upscale_first=True), pixels), [1])
    assert made.shape == (300, 300, 3) and asked_for == ["FindFaces", "RestoreFace"]
    half, _ = done(face_swap.drawn(request.replace(face_restoration_visibility=0.5), picture), [1])
    assert half[0][32, 32, 0] == 150
    assert [done(face_swap.drawn(request.replace(face_swap_upscale_always=always), picture), [0])[0][1] for always in (False, True)] == [False, True]


def test_pictures_of_one_drawing_can_each_be_made_alone() -> None:
    request = Request.parse({"face_swap_pictures": [SOURCE, TARGET], "face_swap_choice": EACH, "face_swap_keep_original": True, "batch_count": 2, "seed": 5,
                             "face_restoration": "GFPGAN"})
    alone = [request.of_image(index) for index in range(request.count)]
    assert [(one.seed, one.face_swap, one.face_restoration, one.count) for one in alone] == [
        (seed, face, restorer, 1) for seed in (5, 6) for face, restorer in (("", "None"), (SOURCE, "GFPGAN"), (TARGET, "GFPGAN"))]
    by_seed = Request.parse({"face_swap_pictures": [SOURCE, TARGET], "batch_count": 40, "seed": 5})
    drawn = [by_seed.of_image(index).face_swap for index in range(40)]
    assert set(drawn) == {SOURCE, TARGET} and drawn == [by_seed.of_image(index).face_swap for index in range(40)]
    assert by_seed.replace(seed=8, batch_count=1).of_image(0).face_swap == drawn[3]
    for wrong, field in (({"loopback_loops": 2, "init_image": TARGET}, "face_swap_choice"), ({"face_swap_place": "Both", "init_image": TARGET}, "face_swap_place")):
        with pytest.raises(InvalidRequest, match=field):
            Request.parse({"face_swap_pictures": [SOURCE, TARGET], "face_swap_choice": EACH, **wrong})
