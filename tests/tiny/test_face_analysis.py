"""Faces by insightface's classes over small networks in its signatures: found, counted, known again, drawn as points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from backend.catalog.face_files import ANTELOPE, BUFFALO, recognition_network
from backend.catalog.model_catalog import ModelCatalog
from backend.errors import CheckpointError, InvalidRequest, NotFound
from backend.worker.device import place
from backend.worker.faces import analysis, key_points
from backend.worker.faces.analysis import FaceAnalysis
from backend.worker.faces.loading import analysis_in, detector_in
from backend.worker.faces.selection import chosen
from backend.worker.models.memory import Memory
from tests.tiny import face_networks
from tests.tiny.face_networks import face_picture

BLUE, GREEN = (0, 0, 255), (0, 255, 0)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> FaceAnalysis:
    folder = tmp_path_factory.mktemp("models")
    face_networks.save(folder, nested=True)
    return analysis.load(recognition_network((ANTELOPE,), ModelCatalog((folder,))))


def test_faces_are_found_with_points_and_identities(network: FaceAnalysis) -> None:
    faces = network.faces(face_picture((2, 3), (10, 12), inside=[BLUE, GREEN]))
    left, right = (chosen(faces, "Left to right", number) for number in (0, 1))
    assert np.allclose(left.points, face_networks.POINTS + np.array((96, 64)), atol=1) and np.allclose(right.box, (384, 320, 416, 352), atol=1)
    assert left.identity.shape == (512,) and abs(np.linalg.norm(left.normed) - 1) < 1e-5 and np.linalg.norm(left.identity) > 2
    assert left.male is True and left.age == 30 and right.male is False
    again = network.faces(face_picture((7, 5), inside=[BLUE]))[0]
    assert left.normed @ again.normed > 0.99 > left.normed @ right.normed


@pytest.mark.parametrize("order, cells", [
    ("Left to right", [(9, 2), (5, 8), (2, 15)]), ("Right to left", [(2, 15), (5, 8), (9, 2)]),
    ("Top to bottom", [(2, 15), (5, 8), (9, 2)]), ("Bottom to top", [(9, 2), (5, 8), (2, 15)]),
])
def test_a_face_is_chosen_by_its_place(network: FaceAnalysis, order: str, cells: list[tuple[int, int]]) -> None:
    faces = network.faces(face_picture((9, 2), (5, 8), (2, 15)))
    assert [tuple((chosen(faces, order, n).box[1::-1] / 32).round()) for n in range(3)] == cells


def test_no_face_ten_faces_and_a_number_that_is_not_there(network: FaceAnalysis) -> None:
    with pytest.raises(InvalidRequest, match="no face that could be found"):
        chosen(network.faces(face_picture()), "Largest first", 0)
    ten = network.faces(face_picture(*[(row, 2 * column) for row in (3, 9) for column in range(5)]))
    assert len(ten) == 10 and chosen(ten, "Smallest first", 9)
    with pytest.raises(InvalidRequest, match="10 faces, 0 to 9; there is no number 10"):
        chosen(ten, "Largest first", 10)


def test_a_face_at_the_border_and_one_that_fills_a_small_picture(network: FaceAnalysis) -> None:
    (face,) = network.faces(face_picture((0, 0)))
    assert np.allclose(face.points, face_networks.POINTS, atol=1)
    small = np.zeros((16, 16, 3), np.uint8)
    small[..., 0] = 255
    assert network.faces(small), "of few pixels, all of them face"


@pytest.mark.parametrize("height, width", [(1, 1), (1, 4000), (2500, 3)])
def test_a_narrow_stripe_shows_no_face(network: FaceAnalysis, height: int, width: int) -> None:
    assert network.faces(np.zeros((height, width, 3), np.uint8)) == (), "nothing is left of it at the size that is looked at"


def test_what_is_missing_or_broken_is_said_with_its_place(tmp_path: Path) -> None:
    catalog = ModelCatalog((tmp_path,))
    with pytest.raises(NotFound, match=r"antelopev2, which is not here: put its files \(glintr100.onnx, .*insightface/models/antelopev2.*research"):
        recognition_network((ANTELOPE, BUFFALO), catalog)
    home = face_networks.save(tmp_path, "buffalo_l")
    assert recognition_network((ANTELOPE, BUFFALO), ModelCatalog((tmp_path,))).key == "w600k_r50"
    (home / "w600k_r50.onnx").write_bytes(b"no network")
    with pytest.raises(CheckpointError, match="w600k_r50.onnx cannot be loaded: it is broken"):
        analysis.load(recognition_network((BUFFALO,), ModelCatalog((tmp_path,))))
    (home / "det_10g.onnx").unlink()
    with pytest.raises(NotFound, match="buffalo_l with its detector"):
        recognition_network((BUFFALO,), ModelCatalog((tmp_path,)))


def test_what_finds_faces_is_read_once_for_all_and_stays_as_long_as_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, memory, read = face_networks.save(tmp_path, "buffalo_l"), Memory(place("cpu", exact=True)), []
    original = onnxruntime.InferenceSession.__init__
    monkeypatch.setattr(onnxruntime.InferenceSession, "__init__", lambda self, path, *more, **named: read.append(Path(path).stem) or original(self, path, *more, **named))
    catalog = ModelCatalog((tmp_path,))
    detector = detector_in(memory, catalog.usable("face_detector")[0])
    network = analysis_in(memory, recognition_network((BUFFALO,), catalog))
    assert sorted(read) == ["2d106det", "det_10g", "genderage", "w600k_r50"] and network.networks["detection"].session is detector.session
    assert memory.bytes == sum((home / f"{name}.onnx").stat().st_size for name in read)
    assert len(network.faces(face_picture((3, 4), (9, 8)))) == len(detector.faces(face_picture((3, 4), (9, 8)))) == 2
    memory.drop("det_10g", "face_detector")
    assert memory.bytes == sum((home / f"{name}.onnx").stat().st_size for name in read), "it is there for as long as the others"


def test_key_points_are_drawn_as_instant_id_draws_them(network: FaceAnalysis) -> None:
    (face,) = network.faces(face_picture((5, 5), scale=1))
    wide = analysis.Face(face.box, np.array([[60, 60], [140, 60], [100, 100], [70, 150], [130, 150]], np.float32), 1.0, face.identity)
    picture = key_points.drawn(wide, (200, 220))
    assert picture.shape == (200, 220, 3) and (picture[0, 0] == 0).all()
    for (x, y), colour in zip(wide.points.astype(int), key_points.COLOURS, strict=True):
        assert tuple(picture[y, x]) == colour and tuple(picture[y + 9, x]) == colour
    assert tuple(picture[80, 80]) == (153, 0, 0), "between an eye and the nose, dimmed"
