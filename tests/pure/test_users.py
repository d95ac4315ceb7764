"""Users: an id for each account, and nobody inherits what was made without logins."""

from __future__ import annotations

import base64
from pathlib import Path, PurePosixPath

import pytest
from starlette.testclient import TestClient

from backend import LOCAL, Backend, NotFound, Settings, User
from backend.http import create_app
from backend.store.database import Database
from backend.store.picture_rebuild import rebuild_history
from backend.store.users import USER_ID, Users
from tests.guest import Guest
from tests.pure.test_history import file

NAMES = ["ann", "local", "Local", "..", "../ann", "a/b", "Jürgen", "users", "%6Cocal", "con", "u0123456789abcdef"]


def test_an_account_keeps_its_id_and_another_name_is_another_user(database: Database) -> None:
    users = Users(database)
    ids = {name: users.named(name).id for name in NAMES}
    assert len(set(ids.values())) == len(NAMES) and all(map(USER_ID.fullmatch, ids.values()))
    again = Users(database)
    assert {name: again.named(name).id for name in reversed(NAMES)} == ids
    assert [again.of(ids[name]) for name in NAMES] == [User(ids[name], name) for name in NAMES]
    assert again.named("anne").id not in ids.values()


def test_the_local_user_is_no_account(database: Database) -> None:
    users = Users(database)
    assert users.named("local").id != LOCAL.id and users.of(LOCAL.id) is LOCAL
    with pytest.raises(NotFound):
        users.of("nobody")


def test_folders_are_safe_and_nobody_elses() -> None:
    folders = [User(f"u{number}", name).folder for number, name in enumerate(NAMES)]
    assert len({LOCAL.folder, *folders}) == len(NAMES) + 1
    assert all(len(PurePosixPath(folder).parts) == 1 and "." not in folder for folder in folders)


def test_an_account_called_local_does_not_inherit_what_was_made_without_logins(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    settings = {"data": tmp_path / "data", "models": (tmp_path / "models",)}
    open_house = Guest(Backend(Settings(**settings), start_workers=False))
    image = open_house.gallery.take_in(file(1), "1.png").id
    upload = open_house.upload(file(2)).id
    open_house.set_preferences({"theme": "dark"})
    open_house.close()
    team = Backend(Settings(**settings, users={"local": "secret"}), start_workers=False)
    login = {"Authorization": "Basic " + base64.b64encode(b"local:secret").decode()}
    with TestClient(create_app(team), base_url="http://127.0.0.1:7860", headers=login) as client:
        assert client.get("/easel/history").json() == {"images": [], "total": 0}
        assert client.get(f"/easel/image/{image}").status_code == client.get(f"/easel/upload/{upload}").status_code == 404
        assert client.get("/easel/preferences").json() == {}
        taken = client.post("/easel/history/import?name=2.png", content=file(3)).json()["id"]
        sent = client.post("/easel/upload", content=file(4)).json()["id"]
        client.post("/easel/styles", json={"name": "Mine", "prompt": "x"})
        assert client.get(f"/easel/image/{taken}").status_code == client.get(f"/easel/upload/{sent}").status_code == 200
    team.close()
    back = Guest(Backend(Settings(**settings), start_workers=False))
    assert [one.id for one in back.images()] == [image] and back.preferences() == {"theme": "dark"}
    assert back.uploaded(upload).is_file() and back.prompt_library.styles() == []
    with pytest.raises(NotFound):
        back.uploaded(sent)
    back.close()


def test_what_the_account_local_made_stays_its_own_when_the_database_is_lost(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    settings = Settings(data=tmp_path / "data", models=(tmp_path / "models",), users={"local": "secret"})
    house = Backend(settings, start_workers=False)
    Guest(house, "local").gallery.take_in(file(1), "1.png")
    house.close()
    settings.database.unlink()
    again = Backend(settings, start_workers=False)
    theirs = Guest(again, "local")
    rebuild_history(again._components.pictures.outputs, again._components.history, again.user)
    assert len(theirs.images()) == 1 and Guest(again).images() == []
    again.close()
