"""The disk of the data folder becomes full in the middle of a plot and of a login, and has room again later."""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.errors import StorageError
from backend.extensions.switches import Switches
from backend.http import create_app
from tests.guest import Guest
from tests.tiny.house import FakeCatalog, until

PASSWORD = "a long password"
LOGIN = {"name": "ann", "password": PASSWORD, "next": "/easel/jobs"}
PLOT = {"request": {"prompt": "slow=0.02", "width": 64, "height": 64}, "axes": [{"label": "Seed", "values": "1-40"}]}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(data)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk needs the right to mount one")
    try:
        backend = Backend(Settings(data=data, users={"ann": PASSWORD}), catalog=FakeCatalog(tmp_path), worker="tests.tiny.fake_worker")
        yield Guest(backend, "ann")
        backend.close()
    finally:
        subprocess.run(["umount", str(data)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all that is left."""
    stone = folder / "stone"
    with stone.open("wb", buffering=0) as file:
        for size in (2**16, 2**10, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return stone


def test_a_plot_goes_on_when_there_is_room_again(house: Guest) -> None:
    plot = house.plots.create(PLOT)
    until(lambda: any(cell.state == "done" for cell in house.plots.get(plot).cells))
    stone = fill(house.settings.data)
    until(lambda: any("full" in notice for notice in house.backend.status().notices)
          or any(cell.state == "failed" for cell in house.plots.get(plot).cells), 60)
    stone.unlink()
    until(lambda: not any(cell.state in ("queued", "running") for cell in house.plots.get(plot).cells), 90)
    cells = house.plots.get(plot).cells
    assert {cell.state for cell in cells} <= {"done", "failed"}
    if any(cell.state == "failed" for cell in cells):
        assert all("full" in cell.message for cell in cells if cell.state == "failed")
        house.plots.retry(plot)
        until(lambda: all(cell.state == "done" for cell in house.plots.get(plot).cells), 90)
    cells = house.plots.get(plot).cells
    files = list(house.settings.outputs.rglob("*.png"))
    assert len(cells) == len(files) == len({cell.image for cell in cells}) == 40
    assert not list(house.settings.outputs.rglob("*.easel-tmp"))


def test_a_login_on_a_full_disk_is_refused_in_words_or_right(house: Guest) -> None:
    client = TestClient(create_app(house.backend), base_url="http://localhost", follow_redirects=False)
    assert client.get("/easel/jobs").status_code == 401
    stone = fill(house.settings.data)
    full = client.post("/login", data=LOGIN, headers={"Origin": "http://localhost"})
    assert full.status_code in (303, 503, 507), full.text
    assert client.get("/easel/jobs", auth=("ann", PASSWORD)).status_code == 200, "who logs in needs no room for that"
    stone.unlink()
    assert client.post("/login", data=LOGIN, headers={"Origin": "http://localhost"}).status_code == 303
    assert client.get("/easel/jobs").status_code == 200


def test_each_place_says_what_was_not_kept_and_what_to_do(house: Guest) -> None:
    client = TestClient(create_app(house.backend), base_url="http://localhost", headers={"Origin": "http://localhost"})
    client.auth = ("ann", PASSWORD)
    job = house.submit()
    picture = house.wait(job.id).images[0].id
    stone, sent = fill(house.settings.data), noise(512)
    files = {
        "The upload could not be saved: {}send it again.": client.post("/easel/upload", content=sent),
        "The picture could not be imported: {}import it again.": client.post("/easel/history/import", params={"name": "a.png"}, content=sent),
        "The styles could not be saved: {}save them again.": client.post("/easel/styles", json={"name": "x", "prompt": "y" * 5000, "negative_prompt": ""}),
    }
    program = client.post("/api/uploads", content=sent)
    rows = (        # the database may have room left in its files
        client.post("/easel/preferences", json={"language": "de"}),
        client.post("/easel/links", json={"kind": "picture", "id": picture}),
        client.post("/easel/boards", json={"name": "b" * 60}),
        client.post("/easel/history/star", json={"ids": [picture]}),
    )
    stone.unlink()
    full = "the disk is full. Free some space, then "
    assert {told.format(full): 507 for told in files} == {answer.json()["problems"][0]["message"]: answer.status_code for answer in files.values()}
    assert program.status_code == 507 and f"{full}send it again." in program.text
    said = [answer.text for answer in rows if answer.is_error]
    assert [text for text in said if f"The database could not be written: {full}try again." not in text] == []


def test_a_file_for_the_page_that_the_disk_has_no_room_for(house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    house.wait(house.submit(output_folder="some", output_name="a").id)
    monkeypatch.setattr(tempfile, "tempdir", str(house.settings.data))
    stone = fill(house.settings.data)
    client = TestClient(create_app(house.backend), base_url="http://localhost")
    answer = client.get("/easel/batch/some.zip", auth=("ann", PASSWORD))
    stone.unlink()
    assert answer.status_code == 507 and "The archive could not be made: the disk is full. Free some space, then try again." in answer.text


def test_a_start_does_not_need_room_to_know_which_extension_ends_it(house: Guest) -> None:
    switches, stone = Switches(house.settings.data / "switches.json"), fill(house.settings.data)
    switches.opening("extensions.some")
    switches.opening("")
    with pytest.raises(StorageError, match="What is on and off could not be saved: the disk is full"):
        switches.switch("some", False)
    assert switches.is_on("some")
    stone.unlink()


def noise(side: int) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 90).convert("RGB").save(out, "PNG")
    return out.getvalue()
