"""How alike two faces are, over small networks in insightface's signatures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.catalog.face_files import BUFFALO, recognition_network
from backend.catalog.model_catalog import ModelCatalog
from backend.messages import CompareFaces, FacesCompared
from backend.worker.device import place
from backend.worker.engine.face_comparison import faces_compared
from backend.worker.models.memory import Memory
from tests.tiny import face_networks
from tests.tiny.face_networks import face_picture
from tests.tiny.test_guides import png


def test_the_same_face_is_1_and_others_are_less_and_none_is_said(tmp_path: Path) -> None:
    face_networks.save(tmp_path, "buffalo_l")
    file, memory = recognition_network((BUFFALO,), ModelCatalog((tmp_path,))), Memory(place("cpu", exact=True))

    def compared(left: np.ndarray, right: np.ndarray) -> FacesCompared:
        return faces_compared(memory, CompareFaces("task", (png(left), png(right)), file))

    blue, green, nobody = face_picture((5, 5), inside=[(0, 0, 255)]), face_picture((5, 5), inside=[(0, 255, 0)]), face_picture()
    same, other = compared(blue, blue), compared(blue, green)
    assert same.problem is None is other.problem and abs(same.similarity - 1) < 1e-5 and -1 <= other.similarity < 0.999
    assert compared(nobody, blue).problem.message.startswith("The left picture shows no face") and compared(blue, nobody).problem.message.startswith("The right")
    broken = faces_compared(memory, CompareFaces("task", (b"no picture", png(blue)), file))
    assert broken.problem.message == "A picture cannot be read."
