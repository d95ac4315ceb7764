"""Files are named by ids: no path that a client writes is opened, and no link leads out of a data folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend.http import create_app
from backend.store.picture_files import Pictures
from tests.guest import Guest, user_of
from tests.tiny.house import open_house

SECRET = b"\x89PNG a secret"
TRICKS = ("../../secret.png", "..%2F..%2Fsecret.png", "%2e%2e/%2e%2e/secret.png", "/etc/passwd", "%2Fetc%2Fpasswd", "..\\..\\secret.png",
          "....//secret.png", "secret.png%00.png", "file:%2F%2F%2Fetc%2Fpasswd", "~root", "con", "a" * 5000)
ROUTES = ("/easel/image/{}", "/easel/image/{}/thumb", "/easel/image/{}/info", "/easel/upload/{}", "/easel/upload/{}.png",
          "/easel/upload/{}/layer.png?over={}", "/easel/preview/{}", "/easel/batch/{}.zip", "/easel/plots/{}", "/easel/plots/{}/export.csv",
          "/easel/networks/lora/picture?name={}", "/easel/networks/lora/details?name={}", "/easel/languages/{}.json", "/easel/assets/{}",
          "/gradio_api/file={}", "/file={}", "/assets/{}", "/static/{}", "/api/images/{}", "/api/uploads/{}")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    (tmp_path / "secret.png").write_bytes(SECRET)
    house = open_house(tmp_path, start_workers=False)
    (house.settings.data / "secret.png").write_bytes(SECRET)
    yield house
    house.close()


@pytest.mark.slow
def test_no_route_opens_a_path_that_a_client_writes(house: Guest) -> None:
    import ui

    app = ui.mount(create_app(house.backend), house.backend)
    with TestClient(app, base_url="http://127.0.0.1:7860", raise_server_exceptions=False) as client:
        for route, trick in product(ROUTES, TRICKS):
            answer = client.get(route.replace("{}", trick))
            assert answer.status_code < 500 and b"a secret" not in answer.content and b"root:" not in answer.content, (route, trick)


def test_links_out_of_the_pictures_are_not_followed(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    (outputs / "2026").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(SECRET)
    (outputs / "mine.png").write_bytes(b"mine")
    (outputs / "link.png").symlink_to(tmp_path / "secret.png")
    (outputs / "folder").symlink_to(tmp_path)
    (outputs / "2026" / "same.png").symlink_to(outputs / "mine.png")
    pictures = Pictures(outputs, user_of)
    assert pictures.is_missing("link.png") and pictures.is_missing("folder/secret.png")
    assert not pictures.is_missing("mine.png") and not pictures.is_missing("2026/same.png")
    (tmp_path / "moved").symlink_to(outputs)
    assert not Pictures(tmp_path / "moved", user_of).is_missing("mine.png"), "the folder itself may be elsewhere"


def test_links_out_of_the_uploads_are_not_followed(house: Guest) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, "PNG")
    client = TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860")
    kept = client.post("/easel/upload", content=out.getvalue()).json()["id"]
    assert client.get(f"/easel/upload/{kept}").status_code == 200
    file, = house.settings.data.rglob(f"{kept}.png")
    file.unlink()
    file.symlink_to(house.settings.data / "secret.png")
    assert client.get(f"/easel/upload/{kept}").status_code == 404
