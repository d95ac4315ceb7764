"""The disk does not fill up: uploads have a quota, and what a killed process left is swept or adopted at the next start."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

import ui
from backend import Backend, Settings
from backend.errors import NotFound, UserError
from backend.facade import gradio_upload_folder, housekeeping
from backend.files.atomic_write import TEMPORARY
from backend.http import create_app
from backend.request.request import Request
from backend.store.database import Database
from backend.store.history import PictureFile
from backend.store.preferences import Preferences
from backend.store.uploads import Uploads
from tests.guest import Guest, user_of
from tests.pure.test_history import file
from tests.pure.test_model_kinds import told
from tests.pure.test_network_cards import SD1
from tests.tiny.house import until


def noise(seed: int) -> Image.Image:
    return Image.frombytes("RGB", (64, 64), bytes((seed * 7 + i * i * (seed + 3)) % 251 for i in range(64 * 64 * 3)))


def test_a_full_quota_deletes_the_oldest_that_no_job_names(tmp_path: Path) -> None:
    used: set[str] = set()
    one = Uploads(tmp_path / "x", user_of).keep(noise(0), "ann").id
    size = (tmp_path / "x" / "ann" / f"{one}.png").stat().st_size
    uploads = Uploads(tmp_path, user_of, lambda: used, quota=lambda _: 3 * size + size // 2)
    ids = [uploads.keep(noise(seed), "ann").id for seed in range(3)]
    for age, name in enumerate(reversed(ids), 1):
        os.utime(uploads.file(name, "ann"), (1e9 - age, 1e9 - age))
    used.add(ids[0])
    uploads.keep(noise(0), "bob")
    newest = uploads.keep(noise(9), "ann").id
    assert all(uploads.file(name, "ann") for name in (ids[0], ids[2], newest)) and uploads.file(ids[0], "bob")
    with pytest.raises(NotFound):
        uploads.file(ids[1], "ann")
    used |= {ids[2], newest}
    with pytest.raises(UserError, match="does not fit"):
        uploads.keep(noise(11), "ann")
    assert all(uploads.file(name, "ann") for name in used)


def test_uploads_are_swept_while_the_house_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_SECONDS", 0.02)
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False))
    path = house.uploaded(house.upload(file(1)).id)
    os.utime(path, (1, 1))
    until(lambda: not path.exists())
    house.close()


def test_pictures_of_sets_of_guides_neither_make_room_nor_are_swept(database: Database, tmp_path: Path) -> None:
    kept, room = Preferences(database), [10**6]
    uploads = Uploads(tmp_path, user_of, kept.pictures, quota=lambda _: room[0])
    image, mask, more, loose = (uploads.keep(noise(seed), "ann").id for seed in range(4))
    room[0] = sum(uploads.file(name, "ann").stat().st_size for name in (image, mask, more, loose))
    kept.change("ann", {"guides.mine": [{"image": image, "mask": mask}, {"enabled": True, "more_images": [more]}]})
    for name in (image, mask, more):
        os.utime(uploads.file(name, "ann"), (0, 0))
    newest = uploads.keep(Image.new("RGB", (8, 8)), "ann").id
    with pytest.raises(NotFound):
        uploads.file(loose, "ann")
    assert kept.pictures() == {image, mask, more} and uploads.sweep(kept.pictures()) == 0
    kept.change("ann", {"guides.mine": None})
    assert uploads.sweep(kept.pictures()) == 3 and uploads.file(newest, "ann")


def test_pictures_of_sets_of_guides_stay_while_the_house_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_SECONDS", 0.02)
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False))
    named, loose = (house.uploaded(house.upload(file(number)).id) for number in (1, 2))
    house.set_preferences({"guides.mine": [{"image": named.stem}]})
    for path in (named, loose):
        os.utime(path, (1, 1))
    until(lambda: not loose.exists())
    assert named.exists()
    house.close()


def test_what_is_sent_to_gradio_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the page's own upload route, which takes anything; a file that somebody may be working with stays."""
    monkeypatch.setattr(housekeeping, "GRADIO_SECONDS", 0.02)
    settings = Settings(data=tmp_path / "data", models=(tmp_path,))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(settings.gradio_files))
    house = Backend(settings, start_workers=False)
    app = create_app(house)
    ui.mount(app, house, path="/")
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        sent = [Path(client.post("/gradio_api/upload", files={"files": (name, b"no picture" * 1000)}).json()[0])
                for name in ("old.bin", "new.bin")]
        until(lambda: all(path.is_file() for path in sent))
        assert all(settings.gradio_files in path.parents for path in sent)
        many = client.post("/gradio_api/upload", files=[("files", (f"{number} of many.bin", b"no picture")) for number in range(9)])
        assert len(many.content) > 500 and {client.get(f"/gradio_api/file={path}").status_code for path in many.json()} == {200}
        for path in (sent[0], sent[0].parent):
            os.utime(path, (1e9, 1e9))
        until(lambda: not sent[0].parent.exists() or not sent[0].exists())
        assert sent[1].is_file()
    house.close()


def test_gradios_folder_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradio_upload_folder, "MAX_BYTES", 250)
    for number, age in enumerate((3000, 2000, 1000, 5)):
        (tmp_path / f"{number}").mkdir()
        path = tmp_path / f"{number}" / "a.bin"
        path.write_bytes(bytes(100))
        os.utime(path, (time.time() - age,) * 2)
    (tmp_path / "link").symlink_to(tmp_path / "3")
    assert gradio_upload_folder.sweep(tmp_path) == 2
    assert [path.parent.name for path in sorted(tmp_path.glob("*/a.bin")) if not path.parent.is_symlink()] == ["2", "3"]
    os.utime(tmp_path / "0", (1e9, 1e9))
    assert gradio_upload_folder.sweep(tmp_path) == 0 and not (tmp_path / "0").exists()
    assert gradio_upload_folder.sweep(tmp_path / "nowhere") == 0
    for name, age in (("given up", 400), ("in the making", 200)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert gradio_upload_folder.sweep(tmp_path) == 1 and (tmp_path / "in the making").is_file()


def test_what_a_killed_front_left_is_swept_and_adopted(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", models=(tmp_path,))
    Backend(settings, start_workers=False).close()
    halves = [settings.data / place / f".abc{TEMPORARY}" for place in ("outputs/2024-01-01", "outputs/imported/x", "inputs/local", "")]
    sent, imported = settings.gradio_files / "deadbeef" / "no picture.bin", settings.outputs / "imported" / "old" / "1.png"
    made = settings.outputs / "2024-01-01" / "000000-abc-000-1.png"
    for path in (*halves, sent, imported, made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file(1 if path is imported else 2))
    for path in halves:
        os.utime(path, (1e9, 1e9))
    house = Guest(Backend(settings, start_workers=False))
    until(lambda: not any(path.exists() for path in (*halves, sent)) and house.images())
    assert [image.name for image in house.images()] == ["1.png"], "what a job makes, the job finds itself"
    assert made.is_file()
    house.close()


def test_what_a_killed_front_left_beside_networks_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "NETWORKS_SECONDS", 0.0)
    told(tmp_path / "models" / "Lora" / "style" / "ink.safetensors", SD1)
    half, writing, elsewhere = (tmp_path / "models" / place / f".abc{TEMPORARY}" for place in ("Lora/style", "Lora", "notes"))
    for path in (half, writing, elsewhere):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
        os.utime(path, (1e9, 1e9))
    told(tmp_path / "models" / "Lora" / "oil.safetensors", SD1)
    os.utime(writing, (time.time() + 60,) * 2)
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",)), start_workers=False)
    until(lambda: not half.exists())
    house.close()
    assert writing.exists() and elsewhere.exists(), "another one may be writing there; that is no folder of networks"


def test_half_drawn_pictures_that_nobody_kept_leave_the_bin_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SWEEP_SECONDS", 0.02)
    house = Guest(Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False))
    parts, images = house._components, {}
    for number, kept in enumerate((False, True)):
        request = Request(save_incomplete_images=kept, batch_count=2).with_seeds()
        parts.jobs.add_all([request], house.user.id)
        (lease,) = parts.jobs.lease("cpu", 1)
        for index in range(2):
            saved = PictureFile(index=index, path=f"{number}{index}.png", width=8, height=8, seed=1, infotext="x", format="png",
                                unfinished=index == 0)
            (parts.settings.outputs / saved.path).parent.mkdir(exist_ok=True)
            (parts.settings.outputs / saved.path).touch()
            images[kept, index] = parts.history.add(lease.job, lease.token, saved)
    house.gallery.put_in_bin([images[False, 1].id, images[True, 0].id])
    time.sleep(0.1)
    assert all(house.image(image.id) for image in images.values()), "it is too early"
    monkeypatch.setattr(housekeeping, "UNFINISHED_KEPT", timedelta(0))
    until(lambda: not (parts.settings.outputs / "00.png").exists())
    house.close()
    assert [path.name for path in sorted(parts.settings.outputs.glob("*.png"))] == ["01.png", "10.png", "11.png"]
