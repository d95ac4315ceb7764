"""The disk of the data folder becomes full in the middle of a plot and of a login, and has room again later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend import Backend, Settings
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
