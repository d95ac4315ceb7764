"""A batch's results have their sources' names: safe, never over each other, the same after a crash; and go out as one ZIP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from backend import Settings
from backend.facade.backend import Backend
from backend.http import create_app
from backend.image.batch_names import LONGEST, component, places
from backend.messages import Picture
from backend.request.request import Request
from backend.store.jobs import Lease
from tests.guest import Guest

WHERE = "batch-2026-11-23-150102"


@given(st.text(max_size=300))
def test_a_name_is_one_safe_part_of_a_path(text: str) -> None:
    name = component(text)
    assert name and not set(name) & set('/\\:*?"<>|\0\n') and not name.startswith((".", " ")) and not name.endswith((".", " "))
    assert len(name.encode()) <= LONGEST + 1 and component(name) == name
    assert (Path("/outputs") / name).resolve().parent == Path("/outputs")


@pytest.mark.parametrize(("text", "name"), [
    ("cat", "cat"), ("猫 1.final", "猫 1.final"), ("../../etc/passwd", "_.._etc_passwd"), ("..", "picture"), ("", "picture"),
    ("a/b\\c", "a_b_c"), ("CON", "_CON"), ("nul.txt", "_nul.txt"), ("users", "_users"), (".hidden", "hidden"), ("x\r\ny", "x_y"),
])
def test_names(text: str, name: str) -> None:
    assert component(text) == name


def test_several_pictures_of_one_source_are_numbered() -> None:
    one = Request(output_name="cat", output_folder="b", image_format="jpg")
    assert list(map(str, islice(places(one, 0), 2))) == ["b/cat.jpg", "b/cat-1.jpg"]
    many = one.replace(batch_count=3)
    assert [str(next(places(many, index))) for index in range(3)] == ["b/cat-1.jpg", "b/cat-2.jpg", "b/cat-3.jpg"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = Guest(Backend(Settings(data=tmp_path, models=(tmp_path / "models",)), start_workers=False))
    yield house
    house.close()


def leased(house: Guest, name: str = "cat", **values: object) -> Lease:
    job = house._components.jobs.add_all([Request(seed=1, variation_seed=0, width=64, height=64, output_name=name, output_folder=WHERE).replace(**values)], house.user.id)[0].id
    return next(lease for lease in house._components.jobs.lease("gpu", 9) if lease.job == job)


def drawn(lease: Lease, index: int = 0, level: int = 7) -> Picture:
    return Picture(job=lease.job, index=index, width=64, height=64, pixels=bytes([level]) * 64 * 64 * 3)


def kept(house: Guest, lease: Lease, index: int = 0, level: int = 7) -> str:
    free = partial(house._components.history.is_free, lease.job, index)
    saved = house._components.pictures.write(lease, drawn(lease, index, level), free)
    assert house._components.history.add(lease.job, lease.token, saved)
    return saved.path


def test_two_sources_of_one_name_and_a_repeat(house: Guest) -> None:
    first, second = leased(house), leased(house)
    assert kept(house, first) == f"{WHERE}/cat.png"
    assert kept(house, second) == f"{WHERE}/cat-1.png"
    assert kept(house, first) == f"{WHERE}/cat.png" and kept(house, second) == f"{WHERE}/cat-1.png"
    assert len(list((house.settings.outputs / WHERE).iterdir())) == 2


def test_a_crash_between_file_and_row_leaves_nothing_over(house: Guest) -> None:
    lease = leased(house)
    house._components.pictures.write(lease, drawn(lease))
    assert kept(house, lease) == f"{WHERE}/cat.png"


def test_a_file_of_somebody_else_is_not_written_over(house: Guest) -> None:
    theirs = house.settings.outputs / WHERE / "cat.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"precious")
    assert kept(house, leased(house)) == f"{WHERE}/cat-1.png"
    assert theirs.read_bytes() == b"precious"


def test_several_of_one_source(house: Guest) -> None:
    lease = leased(house, batch_count=2)
    assert [kept(house, lease, index) for index in (0, 1)] == [f"{WHERE}/cat-1.png", f"{WHERE}/cat-2.png"]


def test_nothing_escapes_the_folder(house: Guest) -> None:
    path = kept(house, leased(Guest(house, "ann"), name="../../../up", output_folder="../../.."))
    assert path == "users/ann/_.._/_.._.._up.png" and (house.settings.outputs / path).is_file()


def test_the_archive_has_the_owners_pictures_and_names(house: Guest) -> None:
    kept(house, leased(house), level=1)
    kept(house, leased(house, name="dög"), level=2)
    kept(house, leased(Guest(house, "ann"), name="secret"))
    kept(house, leased(house, output_folder="other"))
    client = TestClient(create_app(house.backend), base_url="http://localhost")
    answer = client.get(f"/easel/batch/{WHERE}.zip")
    assert answer.status_code == 200 and WHERE in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["cat.png", "dög.png"]
        assert archive.read("cat.png") == (house.settings.outputs / WHERE / "cat.png").read_bytes()
    assert client.get("/easel/batch/nothing.zip").status_code == 404
    assert client.get("/easel/batch/.zip").status_code == 404


def test_files_that_were_moved_are_left_out(house: Guest) -> None:
    kept(house, leased(house))
    gone = kept(house, leased(house, name="dog"))
    (house.settings.outputs / gone).unlink()
    with house.archive(WHERE) as file, zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["cat.png"]


@pytest.mark.parametrize(("body", "field"), [
    (b"[]", ""), (b"nonsense", ""), (b"{\"steps\": 0}", "steps"), (b"{\"template\": \"x\"}", "template"), (b"{\"x\": 1}", "x"),
])
def test_a_request_from_the_page_is_looked_at(tmp_path: Path, body: bytes, field: str) -> None:
    from tests.pure.door import Door

    client = TestClient(create_app(Door(Settings(data=tmp_path))), base_url="http://localhost")
    answer = client.post("/easel/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and answer.json()["problems"][0]["field"] == field
    fine = client.post("/easel/jobs", json={"prompt": "a cat", "output_name": "cat", "output_folder": WHERE})
    assert fine.status_code == 200 and fine.json()["state"] == "done"
