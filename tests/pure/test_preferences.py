"""What people prefer: checked like requests, kept per person, and gone when it is taken back."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend.errors import InvalidRequest
from backend.http import create_app
from backend.request.preferences import DEFAULTS, SETTINGS, STARTS, changed, readable, settings
from backend.settings import Settings
from backend.store.database import Database
from backend.store.database_recovery import open_database
from backend.store.preferences import Preferences
from backend.store.users import Users
from tests.pure.door import Door

LOCAL = "http://127.0.0.1:7860"


@pytest.fixture
def kept(database: Database) -> Preferences:
    return Preferences(database)


def refused(values: dict) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as error:
        changed({}, values)
    return {problem.field: problem.message for problem in error.value.problems}


def test_they_are_each_persons_own_and_stay(kept):
    assert kept.of("ann") == {}
    kept.change("ann", {"image_format": "WEBP", "preview_every": "2"})
    kept.change("ann", {"theme": "dark"})
    assert kept.of("ann") == {"image_format": "webp", "preview_every": 2, "theme": "dark"}
    assert kept.of("bob") == {}


def test_what_one_front_keeps_the_others_know(kept, database):
    if not database.url:
        pytest.skip("a file has one front")
    other = Preferences(database)
    assert other.of("ann") == {}
    kept.change("ann", {"theme": "dark"})
    assert other.of("ann") == {"theme": "dark"}


def test_what_is_taken_back_is_gone(kept):
    kept.change("ann", {"image_format": "webp", "save_grid": True, "defaults.txt2img": {"steps": 9}})
    assert kept.change("ann", {"image_format": None, "defaults.txt2img": {}}) == {"save_grid": True}
    assert kept.change("ann", {"save_grid": None, "theme": None}) == {}


def test_each_wrong_value_is_named_and_nothing_is_kept(kept):
    wrong = {"image_format": "gif", "image_quality": 0, "folder_pattern": 3, "theme": "pink", "language": "../de", "steps": 3, "end_sound": "loud", "end_notice": True,
             "defaults.img2img": 4,
             "defaults.txt2img": {"steps": 0, "checkpoint": "demo", "prompt": "x", "image_format": "png", "nonsense": 1, "cfg_scale": 3}}
    expected = {*(name for name in wrong if name != "defaults.txt2img"),
                *(f"defaults.txt2img.{name}" for name in ("steps", "checkpoint", "prompt", "image_format", "nonsense"))}
    assert set(refused(wrong)) == expected
    with pytest.raises(InvalidRequest):
        kept.change("ann", {"save_grid": True, "theme": "pink"})
    assert kept.of("ann") == {}


def test_fields_are_pinned_once_and_only_those_that_are_there(kept):
    assert kept.change("ann", {"pins": ["steps", "image_format", "steps"]}) == {"pins": ["steps", "image_format"]}
    for wrong in ("steps", ["nonsense"], ["prompt"], [["steps"]], ["steps", "checkpoint"], ["init_image"], [f"n{i}" for i in range(13)]):
        assert list(refused({"pins": wrong})) == ["pins"], wrong
    assert kept.change("ann", {"pins": []}) == kept.of("ann") == {}
    assert readable({"pins": ["gone"], "theme": "dark"}) == {"theme": "dark"}


def test_patterns_are_checked_together():
    assert "unknown word [sed]" in refused({"name_pattern": "[sed]"})["name_pattern"]
    deep = changed({}, {"folder_pattern": "a/b/c/d/e/f"})
    with pytest.raises(InvalidRequest, match="9 folders"):
        changed(deep, {"name_pattern": "g/h/i/[seed]"})


def test_what_a_later_easel_wrote_is_left_out():
    stored = {"image_format": "avif", "mood": "good", "image_quality": 80, "defaults.txt2img": {"steps": 30, "mood": 1}, "theme": 3}
    assert readable(stored) == {"image_quality": 80, "defaults.txt2img": {"steps": 30}}


def test_only_settings_go_into_a_job():
    values = {"theme": "dark", "image_format": "jpg", "defaults.txt2img": {"steps": 3}}
    assert settings(values) == {"image_format": "jpg"}
    assert not SETTINGS.keys() & STARTS.keys() and "init_image" not in STARTS and "negative_prompt" in STARTS


# ---- sets of guides ----


PICTURE, REGION, OTHER = ("a" * 64, "b" * 64, "c" * 64)
POSE = [{"enabled": False, "image": PICTURE, "weight": 0.4}, {"enabled": True, "module": "canny", "mask": REGION, "more_images": [OTHER]}, {"enabled": False, "weight": 1}]


def test_a_set_of_guides_is_kept_as_it_stands_and_each_persons_own(kept):
    """Units that are off stay, those behind the last that is on too; what is at its default is left out."""
    stored = [{"image": PICTURE, "weight": 0.4}, {"enabled": True, "module": "canny", "mask": REGION, "more_images": [OTHER]}, {}]
    kept.change("ann", {"guides.my pose": POSE, "theme": "dark"})
    assert kept.of("ann") == {"guides.my pose": stored, "theme": "dark"} and kept.of("bob") == {}
    kept.change("ann", {"guides.my pose": POSE[:1]})
    assert kept.of("ann")["guides.my pose"] == stored[:1]
    assert kept.change("ann", {"guides.my pose": None}) == {"theme": "dark"}


@pytest.mark.parametrize(("units", "field"), [
    ([], ""), ("[]", ""), ([3], ""), ([{}] * 101, ""), ([{"block_weights": "x" * 60_000}] * 2, ""), ([{}, {"weight": 7}], "[1].weight"), ([{"mood": 1}], "[0].mood"),
    ([{"image": "../x"}], "[0].image"), ([{"more_images": [PICTURE] * 17}], "[0].more_images"), ([{"module": "nonsense"}], "[0].module")])
def test_wrong_units_of_a_set_are_named(units, field):
    assert list(refused({"guides.mine": units})) == [f"guides.mine{field}"]


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "x" * 61])
def test_a_set_has_a_name_that_can_be_read(name):
    assert "1 to 60 characters" in refused({f"guides.{name}": [{}]})[f"guides.{name}"]


def test_there_are_not_too_many_sets():
    full = changed({}, {f"guides.{number}": [{}] for number in range(50)})
    assert changed(full, {"guides.7": POSE})["guides.7"][0]["weight"] == 0.4
    with pytest.raises(InvalidRequest, match="50 sets of guides"):
        changed(full, {"guides.one more": [{}]})
    assert len(changed(full, {"guides.7": None, "guides.one more": [{}]})) == 50


def test_of_a_set_from_a_later_easel_all_that_is_understood_stays():
    stored = {"guides.mine": [{"module": "of an extension", "image": PICTURE, "mood": 1}, {"weight": 0.5}], "guides.odd": 3}
    assert readable(stored) == {"guides.mine": [{"image": PICTURE}, {"weight": 0.5}]}


def test_a_broken_database_gives_them_back(tmp_path):
    path = tmp_path / "easel.db"
    before = Database(path)
    Preferences(before).change(Users(before).named("ann").id, {"theme": "dark"})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    database, rescue = open_database(path)
    assert rescue and Preferences(database).of(Users(database).named("ann").id) == {"theme": "dark"}


# ---- over HTTP ----


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory):
    with TestClient(create_app(Door(Settings(data=tmp_path_factory.mktemp("asked")))), base_url=LOCAL) as client:
        yield client


@pytest.fixture
def client(tmp_path: Path):
    with TestClient(create_app(Door(Settings(data=tmp_path))), base_url=LOCAL) as client:
        yield client


def test_routes(client):
    assert client.get("/easel/preferences").json() == {}
    assert client.post("/easel/preferences", json={"theme": "dark", "save_grid": True}).json() == {"theme": "dark", "save_grid": True}
    script = client.get("/easel/preferences.js")
    assert script.headers["content-type"].startswith("text/javascript") and script.headers["cache-control"] == "no-store"
    assert json.loads(script.text.removeprefix("window.easelPreferences = ").removesuffix(";")) == {"theme": "dark", "save_grid": True}
    assert client.post("/easel/preferences", json={"theme": None, "save_grid": None}).json() == {}
    answer = client.post("/easel/preferences", json={"name_pattern": "../[seed]"})
    assert answer.status_code == 422 and answer.json()["problems"][0]["field"] == "name_pattern"


def test_a_name_can_be_seen_before_it_is_kept(client):
    told = client.post("/easel/file-name", json={"folder_pattern": "[model_name]/x", "name_pattern": "[seed]", "image_format": "jpg"}).json()["name"]
    assert told.startswith("demo/x/1234567890-") and told.endswith("-000.jpg")
    assert client.get("/easel/preferences").json() == {}
    assert client.post("/easel/file-name", json={"name_pattern": "[nothing]"}).status_code == 422


def test_where_the_pictures_lie_is_told_to_nobody_who_has_to_log_in(client, tmp_path):
    assert client.get("/easel/about").json()["data"] == str(tmp_path)
    with TestClient(create_app(Door(Settings(data=tmp_path, users={"ann": "secret"}))), base_url=LOCAL) as guarded:
        assert "data" not in guarded.get("/easel/about", auth=("ann", "secret")).json()


def test_the_page_knows_whose_drafts_the_browser_keeps(client, tmp_path):
    assert "dataset.user" not in client.get("/easel/preferences.js").text, "one's who does not log in are nobody else's"
    with TestClient(create_app(Door(Settings(data=tmp_path, users={"ann": "secret", "bob": "other"}))), base_url=LOCAL) as guarded:
        users = [guarded.get("/easel/preferences.js", auth=who).text.partition("dataset.user = ")[2] for who in (("ann", "secret"), ("bob", "other"))]
    assert all(users) and users[0] != users[1]


@pytest.mark.parametrize("option, value, name, kept", [
    ("samples_format", "webp", "image_format", "webp"), ("jpeg_quality", 60, "image_quality", 60), ("webp_lossless", True, "webp_lossless", True),
    ("directories_filename_pattern", "[model_name]", "folder_pattern", "[model_name]"), ("samples_filename_pattern", "[seed]", "name_pattern", "[seed]"),
    ("grid_save", True, "save_grid", True), ("show_progress_every_n_steps", -1, "preview_every", 0), ("show_progress_every_n_steps", 5, "preview_every", 5),
    ("show_progress_type", "TAESD", "preview_method", "Approx cheap"), ("show_progress_type", "Approx NN", "preview_method", "Approx cheap"),
    ("show_progress_type", "Full", "preview_method", "Full"),
])
def test_options_of_automatic1111_are_the_same_settings(asked, option, value, name, kept):
    asked.post("/easel/preferences", json={name: None})
    before = asked.get("/easel/preferences").json()
    assert name not in before and asked.post("/sdapi/v1/options", json={option: value}).status_code == 200
    assert asked.get("/easel/preferences").json() == {**before, name: kept}
    told = asked.get("/sdapi/v1/options").json()[option]
    assert told == (kept if option == "show_progress_type" else value)
    overridden = asked.post("/sdapi/v1/txt2img", json={"override_settings": {option: value}}).json()
    assert overridden["parameters"]["override_settings"][option] == kept


def test_words_of_automatic1111s_clients(client):
    client.post("/sdapi/v1/options", json={"grid_save": True, "samples_format": "jpeg"})
    assert client.get("/easel/preferences").json() == {"save_grid": True, "image_format": "jpg"}
    answer = client.post("/sdapi/v1/txt2img", json={"do_not_save_grid": True}).json()
    assert answer["parameters"]["override_settings"]["grid_save"] is False


def test_wrong_patterns_are_refused_as_options_too(client):
    answer = client.post("/sdapi/v1/options", json={"samples_filename_pattern": "/etc/[seed]"})
    assert answer.status_code == 422 and client.get("/easel/preferences").json() == {}
    assert all(name in DEFAULTS for name in ("defaults.txt2img", "defaults.img2img"))
