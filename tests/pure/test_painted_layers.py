"""What is painted over a picture: kept at its size, owned, equal where nothing has changed; and the bad files of the page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from backend import LOCAL
from backend.errors import NotFound, UserError
from backend.http import create_app
from backend.image import upload_decoding
from backend.settings import Settings
from backend.store.painted_layers import PaintedLayer, PaintedLayers
from backend.store.uploads import Uploads
from tests.guest import user_of
from tests.pure.door import Door
from tests.pure.test_upload_decoding import bomb, file
from ui.parts import init_image

RED, SIZE = (200, 30, 40), (40, 30)
GROUND = Image.effect_noise(SIZE, 60).convert("RGB")


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path, user_of)


def patch(alpha: int = 255, size: tuple[int, int] = (8, 6)) -> bytes:
    return file(Image.new("RGBA", size, (*RED, alpha)))


def opened(uploads: Uploads, name: str, owner: str = "ann") -> np.ndarray:
    return np.asarray(Image.open(uploads.file(name, owner)))


def test_a_cut_out_lands_where_it_was_painted(uploads: Uploads) -> None:
    over = uploads.keep(GROUND, "ann").id
    sheet = opened(uploads, PaintedLayers(uploads).keep(patch(), PaintedLayer(over, 5, 7), "ann"))
    assert sheet.shape == (30, 40, 4) and (sheet[7:13, 5:13] == (*RED, 255)).all() and sheet[..., 3].sum() == 255 * 48
    mask = opened(uploads, PaintedLayers(uploads).keep(patch(153), PaintedLayer(over, 5, 7, mask=True), "ann"))
    assert mask.shape == (30, 40) and (mask[7:13, 5:13] == 255).all() and (mask > 0).sum() == 48


@pytest.mark.parametrize("corner", [(33, 0), (0, 25), (-1, 0), (0, -1)])
def test_paint_beside_the_picture_is_refused(uploads: Uploads, corner: tuple[int, int]) -> None:
    over = uploads.keep(GROUND, "ann").id
    with pytest.raises(UserError, match="does not lie on"):
        PaintedLayers(uploads).keep(patch(), PaintedLayer(over, *corner), "ann")


def test_nothing_painted_is_nothing_and_the_same_paint_keeps_its_id(uploads: Uploads) -> None:
    over, paints = uploads.keep(GROUND, "ann").id, PaintedLayers(uploads)
    assert paints.keep(patch(0), PaintedLayer(over), "ann") == "" == paints.keep(patch(10), PaintedLayer(over, mask=True), "ann")
    first = paints.keep(patch(128), PaintedLayer(over, 1, 1), "ann")
    nearly = file(Image.new("RGBA", (8, 6), (RED[0] + 2, RED[1] - 1, RED[2], 128)))
    assert paints.keep(nearly, PaintedLayer(over, 1, 1, former=first), "ann") == first
    assert paints.keep(patch(128), PaintedLayer(over, 2, 1, former=first), "ann") != first


def test_an_uploaded_mask_keeps_its_greys_until_it_is_painted_on(uploads: Uploads) -> None:
    over, paints = uploads.keep(GROUND, "ann").id, PaintedLayers(uploads)
    grey = uploads.keep(Image.linear_gradient("L").resize(SIZE), "ann").id
    half = Image.new("RGBA", SIZE)
    half.putalpha(Image.linear_gradient("L").resize(SIZE).point(lambda level: 153 if level >= 128 else 0))
    assert paints.keep(file(half), PaintedLayer(over, former=grey, mask=True), "ann") == grey
    half.putpixel((0, 0), (0, 0, 0, 153))
    assert paints.keep(file(half), PaintedLayer(over, former=grey, mask=True), "ann") != grey
    black = uploads.keep(Image.new("L", SIZE), "ann").id
    assert paints.keep(patch(0), PaintedLayer(over, former=black, mask=True), "ann") == black


def test_a_sketch_is_the_picture_with_its_paint_and_the_mask_of_it(uploads: Uploads) -> None:
    over, paints = uploads.keep(GROUND, "ann").id, PaintedLayers(uploads)
    whole, mask = paints.sketch(over, paints.keep(patch(), PaintedLayer(over, 5, 7), "ann"), "ann")
    pixels, marked, ground = opened(uploads, whole), opened(uploads, mask), np.asarray(GROUND)
    assert (pixels[7:13, 5:13] == RED).all() and (pixels[marked == 0] == ground[marked == 0]).all() and (marked > 0).sum() == 48
    faint = paints.sketch(over, paints.keep(patch(3), PaintedLayer(over), "ann"), "ann")
    assert ((opened(uploads, faint[0]) != ground).any(axis=2) <= (opened(uploads, faint[1]) > 0)).all()


def test_nobody_paints_on_anothers_picture(uploads: Uploads) -> None:
    over = uploads.keep(GROUND, "ann").id
    for layer in (PaintedLayer(over), PaintedLayer("../" + over), PaintedLayer("")):
        with pytest.raises(NotFound):
            PaintedLayers(uploads).keep(patch(), layer, "bob")


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return TestClient(create_app(Door(Settings(data=tmp_path))), base_url="http://localhost")


def test_paint_by_the_route(client: TestClient) -> None:
    over = client.post("/easel/upload", content=file(GROUND)).json()["id"]
    answer = client.post(f"/easel/upload/{over}/paint?left=3&top=2&mask=true", content=patch())
    assert answer.status_code == 200 and client.get(f"/easel/upload/{answer.json()['id']}.png").status_code == 200
    for wrong in (b"", b"text", bomb()):
        assert client.post(f"/easel/upload/{over}/paint", content=wrong).status_code in (400, 422)
    assert client.post(f"/easel/upload/{'0' * 64}/paint", content=patch()).status_code == 404
    sketch = client.post(f"/easel/upload/{over}/paint", content=patch()).json()["id"]
    whole = client.post(f"/easel/upload/{over}/sketch", json={"paint": sketch}).json()
    assert all(client.get(f"/easel/upload/{whole[name]}.png").status_code == 200 for name in ("init_image", "mask")) and whole["init_image"] != over
    assert client.post(f"/easel/upload/{over}/sketch", json={"paint": "0" * 64}).status_code == 404


@pytest.mark.parametrize(("mode", "starts", "masked"), [
    (init_image.PLAIN, False, ""), (init_image.SKETCH, True, ""), (init_image.INPAINT, False, "m"), (init_image.INPAINT_SKETCH, True, "p"),
])
def test_each_mode_takes_what_is_its_own(tmp_path: Path, mode: str, starts: bool, masked: str) -> None:
    door = Door(Settings(data=tmp_path))
    over = door.upload(file(GROUND)).id
    paint = door.paint(patch(), PaintedLayer(over))
    values = {"prompt": "a tree", "init_image": over, "mask": "m" * 64, "editor_mode": mode, "paint": paint}
    made = init_image.complete(door.as_(LOCAL), values)
    assert set(made) == {"prompt", "init_image", "mask"} and (made["init_image"] != over) is starts
    assert made["mask"] == {"": "", "m": "m" * 64}.get(masked, made["mask"]) and bool(made["mask"]) is bool(masked)
    without = init_image.complete(door.as_(LOCAL), values | {"paint": ""})  # type: ignore[arg-type]
    assert without["init_image"] == over


def cmyk() -> bytes:
    return file(Image.new("CMYK", (16, 8), (0, 255, 255, 0)), "JPEG")


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return file(Image.new("RGB", (16, 8), "red"), "JPEG", exif=exif)


FINE = {
    "1x1": (file(Image.new("RGB", (1, 1))), (1, 1)), "cmyk": (cmyk(), (16, 8)),
    "16-bit": (file(Image.fromarray(np.full((8, 16), 40_000, np.uint16))), (16, 8)),
    "palette": (file(Image.new("P", (16, 8))), (16, 8)), "alpha": (file(Image.new("RGBA", (16, 8))), (16, 8)), "turned": (turned(), (8, 16)),
    "animated": (file(Image.new("RGB", (16, 8)), "GIF", save_all=True, append_images=[Image.new("RGB", (16, 8), "red")]), (16, 8)),
}
BAD = {"empty": b"", "text": b"this is no picture", "truncated": file(GROUND)[:700], "bomb": bomb()}


@pytest.mark.parametrize("name", FINE)
def test_odd_pictures_are_taken(client: TestClient, name: str) -> None:
    data, size = FINE[name]
    kept = client.post("/easel/upload", content=data).json()
    assert (kept["width"], kept["height"]) == size
    assert Image.open(io.BytesIO(client.get(f"/easel/upload/{kept['id']}.png").content)).mode == "RGB"


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("mask", [False, True])
def test_bad_files_are_refused_with_a_sentence(client: TestClient, name: str, mask: bool) -> None:
    answer = client.post(f"/easel/upload?mask={mask}", content=BAD[name])
    problem = answer.json()["problems"][0]
    assert answer.status_code == 422 and problem["field"] == ("mask" if mask else "init_image") and len(problem["message"]) > 10
    assert client.post("/easel/upload", content=file(GROUND)).status_code == 200


def test_paint_keeps_its_alpha() -> None:
    assert upload_decoding.paint(patch(128)).getpixel((0, 0)) == (*RED, 128)
