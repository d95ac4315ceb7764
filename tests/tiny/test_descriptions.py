"""Pictures in words, by HTTP, over a small random BLIP and a small tagger; and what is said where they are not."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.catalog.model_file import CAPTIONER, TAGGER
from backend.http import create_app
from backend.messages import Look
from backend.store.view_types import Worker
from backend.worker.device import place
from backend.worker.engine.interrogation import picture_described
from backend.worker.models.memory import Memory
from tests.guest import Guest
from tests.tiny.describers import WORDS, save_blip, save_tagger
from tests.tiny.test_guides import png

SD = "/sdapi/v1/interrogate"


class InPlace:
    """Answers as a worker does, at once and in this process."""

    def __init__(self, house: Guest) -> None:
        self.worker = Worker(name="here", state="ready")
        self.memory, self.asking = Memory(place("cpu", exact=True)), house.backend._components.dispatcher.preprocessing
        self.asking.start([self])

    def is_free(self, *, alone: bool) -> bool:
        return True

    def measure(self, command: Look) -> None:
        self.asking.received(picture_described(self.memory, command))


class Desk:
    def __init__(self, models: Path, data: Path) -> None:
        self.house = Guest(Backend(Settings(data=data, models=(models,)), start_workers=False))
        self.client, self.worker = TestClient(create_app(self.house.backend), base_url="http://127.0.0.1:7860"), InPlace(self.house)

    def ask(self, pixels: np.ndarray, model: str = "clip", **options: object) -> tuple[int, str]:
        if options:
            assert self.client.post("/sdapi/v1/options", json=options).status_code == 200
        sent = {"image": base64.b64encode(png(pixels, "RGB")).decode(), "model": model}
        answer = self.client.post(SD, json=sent)
        return answer.status_code, answer.json()["caption"] if answer.status_code == 200 else answer.json()["errors"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_blip(folder / "BLIP" / "small")
    save_tagger(folder / "deepbooru" / "tagger")
    return folder


@pytest.fixture
def desk(tmp_path: Path, models: Path) -> Iterator[Desk]:
    desk = Desk(models, tmp_path / "data")
    yield desk
    desk.house.close()


def colour(red: int, green: int, blue: int, size: tuple[int, int] = (20, 20)) -> np.ndarray:
    return np.full((*size, 3), (red, green, blue), np.uint8)


def test_a_captioner_says_the_same_of_a_picture_each_time_in_its_own_words(desk: Desk) -> None:
    status, said = desk.ask(colour(255, 0, 0))
    assert status == 200 and said and {word.removesuffix("s") for word in said.split()} <= {word.removesuffix("s") for word in WORDS}
    assert desk.ask(colour(255, 0, 0)) == (200, said)
    assert (CAPTIONER, "small") in desk.worker.memory._held, "Memory owns the network"
    short = desk.ask(colour(255, 0, 0), interrogate_clip_min_length=1, interrogate_clip_max_length=4, interrogate_clip_num_beams=2)
    assert short[0] == 200 and len(short[1].split()) <= 4 < len(said.split())


def test_the_page_has_its_upload_described(desk: Desk) -> None:
    assert desk.client.get("/easel/interrogate").json() == {"missing": ""}
    upload = desk.house.door.upload(png(colour(0, 0, 255), "RGB")).id
    assert desk.client.post("/easel/interrogate", json={"picture": upload}).json()["caption"] == desk.ask(colour(0, 0, 255))[1]
    for wrong, status in ((None, 422), ("../x", 404), ("a" * 64, 404)):
        assert desk.client.post("/easel/interrogate", json={"picture": wrong}).status_code == status


def test_a_tagger_names_what_it_is_sure_of_as_the_options_say(desk: Desk) -> None:
    assert desk.ask(colour(200, 140, 30), "deepdanbooru") == (200, r"green \(tree\), red square")
    assert desk.ask(colour(200, 140, 30), "deepdanbooru", deepbooru_sort_alpha=False, interrogate_return_ranks=True) == (
        200, r"(red square:0.784), (green \(tree\):0.549)")
    plain = {"deepbooru_use_spaces": False, "deepbooru_escape": False, "interrogate_return_ranks": False, "deepbooru_filter_tags": "Red square, x"}
    assert desk.ask(colour(200, 140, 30), "deepdanbooru", **plain) == (200, "green_(tree)")
    assert desk.ask(colour(200, 140, 30), "deepdanbooru", interrogate_deepbooru_score_threshold=0.9) == (200, "")
    assert (TAGGER, "model") in desk.worker.memory._held


def test_a_tagger_sees_the_whole_of_an_oblong_picture_on_white(desk: Desk) -> None:
    assert desk.ask(colour(0, 0, 0, (10, 40)), "deepdanbooru", interrogate_deepbooru_score_threshold=0.7)[1].count(",") == 2     # three quarters white


@pytest.mark.parametrize("sent, status, word", [
    ({"image": "x" * 40, "model": "other"}, 404, "Model not found"), ({"model": "clip"}, 422, "image"), ({"image": None}, 422, "image"),
    ({"image": "%", "model": "deepdanbooru"}, 422, "base64"), ({"image": [1], "model": "clip"}, 422, "image"), ({"image": "", "model": ["clip"]}, 404, "Model"),
])
def test_wrong_questions_are_refused(desk: Desk, sent: dict, status: int, word: str) -> None:
    answer = desk.client.post(SD, json=sent)
    assert answer.status_code == status and word in answer.text


def test_options_out_of_bounds_are_named(desk: Desk) -> None:
    for wrong in ({"interrogate_clip_num_beams": "many"}, {"interrogate_clip_min_length": 0}, {"interrogate_deepbooru_score_threshold": None},
                  {"deepbooru_escape": "perhaps"}, {"deepbooru_filter_tags": ["a"]}, {"interrogate_clip_max_length": 257}):
        refused = desk.client.post("/sdapi/v1/options", json={**wrong, "deepbooru_sort_alpha": False})
        assert refused.status_code == 422 and [problem["field"] for problem in refused.json()["problems"]] == list(wrong)
    assert desk.client.get("/sdapi/v1/options").json()["deepbooru_sort_alpha"] is True, "nothing of a refused request is kept"
    assert desk.ask(colour(255, 0, 0))[0] == 200


def test_without_a_folder_it_is_said_which_belongs_where(tmp_path: Path) -> None:
    (tmp_path / "models" / "BLIP" / "half").mkdir(parents=True)
    (tmp_path / "models" / "BLIP" / "half" / "config.json").write_text('{"model_type": "blip"}')
    (tmp_path / "models" / "BLIP" / "half" / "pytorch_model.bin").write_bytes(b"")
    desk = Desk(tmp_path / "models", tmp_path / "data")
    status, why = desk.ask(colour(1, 1, 1))
    assert status == 501 and "models/BLIP" in why and "half cannot be used: its folder lacks model.safetensors" in why
    assert desk.ask(colour(1, 1, 1), "deepdanbooru")[0] == 501
    assert "models/BLIP" in desk.client.get("/easel/interrogate").json()["missing"]
    desk.house.close()


def test_a_broken_folder_costs_only_the_question(tmp_path: Path) -> None:
    save_tagger(tmp_path / "models" / "deepbooru" / "bad")
    (tmp_path / "models" / "deepbooru" / "bad" / "model.onnx").write_bytes(b"no network")
    blip = tmp_path / "models" / "BLIP" / "bad"
    blip.mkdir(parents=True)
    (blip / "config.json").write_text('{"model_type": "blip", "text_config": {"hidden_size": "x"}}')
    (blip / "vocab.txt").write_text("a\n")
    (blip / "model.safetensors").write_bytes(b"no weights")
    desk = Desk(tmp_path / "models", tmp_path / "data")
    for model in ("clip", "deepdanbooru"):
        status, why = desk.ask(colour(1, 1, 1), model)
        assert status == 422 and "bad" in why or "cannot be loaded" in why, why
    desk.house.close()
