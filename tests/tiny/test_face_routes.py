"""What the page asks about faces, by HTTP, over small networks in insightface's signatures: where they are, how alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from backend import LOCAL, Backend, Settings
from backend.http import create_app
from backend.messages import CompareFaces, LocateFaces, Look
from backend.request.request import Request
from backend.store.tables import JobRow
from backend.store.view_types import Worker
from backend.worker.device import place
from backend.worker.engine.face_comparison import faces_compared
from backend.worker.engine.face_location import faces_located
from backend.worker.models.memory import Memory
from tests.guest import Guest
from tests.tiny import face_networks
from tests.tiny.face_networks import face_picture
from tests.tiny.test_guides import png

BLUE, GREEN = (0, 0, 255), (0, 255, 0)
ANSWERS = {CompareFaces: faces_compared, LocateFaces: faces_located}


class InPlace:
    """Answers as a worker does, at once and in this process."""

    def __init__(self, house: Guest) -> None:
        self.worker = Worker(name="here", state="ready")
        self.memory, self.asking = Memory(place("cpu", exact=True)), house.backend._components.dispatcher.preprocessing
        self.asking.start([self])

    def is_free(self, *, alone: bool) -> bool:
        return True

    def resume(self) -> bool:
        return False

    def measure(self, command: Look) -> None:
        self.asking.received(ANSWERS[type(command)](self.memory, command))


class Desk:
    def __init__(self, house: Guest) -> None:
        self.house, self.client, self.worker = house, TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860"), InPlace(house)

    def picture(self, pixels: np.ndarray, mode: str = "RGB", account: str = "") -> str:
        """Its id in the history."""
        guest = Guest(self.house, account) if account else self.house
        return guest.gallery.take_in(png(pixels, mode), "one.png").id

    def alike(self, a: str, b: str) -> tuple[float | None, str]:
        answer = self.client.get("/easel/faces/similarity", params={"a": a, "b": b})
        assert answer.status_code == 200, answer.text
        return answer.json()["similarity"], answer.json()["why"]

    def located(self, upload: str, **more: str) -> dict:
        answer = self.client.get("/easel/faces/located", params={"picture": upload, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, pixels: np.ndarray, mode: str = "RGB") -> str:
        return self.house.door.upload(png(pixels, mode)).id


@pytest.fixture
def models(tmp_path: Path) -> Path:
    face_networks.save(tmp_path / "models", "buffalo_l")
    return tmp_path / "models"


@pytest.fixture
def desk(tmp_path: Path, models: Path) -> Iterator[Desk]:
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(models,)), start_workers=False))
    yield Desk(house)
    house.close()


def test_how_alike_the_largest_faces_are(desk: Desk) -> None:
    blue, green = (desk.picture(face_picture((5, 5), inside=[colour])) for colour in (BLUE, GREEN))
    assert desk.alike(blue, blue)[0] == pytest.approx(1, abs=1e-5) and -1 <= desk.alike(blue, green)[0] < 0.999
    ten = desk.picture(face_picture(*[(row, 2 * column) for row in (3, 9) for column in range(5)], inside=[BLUE] * 10))
    assert desk.alike(ten, blue)[0] > 0.99, "one of ten is taken"
    border = desk.picture(face_picture((0, 0), inside=[BLUE]))
    assert desk.alike(border, blue)[0] > 0.9
    seen_through = desk.picture(face_picture((5, 5), inside=[BLUE]), "RGBA")
    assert desk.alike(seen_through, blue)[0] == pytest.approx(1, abs=1e-5)


def test_why_two_pictures_cannot_be_compared(desk: Desk, models: Path) -> None:
    blue, nobody = desk.picture(face_picture((5, 5), inside=[BLUE])), desk.picture(face_picture())
    assert desk.alike(nobody, blue)[1].startswith("The left picture shows no face") and desk.alike(blue, nobody)[1].startswith("The right picture")
    grey = desk.picture(face_picture((5, 5)), "L")
    assert desk.alike(grey, blue) == (None, desk.alike(nobody, blue)[1]), "grey is no face to these networks, and no accident"
    theirs = desk.picture(face_picture((5, 5)), account="ann")
    for ids in ((theirs, blue), (blue, theirs), (blue, "gone")):
        assert desk.client.get("/easel/faces/similarity", params=dict(zip("ab", ids, strict=True))).status_code == 404
    file = models / "insightface" / "models" / "buffalo_l" / "w600k_r50.onnx"
    file.write_bytes(file.read_bytes()[:300])
    found, why = desk.alike(blue, blue)
    assert found is None and "w600k_r50.onnx cannot be loaded" in why
    file.write_bytes(face_networks.landmarks().SerializeToString())
    found, why = desk.alike(blue, blue)
    assert found is None and why, "another's network under that name is told, and the worker lives on"
    file.unlink()
    desk.house.backend._components.catalog.scan("insightface")
    assert desk.alike(blue, blue) == (None, ""), "without a network there is nothing to say"


@pytest.mark.parametrize(("enabled", "there"), [(True, True), (False, False)])
def test_whom_a_guide_with_networks_of_its_own_has_drawn_is_compared_by_them(desk: Desk, models: Path, enabled: bool, there: bool) -> None:
    (models / "insightface" / "models" / "buffalo_l" / "easel.json").write_text('{"only_for": ["own"]}')
    desk.house.backend._components.catalog.refresh()
    history, blue = desk.house.backend._components.history, desk.picture(face_picture((5, 5), inside=[BLUE]))
    request = Request.parse({"guides": [{"enabled": enabled, "module": "ip-adapter-auto", "model": "own"}]}).to_json()
    with history._database.write() as session:
        session.get(JobRow, history.image(blue, LOCAL.id).job).request = request
    assert desk.alike(blue, blue) == ((pytest.approx(1, abs=1e-5), "") if there else (None, ""))


def test_faces_are_located_in_each_order(desk: Desk) -> None:
    found = desk.located(desk.upload(face_picture((9, 2), (5, 8), (2, 15), inside=[BLUE, GREEN])))
    assert found["why"] == "" and len(found["faces"]) == 3
    places = [tuple(round(side * 20) for side in face["box"]) for face in found["faces"]]
    assert [places[n] for n in found["orders"]["Left to right"]] == [(2, 9, 3, 10), (8, 5, 9, 6), (15, 2, 16, 3)]
    assert found["orders"]["Right to left"] == found["orders"]["Left to right"][::-1] == found["orders"]["Top to bottom"]
    assert [found["faces"][n]["male"] for n in found["orders"]["Left to right"]] == [True, False, False]
    border = desk.located(desk.upload(face_picture((0, 0))))
    assert border["faces"][0]["box"][:2] == [0, 0], "no box leaves the picture"
    ten = desk.located(desk.upload(face_picture(*[(row, 2 * column) for row in (3, 9) for column in range(5)]), "RGBA"))
    assert sorted(ten["orders"]["Smallest first"]) == list(range(10))


def test_why_no_face_is_shown(desk: Desk, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk.upload(face_picture((5, 5)))
    assert desk.located(desk.upload(face_picture()))["why"].startswith("The picture shows no face that could be found")
    assert desk.located(one, pack="antelopev2")["faces"], "where only the other is there, that is taken"
    assert desk.client.get("/easel/faces/located", params={"picture": "ab" * 32}).status_code == 404
    assert desk.client.get("/easel/faces/located", params={"picture": one, "pack": "other"}).status_code == 422
    desk.worker.worker = Worker(name="here", state="failed")
    assert "not ready" in desk.located(one)["why"]
    (models / "insightface" / "models" / "buffalo_l" / "w600k_r50.onnx").unlink()
    desk.house.backend._components.catalog.scan("insightface")
    assert desk.located(one)["why"].startswith("Easel needs insightface's buffalo_l, which is not here: put its files")


def test_an_adapters_own_networks_see_for_it_alone(desk: Desk, models: Path) -> None:
    (models / "insightface" / "models" / "buffalo_l").rename(models / "insightface" / "models" / "aside")
    (models / "insightface" / "models" / "aside" / "easel.json").write_text('{"only_for": "own"}')
    desk.house.backend._components.catalog.refresh()
    one = desk.upload(face_picture((5, 5)))
    assert desk.located(one, adapter="own")["faces"]
    assert all("needs insightface's buffalo_l" in desk.located(one, **more)["why"] for more in ({}, {"adapter": "another"}))
