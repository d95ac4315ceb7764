"""A damaged row is one row that cannot be read, not a history that cannot be read; and no row leads out of the data folder."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.http import create_app
from backend.store.damaged_rows import damage as damage_of
from tests.guest import Guest
from tests.pure.test_history import LOCAL, file
from tests.tiny.house import FakeCatalog, until

LISTS = ("/easel/history", "/easel/images", "/easel/jobs", "/easel/history?q=circle", "/easel/prompts", "/easel/queue", "/easel/history/choices")
DAMAGE = {
    "no json": "UPDATE jobs SET request = 'no json' WHERE id = :job", "a list": "UPDATE jobs SET request = '[1, 2]' WHERE id = :job",
    "deep": f"UPDATE jobs SET request = '{'[' * 5000}{']' * 5000}' WHERE id = :job",
    "wrong kinds": """UPDATE jobs SET request = '{"steps": "many", "prompt": 7, "batch_count": [1], "styles": {"a": 1}, "seed": null}' WHERE id = :job""",
    "notes": "UPDATE jobs SET notes = '5', problems = '[1, {}, null]', skipped = '\"x\"' WHERE id = :job",
    "no text": "UPDATE jobs SET notes = cast(x'ff' AS TEXT), checkpoint = cast(x'c3' AS TEXT), worker = cast(x'ff' AS TEXT) WHERE id = :job",
    "no text of a picture": "UPDATE images SET infotext = cast(x'ff00' AS TEXT), model = cast(x'c328' AS TEXT) WHERE id = :image",
    "no date": "UPDATE images SET created = 'yesterday' WHERE id = :image", "a number as date": "UPDATE images SET created = 17 WHERE id = :image",
    "no date of a job": "UPDATE jobs SET created = 'x', ended = 'y' WHERE id = :job",
    "no place": "UPDATE jobs SET place = 'first', attempts = 'many', died_at = x'ff' WHERE id = :job", "last place": "UPDATE jobs SET place = 9223372036854775807 WHERE id = :job",
    "no format": "UPDATE images SET format = 'exe' WHERE id = :image", "no job": "UPDATE images SET job = 'gone' WHERE id = :image",
    "no size": "UPDATE images SET width = 'wide', \"index\" = 'first' WHERE id = :image", "bytes": "UPDATE images SET model = x'ff00', seed = x'00' WHERE id = :image",
}
OUTSIDE = ("/etc/hostname", "../easel.db", "../../secret.png", "users/../../easel.db", "..\\easel.db")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    (tmp_path / "models").mkdir()
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",)), start_workers=False))
    yield house
    house.close()


@pytest.fixture
def client(house: Guest) -> Iterator[TestClient]:
    with TestClient(create_app(house.backend), base_url=LOCAL) as client:
        yield client


def damage(house: Guest, statement: str, **values: str) -> None:
    with closing(sqlite3.connect(house.settings.database)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


@pytest.mark.parametrize("kind", DAMAGE)
def test_one_damaged_row_leaves_all_others_readable(house: Guest, client: TestClient, kind: str) -> None:
    good, bad = (house.gallery.take_in(file(seed), f"{seed}.png").id for seed in (1, 2))
    damage(house, DAMAGE[kind], **({"job": house.image(bad).job} if ":job" in DAMAGE[kind] else {"image": bad}))
    for path in LISTS:
        assert client.get(path).status_code == 200, path
    assert good in [image["id"] for image in client.get("/easel/history").json()["images"]]
    for path in (f"/easel/image/{bad}/info", f"/easel/image/{bad}", f"/easel/image/{bad}/thumb", f"/easel/history?before={bad}"):
        assert client.get(path).status_code in (200, 404), path
    assert client.get(f"/easel/image/{good}/info").status_code == 200
    assert client.get(f"/api/images/{bad}").status_code in (200, 404)
    assert client.post("/easel/history/bin", json={"ids": [bad]}).status_code == 200
    assert client.post("/easel/history/empty").status_code == 200


@pytest.mark.parametrize("damage", ["place = 'first'", "place = 9223372036854775807", "owner = x'ff'", "cell = x'ff', plot = 'none'", "attempts = 'many'"])
def test_a_damaged_job_that_waits_keeps_easel_from_nothing(tmp_path: Path, damage: str) -> None:
    settings = Settings(data=tmp_path / "data", models=(tmp_path,))
    house = Guest(Backend(settings, catalog=FakeCatalog(tmp_path), start_workers=False))
    jobs = [house.submit("a circle").id for _ in range(3)]
    house.close()
    with closing(sqlite3.connect(settings.database)) as connection, connection:
        connection.execute(f"UPDATE jobs SET {damage} WHERE id = ?", (jobs[1],))
    house = Guest(Backend(settings, catalog=FakeCatalog(tmp_path), start_workers=False))
    waiting = [job.id for job in house.jobs(9)]
    assert {jobs[0], jobs[2]} <= set(waiting) and house.submit("a square").id
    house.close()


@pytest.mark.parametrize("request_", ["'" + "[" * 100_000 + "'", "x'ff00'", "NULL", """'{"batch_count": %s, "prompt": "a"}'""" % ("9" * 4200), """'{"batch_count": 1e999}'"""],
                         ids=["deep", "bytes", "nothing", "count", "infinite"])
def test_the_queue_is_told_beside_a_damaged_job(tmp_path: Path, request_: str) -> None:
    settings = Settings(data=tmp_path / "data", models=(tmp_path,))
    house = Guest(Backend(settings, catalog=FakeCatalog(tmp_path), start_workers=False))
    jobs = [house.submit("a circle").id for _ in range(3)]
    house.close()
    with closing(sqlite3.connect(settings.database)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute(f"UPDATE OR IGNORE jobs SET request = {request_} WHERE id = ?", (jobs[1],))
    house = Guest(Backend(settings, catalog=FakeCatalog(tmp_path), start_workers=False))
    with TestClient(create_app(house.backend), base_url=LOCAL) as client:
        told = client.get("/easel/queue")
        assert told.status_code == 200 and {jobs[0], jobs[2]} <= {job["id"] for job in told.json()["jobs"]}
        assert all(job["count"] < 10**6 for job in told.json()["jobs"])
        assert client.get("/easel/jobs").status_code == client.get("/api/jobs").status_code == 200
    house.close()


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_row_never_leads_out_of_the_outputs_folder(house: Guest, client: TestClient, path: str) -> None:
    secret = house.settings.data.parent / "secret.png"
    secret.write_bytes(file(3))
    image = house.gallery.take_in(file(1), "1.png").id
    damage(house, "UPDATE images SET path = :path WHERE id = :image", path=path, image=image)
    for address in (f"/easel/image/{image}", f"/easel/image/{image}/thumb"):
        assert client.get(address).status_code == 404
    assert client.get("/easel/history").json()["images"][0]["missing"]
    assert client.post("/easel/history/bin", json={"ids": [image]}).status_code == client.post("/easel/history/empty").status_code == 200
    assert secret.is_file() and house.settings.database.is_file() and Path("/etc/hostname").exists()


def test_what_is_damaged_is_told_at_the_start(house: Guest) -> None:
    images = [house.gallery.take_in(file(seed), f"{seed}.png").id for seed in (1, 2, 3)]
    damage(house, "UPDATE images SET path = '/etc/passwd' WHERE id = :image", image=images[0])
    damage(house, "UPDATE jobs SET request = 'x' WHERE id = :job", job=house.image(images[1]).job)
    assert "1 job and 1 picture in" in damage_of(house._components.database)
    house.close()
    again = Backend(house.settings, start_workers=False)
    until(lambda: any("1 job and 1 picture in" in notice for notice in again.status().notices))
    again.close()


def test_a_healthy_database_has_nothing_to_tell(house: Guest) -> None:
    house.gallery.take_in(file(1), "1.png")
    assert damage_of(house._components.database) == ""
    assert json.loads(json.dumps(house.images()[0].request))["seed"] == 1
