"""The back of the History tab: lists, stars, the bin, comparison, import, and files that come and go."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin
from starlette.testclient import TestClient

import app
from backend import Backend, Settings
from backend.errors import StorageError
from backend.flags import Refusal, import_folder, parser
from backend.http import create_app
from backend.image import save
from backend.image.infotext.differences import differences
from backend.image.infotext.entries import entries
from backend.request.request import Request
from backend.store import boards, picture_import
from backend.store.picture_import import ImportProgress, created_by, safe_parts
from tests.guest import Guest
from tests.pure.test_database import drawn

LOCAL = "http://127.0.0.1:7860"
TEXT = "a red circle\nNegative prompt: ugly\nSteps: 7, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: {seed}, Size: 64x72, Model hash: abcdef12, Model: dream"
USERS = {"ann": "secret", "bob": "secret"}


def logged_in(name: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:secret".encode()).decode()}


def file(seed: int = 1, kind: str = "PNG", text: str | None = None, size: tuple[int, int] = (64, 72)) -> bytes:
    """A picture file as AUTOMATIC1111 writes it."""
    picture = Image.effect_noise(size, 50).convert("RGB")
    return save.encode(picture, kind, TEXT.format(seed=seed) if text is None else text)


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


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """For tests that leave nothing behind."""
    with opened(tmp_path_factory.mktemp("empty")) as client:
        yield client


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """For tests that look at nothing but what they brought themselves."""
    with opened(tmp_path_factory.mktemp("filled")) as client:
        yield client


@pytest.fixture
def team(tmp_path: Path) -> Iterator[TestClient]:
    with opened(tmp_path, users=USERS) as client:
        yield client


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[TestClient]:
    (folder / "models").mkdir()
    house = Backend(Settings(data=folder / "data", models=(folder / "models",), **settings), start_workers=False)
    with TestClient(create_app(house), base_url=LOCAL) as client:
        yield client
    house.close()


def bring(client: TestClient, seed: int, name: str = "", login: dict[str, str] | None = None, **kinds: object) -> str:
    answer = client.post("/easel/history/import", params={"name": name or f"{seed}.png"}, content=file(seed, **kinds), headers=login)
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def ids(client: TestClient, login: dict[str, str] | None = None, **query: object) -> list[str]:
    answer = client.get("/easel/history", params=query, headers=login).json()
    assert answer["total"] >= len(answer["images"])
    return [row["id"] for row in answer["images"]]


def problems(answer: object) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [problem["field"] for problem in answer.json()["problems"]]


# ---- lists ----


def test_a_row_tells_what_the_page_shows(client: TestClient) -> None:
    image = bring(client, 5, "outputs/txt2img-images/2024-01-31/00012-5.png")
    (row,) = client.get("/easel/history").json()["images"]
    assert row["id"] == image and row["prompt"] == "a red circle" and row["seed"] == "5" and row["name"] == "00012-5.png"
    assert (row["model"], row["sampler"], row["starred"], row["missing"], row["binned"]) == ("dream", "DPM++ 2M", False, False, False)
    assert row["created"].startswith("2024-01-31") and (row["width"], row["height"], row["format"]) == (64, 72, "png")
    info = client.get(f"/easel/image/{image}/info").json()
    assert info["infotext"] == TEXT.format(seed=5) and info["request"]["steps"] == 7 and info.items() >= row.items()


def test_every_filter_reaches_the_search(client: TestClient) -> None:
    first = bring(client, 1, "2024-01-31/1.png")
    other = bring(client, 2, "2024-03-01/2.webp", kind="WEBP", text="a blue square\nSteps: 3, Sampler: Euler a, Seed: 2, Size: 64x72, Model: demo")
    for query in ({"q": "circle"}, {"checkpoint": "dream"}, {"sampler": "DPM++ 2M"}, {"seed": 1}, {"until": "2024-02-01"}, {"q": '-blue "red circle'},
                  {"since": "2024-01-31", "until": "2024-01-31"}):
        assert ids(client, **query) == [first], query
    for query in ({"since": "2024-02-01"}, {"q": "SQUARE", "seed": "2", "checkpoint": "demo", "sampler": "Euler a"}, {"limit": 1}):
        assert ids(client, **query) == [other], query
    assert ids(client, q="", checkpoint="", sampler="", seed="", since="", until="", before="") == [other, first]
    assert ids(client, before=other) == [first] and ids(client, before=first) == []
    assert client.get("/easel/history/choices").json() == {"checkpoints": ["demo", "dream"], "samplers": ["DPM++ 2M", "Euler a"]}


@pytest.mark.parametrize("query, fields", [
    ({"since": "yesterday"}, ["since"]), ({"until": "2024-02-30"}, ["until"]), ({"since": "20240131"}, ["since"]), ({"seed": "x"}, ["seed"]),
    ({"seed": -1}, ["seed"]), ({"seed": 2**64}, ["seed"]), ({"seed": "1.5"}, ["seed"]), ({"seed": "٣"}, ["seed"]), ({"limit": 0}, ["limit"]),
    ({"limit": 501}, ["limit"]), ({"starred": "perhaps"}, ["starred"]), ({"zone": 5000}, ["zone"]),
    ({"since": "1700000000", "until": "x", "seed": "y"}, ["seed", "since", "until"]),
])
def test_wrong_queries_name_their_fields(empty: TestClient, query: dict, fields: list[str]) -> None:
    assert sorted(problems(empty.get("/easel/history", params=query))) == sorted(fields)


def test_days_at_the_ends_of_time_are_days(client: TestClient) -> None:
    bring(client, 1)
    for zone in ("", "&zone=840", "&zone=-1439"):
        assert len(client.get(f"/easel/history?since=0001-01-01&until=9999-12-31{zone}").json()["images"]) == 1


def test_a_day_is_that_of_the_pages_clock(client: TestClient) -> None:
    image = bring(client, 1)
    created = datetime.fromisoformat(client.get(f"/easel/image/{image}/info").json()["created"])
    for zone in (-720, -60, 0, 330, 840):
        day = (created + timedelta(minutes=zone)).date()
        assert ids(client, since=day, until=day, zone=zone) == [image]
        assert ids(client, since=day + timedelta(days=1), zone=zone) == ids(client, until=day - timedelta(days=1), zone=zone) == []


def test_an_unknown_place_in_the_list_is_not_found(client: TestClient) -> None:
    assert client.get("/easel/history?before=nothing").status_code == 404


# ---- stars and the bin ----


def test_stars_are_given_and_taken_together(client: TestClient) -> None:
    one, two, three = (bring(client, seed, f"{seed}.png") for seed in (1, 2, 3))
    assert client.post("/easel/history/star", json={"ids": [one, two, one], "on": True}).json() == {"ok": True}
    assert set(ids(client, starred=True)) == {one, two}
    client.post("/easel/history/star", json={"ids": [two], "on": False})
    assert ids(client, starred=True) == [one] and client.get(f"/easel/image/{one}/info").json()["starred"]
    assert client.post("/easel/history/star", json={"ids": [three, "nothing"]}).status_code == 404
    assert ids(client, starred=True) == [one]


@pytest.mark.parametrize("route", ["star", "bin", "restore"])
def test_wrong_choices_are_refused_and_none_is_fine(empty: TestClient, route: str) -> None:
    post = f"/easel/history/{route}"
    assert empty.post(post, json={"ids": []}).json() == {"ok": True}
    assert problems(empty.post(post, json={"ids": ["x"] * 1001})) == ["ids"]
    assert problems(empty.post(post, json={})) == ["ids"]
    for wrong in ("nothing", "", "\ud800", "ä", "x" * 10_000):
        assert empty.post(post, content=json.dumps({"ids": [wrong]})).status_code == 404


def test_what_is_in_the_bin_is_hidden_everywhere_and_comes_back(client: TestClient, house: Guest) -> None:
    images = [bring(client, seed, f"2024-01-0{seed}/{seed}.png") for seed in (1, 2, 3)]
    before = ids(client)
    house_file = house.image_file(images[1])
    for _ in range(2):      # a second time changes nothing
        client.post("/easel/history/bin", json={"ids": [images[1]]})
    assert ids(client) == [images[2], images[0]] == [row["id"] for row in client.get("/easel/images").json()["images"]]
    assert ids(client, binned=True) == [images[1]] and ids(client, q="circle", binned=True) == [images[1]]
    assert house.job(house.image(images[1]).job).images == ()
    assert client.get(f"/easel/image/{images[1]}/thumb").status_code == 200 and house_file.is_file()
    assert client.get(f"/easel/image/{images[1]}/info").json()["binned"]
    assert ids(client, before=images[1]) == [images[0]], "the place of a picture that went to the bin is still one"
    client.post("/easel/history/restore", json={"ids": images})
    assert ids(client) == before and ids(client, binned=True) == []


def test_emptying_deletes_files_and_shows_nothing_any_more(client: TestClient, house: Guest) -> None:
    images = [bring(client, seed, f"{seed}.png") for seed in range(5)]
    files = [house.image_file(image) for image in images]
    files[1].unlink()
    client.post("/easel/history/bin", json={"ids": images[:3]})
    assert client.post("/easel/history/empty").json() == {"deleted": 3}
    assert [path.exists() for path in files] == [False] * 3 + [True] * 2
    assert ids(client, binned=True) == [] and set(ids(client)) == set(images[3:])
    assert client.get(f"/easel/image/{images[0]}").status_code == client.get(f"/easel/image/{images[0]}/info").status_code == 404
    assert client.post("/easel/history/restore", json={"ids": images[:1]}).status_code == 404
    assert client.post("/easel/history/empty").json() == {"deleted": 0}


def test_a_job_never_makes_a_deleted_picture_again(house: Guest) -> None:
    jobs = house._components.jobs
    job = jobs.add_all([Request(seed=1, variation_seed=1, batch_count=2)], "local")[0].id
    (lease,) = jobs.lease("gpu", 1)
    picture = house._components.history.add(job, lease.token, house._components.pictures.write(lease, drawn("local", 0)[1]))
    house.gallery.put_in_bin([picture.id])
    house.gallery.empty_bin()
    jobs.release()
    assert [lease.indices for lease in jobs.lease("gpu", 1)] == [(1,)]


def test_a_file_that_cannot_be_deleted_stays_in_the_bin(client: TestClient, house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, loose = (bring(client, seed, f"{seed}.png") for seed in (1, 2))
    path, unlink = house.image_file(stuck), Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self == path:
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    client.post("/easel/history/bin", json={"ids": [stuck, loose]})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        answer = client.post("/easel/history/empty")
        assert answer.status_code == 507 and "One picture could not be deleted" in answer.json()["errors"]
    assert ids(client, binned=True) == [stuck] and path.is_file()
    assert client.post("/easel/history/empty").json() == {"deleted": 1}


def test_a_crash_while_emptying_loses_nothing_else(client: TestClient, house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [bring(client, seed, f"{seed}.png") for seed in range(4)]
    client.post("/easel/history/bin", json={"ids": images[:3]})
    calls = iter([None, None])
    unlink = Path.unlink

    def die(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok)
        if next(calls, "dead") == "dead":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            house.gallery.empty_bin()
    assert ids(client) == [images[3]] and len(ids(client, binned=True)) == 3
    assert all(row["missing"] for row in client.get("/easel/history?binned=true").json()["images"])
    assert house.gallery.empty_bin() == 3


def test_pictures_of_others_cannot_be_touched_or_seen(team: TestClient) -> None:
    ann, bob = logged_in("ann"), logged_in("bob")
    hers, his = bring(team, 1, login=ann), bring(team, 1, login=bob)
    assert hers != his and ids(team, ann) == [hers] and ids(team, bob) == [his]
    for route in ("star", "bin", "restore"):
        assert team.post(f"/easel/history/{route}", json={"ids": [his, hers]}, headers=bob).status_code == 404
        assert team.post(f"/easel/history/{route}", json={"ids": [hers]}, headers=bob).status_code == 404
    assert ids(team, ann) == [hers] and ids(team, bob, starred=True) == ids(team, bob, binned=True) == []
    assert team.get(f"/easel/history/compare?a={his}&b={hers}", headers=bob).status_code == 404
    assert team.get(f"/easel/history?before={hers}", headers=bob).status_code == 404
    team.post("/easel/history/bin", json={"ids": [hers]}, headers=ann)
    assert team.post("/easel/history/empty", headers=bob).json() == {"deleted": 0}
    assert ids(team, ann, binned=True) == [hers]
    team.post("/easel/history/empty", headers=ann)
    assert team.get("/easel/history/choices", headers=ann).json() == {"checkpoints": [], "samplers": []}
    assert team.get(f"/easel/image/{his}", headers=bob).status_code == 200


# ---- files that come and go ----


def test_a_file_that_was_moved_is_missing_until_it_comes_back(client: TestClient, house: Guest) -> None:
    image = bring(client, 1)
    path = house.image_file(image)
    elsewhere = path.rename(path.with_name("elsewhere.bin"))
    assert [row["missing"] for row in client.get("/easel/history").json()["images"]] == [True]
    assert client.get(f"/easel/image/{image}/info").json()["missing"]
    for route in ("", "/thumb"):
        answer = client.get(f"/easel/image/{image}{route}")
        assert answer.status_code == 404 and "no longer there" in answer.json()["errors"]
    elsewhere.rename(path)
    assert not client.get(f"/easel/image/{image}/info").json()["missing"] and client.get(f"/easel/image/{image}/thumb").status_code == 200


def test_a_disk_that_refuses_makes_pictures_missing(client: TestClient, house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    image, stat = bring(client, 1), os.stat

    def refuse(path: object, *args: object, **more: object) -> os.stat_result:
        if str(path).endswith("1.png"):
            raise OSError(5, "Input/output error")
        return stat(path, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", refuse)
        assert [row["missing"] for row in client.get("/easel/history").json()["images"]] == [True]
        assert client.get(f"/easel/image/{image}").status_code == client.get(f"/easel/image/{image}/thumb").status_code == 404
    monkeypatch.setattr(os, "access", lambda *_: False)
    answer = client.get(f"/easel/image/{image}")
    assert answer.status_code == 404 and "may not be read" in answer.json()["errors"]


@pytest.mark.parametrize("damage", [b"", b"text", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "cut"])
def test_a_file_that_was_spoilt_outside_is_no_error_of_the_house(client: TestClient, house: Guest, damage: bytes) -> None:
    image = bring(client, 1)
    house.image_file(image).write_bytes(damage)
    assert 400 <= client.get(f"/easel/image/{image}/thumb").status_code < 500
    assert client.get("/easel/history").status_code == 200


# ---- comparison ----


def test_two_pictures_are_compared_in_the_order_of_the_table(client: TestClient) -> None:
    a = bring(client, 1)
    b = bring(client, 2, text="a blue circle\nSteps: 30, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5, Seed: 2, Size: 64x72, Clip skip: 2, "
                              "Model: dream, Model hash: abcdef12, Face restoration: CodeFormer")
    answer = client.get(f"/easel/history/compare?a={a}&b={b}").json()
    assert answer["differences"] == [
        {"key": "Prompt", "a": "a red circle", "b": "a blue circle"}, {"key": "Negative prompt", "a": "ugly", "b": ""},
        {"key": "Steps", "a": "7", "b": "30"}, {"key": "Seed", "a": "1", "b": "2"}, {"key": "Clip skip", "a": "1", "b": "2"},
        {"key": "Face restoration", "a": "None", "b": "CodeFormer"}]
    assert answer["same"] == len({"Model", "Sampler", "Schedule type", "Size", "CFG scale", "Model hash"})
    assert client.get(f"/easel/history/compare?a={a}&b={a}").json()["differences"] == []
    assert client.get(f"/easel/history/compare?a={a}&b=nothing").status_code == 404
    assert problems(client.get(f"/easel/history/compare?a={a}")) == ["b"]


def test_comparison_goes_both_ways() -> None:
    dice = random.Random(4)
    texts = ["", "only words", TEXT.format(seed=3), "x\nSteps: 1, Seed: 2, Size: 64x64, ENSD: 3", "Steps: 1, Sampler: k_euler_a, Seed: 5, Eta: 0.5",
             'a: b\nc\nSteps: 1, Seed: 2, Size: 8x8, Hires prompt: "x, y: z"', "Clip skip\nSteps: 1, Seed: 2, Size: 8x8"]
    for _ in range(50):
        a, b = dice.choices(texts, k=2)
        (there, same), (back, also) = differences(a, b), differences(b, a)
        assert [(d.key, d.a, d.b) for d in there] == [(d.key, d.b, d.a) for d in back] and same == also
        assert {d.key for d in there} <= set(entries(a)) | set(entries(b)) and (a != b or not there)
        assert all(d.a != d.b for d in there)


# ---- import ----


@pytest.mark.parametrize("kind, ending", [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp")])
def test_a_picture_is_kept_byte_for_byte_with_its_settings(client: TestClient, house: Guest, kind: str, ending: str) -> None:
    data = file(77, kind)
    answer = client.post("/easel/history/import", params={"name": "outputs/img2img-images/2023-05-06/00003-77.jpeg"}, content=data).json()
    image = house.image(answer["id"])
    assert not answer["known"] and house.image_file(image.id).read_bytes() == data
    assert house.image_file(image.id) == house.settings.outputs / f"imported/outputs/img2img-images/2023-05-06/00003-77.{ending}"
    assert (image.seed, image.format, image.infotext) == (77, ending, TEXT.format(seed=77))
    assert (image.request["prompt"], image.request["steps"], image.request["sampler"], image.request["schedule"]) == (
        "a red circle", 7, "DPM++ 2M", "Automatic")
    served = client.get(f"/easel/image/{image.id}")
    assert served.content == data and served.headers["content-type"] == f"image/{kind.lower()}"
    assert served.headers["x-content-type-options"] == "nosniff" and "sandbox" in served.headers["content-security-policy"]


def test_the_same_content_is_taken_once_under_whatever_name(client: TestClient, house: Guest) -> None:
    data = file(1)
    first = client.post("/easel/history/import?name=a/b.png", content=data).json()
    again = client.post("/easel/history/import?name=c.jpg", content=data).json()
    assert again == {"id": first["id"], "known": True} and len(ids(client)) == 1
    assert len([path for path in house.settings.outputs.rglob("*") if path.is_file()]) == 1
    house.image_file(first["id"]).unlink()
    assert client.post("/easel/history/import?name=a/b.png", content=data).json()["known"]
    assert house.image_file(first["id"]).read_bytes() == data, "the missing file is there again"
    for round_number in range(4):
        client.post("/easel/history/bin", json={"ids": ids(client)})
        assert client.post("/easel/history/import?name=a/b.png", content=data).json()["known"], "it is in the bin"
        client.post("/easel/history/empty")
        brought = client.post("/easel/history/import?name=a/b.png", content=data).json()
        assert not brought["known"] and ids(client) == [brought["id"]], round_number


def test_equal_files_that_come_at_once_are_one_picture(house: Guest) -> None:
    data, taken = file(1), []
    threads = [threading.Thread(target=lambda number=number: taken.append(house.gallery.take_in(data, f"{number}.png"))) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.id for one in taken}) == 1 and sum(not one.known for one in taken) == 1


def test_a_crash_between_file_and_row_leaves_no_second_file(client: TestClient, house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise StorageError("The database could not be written.")

    data = file(1)
    with monkeypatch.context() as patched:
        patched.setattr(house._components.history, "adopt", refuse)
        assert client.post("/easel/history/import?name=a/b.png", content=data).status_code == 507
    assert ids(client) == []
    image = client.post("/easel/history/import?name=a/b.png", content=data).json()["id"]
    assert [path for path in house.settings.outputs.rglob("*") if path.is_file()] == [house.image_file(image)]


def test_other_content_of_the_same_name_gets_another_name(client: TestClient, house: Guest) -> None:
    paths = {house.image_file(bring(client, seed, "00001.png")) for seed in range(4)}
    assert len(paths) == 4 and {path.parent.name for path in paths} == {"imported"}


def test_easels_own_pictures_are_known(client: TestClient, house: Guest) -> None:
    jobs = house._components.jobs
    job = jobs.add_all([Request(seed=1, variation_seed=1, width=64, height=72)], "local")[0].id
    (lease,) = jobs.lease("gpu", 1)
    saved = house._components.pictures.write(lease, drawn("local", 0)[1])
    image = house._components.history.add(job, lease.token, saved)
    data = house.image_file(image.id).read_bytes()
    assert client.post("/easel/history/import?name=x.png", content=data).json() == {"id": image.id, "known": True}
    with house._components.database.write() as session:        # as it was before there were digests
        session.connection().exec_driver_sql("UPDATE images SET digest = ''")
    assert client.post("/easel/history/import?name=x.png", content=data).json() == {"id": image.id, "known": True}
    assert not client.post("/easel/history/import?name=x.png", content=file(1, text=image.infotext)).json()["known"]


def bomb() -> bytes:
    return save.encode(Image.new("1", (14_000, 14_000)), "PNG", "")


def wordy() -> bytes:
    """A compressed text of 100 MB in a small file."""
    info, out = PngImagePlugin.PngInfo(), io.BytesIO()
    info.add_text("parameters", "a" * 100_000_000, zip=True)
    Image.new("RGB", (8, 8)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def gif() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "GIF")
    return out.getvalue()


GARBAGE = {"empty": bytes, "text": lambda: b"just text", "page": lambda: b"<html><script>alert(1)</script>", "svg": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
           "cut": lambda: file()[:3000], "cut jpeg": lambda: file(kind="JPEG")[:1500], "head": lambda: file()[:40], "gif": gif, "bomb": bomb, "wordy": wordy}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_does_not_decode_is_refused_with_a_sentence_and_leaves_nothing(empty: TestClient, name: str) -> None:
    answer = empty.post("/easel/history/import?name=x.png", content=GARBAGE[name]())
    assert problems(answer) == ["file"] and answer.json()["problems"][0]["message"].endswith(".")
    assert ids(empty) == [] and not empty.app.state.backend.settings.outputs.exists()


@pytest.mark.parametrize("text", ["", "garbage \0\ud800 \x07", "x" * 1_000_000, "Steps: 99999999, Seed: -5, Size: 0x0, Sampler: ?", "a\nSteps: 1, Seed: 99999999999, Size: 8x8",
                                  'p\nSteps: 1, Model: "\\ud800", Seed: 3', "[" * 5000 + "\nSteps: 1, Sampler: Euler, Seed: 2"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_garbage_for_a_text_makes_a_picture_all_the_same(filled: TestClient, text: str, kind: str) -> None:
    answer = filled.post("/easel/history/import", params={"name": "x.png"}, content=file(kind=kind, text=text, size=(13, 7)))
    assert answer.status_code == 200, answer.text
    (row,) = [row for row in filled.get("/easel/history").json()["images"] if row["id"] == answer.json()["id"]]
    assert (row["width"], row["height"]) == (13, 7) and filled.get(f"/easel/image/{row['id']}/info").status_code == 200


NASTY = ["../../etc/passwd", "/etc/passwd", "C:\\Windows\\system32\\x.png", "..", "", "a/../../b.png", "\0.png", "~/x.png", ".hidden/.x.png", "CON.png",
         "a/NUL/x", "x" * 3000 + ".png", "/".join("d" * 100 for _ in range(100)), "users/bob/x.png", "猫/é.png", "a.png/b.png", "a.png", "x.easel-tmp", " . / . "]


def test_a_name_never_leads_out_of_the_owners_folder(team: TestClient, tmp_path: Path) -> None:
    there: set[Path] = set()
    for seed, name in enumerate(NASTY):
        image = bring(team, seed, name, logged_in("ann"))
        (path,) = new = {path for path in tmp_path.rglob("*") if path.suffix == ".png"} - there
        there |= new
        assert (tmp_path / "data/outputs/users/ann/imported") in path.parents and path.resolve() == path, name
        assert team.get(f"/easel/image/{image}", headers=logged_in("ann")).status_code == 200, name
        parts = safe_parts(name)
        assert parts and all(part and part.strip(". ") == part and not set('/\\:*?"<>|\0') & set(part) and len(part.encode()) < 200 for part in parts), name


def test_a_folder_never_bears_a_pictures_name(client: TestClient) -> None:
    names = ["a.png", "a.png/b.png", "a/b.png", "a"]
    assert len({bring(client, seed, name) for seed, name in enumerate(names)}) == len(names)


MODIFIED = datetime(2024, 1, 31, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize("name, modified, expected", [
    ("txt2img-images/2024-01-31/00012-5.png", MODIFIED, MODIFIED),
    ("2026-11-22/213005-1f3a9c02-000-42.png", MODIFIED, datetime(2026, 11, 22, 21, 30, 5, tzinfo=UTC)),
    ("extras-images/00012.png", MODIFIED, MODIFIED),
    ("2024-01-31/2023-05-05/1.png", datetime(2023, 5, 5, 12, tzinfo=UTC), datetime(2023, 5, 5, 12, tzinfo=UTC)),
])
def test_a_pictures_moment_comes_from_its_path_or_its_file(name: str, modified: datetime, expected: datetime) -> None:
    assert created_by(name, modified) == expected


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/Los_Angeles"])
def test_pictures_of_a_day_keep_their_day_and_order(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    import time
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        moments = [created_by(f"2024-01-31/{number:05}-{99 - number}.png", modified) for number in range(20)
                   for modified in (None, datetime.now(UTC))]
        assert {moment.astimezone().date().isoformat() for moment in moments} == {"2024-01-31"} and moments == sorted(moments)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_moments_that_cannot_be_are_now() -> None:
    start = datetime.now(UTC)
    for name, modified in (("x.png", None), ("2999-01-01/x.png", None), ("2024-13-45/x.png", None), ("0001-01-01/x.png", None),
                           ("x.png", datetime(2999, 1, 1, tzinfo=UTC)), ("2999-01-01/250000-1f3a9c02-000-1.png", None)):
        assert start <= created_by(name, modified) <= datetime.now(UTC), name


def test_the_pages_time_of_a_file_is_used(client: TestClient) -> None:
    post = "/easel/history/import?name=x.png&modified="
    image = client.post(f"{post}{int(MODIFIED.timestamp() * 1000)}", content=file(1)).json()["id"]
    assert datetime.fromisoformat(client.get(f"/easel/image/{image}/info").json()["created"]) == MODIFIED
    for wrong in ("-1", "x", "9" * 30):
        assert problems(client.post(post + wrong, content=file(2))) == ["modified"]


def test_what_was_imported_comes_back_when_the_database_is_lost(tmp_path: Path, client: TestClient, house: Guest) -> None:
    bring(client, 9, "outputs/txt2img-images/2024-01-31/00012-9.png")
    before = {name: getattr(house.images()[0], name) for name in ("seed", "infotext", "created", "model", "sampler", "request")}
    house.close()
    house.settings.database.unlink()
    again = Guest(Backend(house.settings, start_workers=False))
    try:
        for thread in threading.enumerate():
            if thread.name == "history":
                thread.join()
        (image,) = again.images()
        assert {name: getattr(image, name) for name in before} == before
        assert again.gallery.take_in(again.image_file(image.id).read_bytes(), "x.png").known
    finally:
        again.close()


# ---- import from the command line ----


def outputs(folder: Path) -> Path:
    """A small outputs folder of AUTOMATIC1111."""
    for name, seed, kind in (("txt2img-images/2024-01-31/00000-1.png", 1, "PNG"), ("txt2img-images/2024-01-31/00001-2.png", 2, "PNG"),
                             ("txt2img-grids/2024-01-31/grid-0000.jpg", 3, "JPEG"), ("img2img-images/2024-02-01/00000-4.webp", 4, "WEBP")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file(seed, kind))
    (folder / "txt2img-images/2024-01-31/copy.png").write_bytes((folder / "txt2img-images/2024-01-31/00000-1.png").read_bytes())
    (folder / "extras-images").mkdir()
    (folder / "extras-images/00000.png").write_bytes(b"no picture")
    (folder / "log.csv").write_text("prompt,seed")
    return folder


def test_a_folder_is_taken_in_and_counted(tmp_path: Path, house: Guest, caplog: pytest.LogCaptureFixture) -> None:
    folder = outputs(tmp_path / "outputs")
    tallies = list(house.gallery.take_in_folder(folder))
    assert tallies[-1] == ImportProgress(total=6, taken=4, known=1, unreadable=1) and [tally.processed for tally in tallies] == list(range(7))
    assert str(tallies[-1]) == "6 of 6 files; 4 pictures taken, 1 were known, 1 unreadable"
    assert "extras-images/00000.png cannot be imported" in caplog.text
    assert list(house.gallery.take_in_folder(folder))[-1] == ImportProgress(total=6, taken=0, known=5, unreadable=1)
    names = [image.name for image in house.images()]
    assert names == ["00000-4.webp", "00001-2.png", "00000-1.png", "grid-0000.jpg"]
    assert (folder / "txt2img-images/2024-01-31/00000-1.png").is_file(), "the originals stay"
    assert house.jobs() == [], "nobody queued these"
    assert (house.settings.outputs / "imported/outputs/txt2img-images/2024-01-31/00001-2.png").is_file()


def test_its_own_outputs_are_nothing_new(tmp_path: Path, house: Guest) -> None:
    list(house.gallery.take_in_folder(outputs(tmp_path / "outputs")))
    files = sorted(house.settings.outputs.rglob("*"))
    assert list(house.gallery.take_in_folder(house.settings.outputs))[-1] == ImportProgress(total=4, known=4)
    assert sorted(house.settings.outputs.rglob("*")) == files


def test_the_start_tells_of_the_import(tmp_path: Path, house: Guest, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    app.take_in(house.backend, outputs(tmp_path / "outputs"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and "0 of 6 files" in lines[0] and lines[1].endswith("4 pictures taken, 1 were known, 1 unreadable")

    def full(*_: object) -> None:
        raise StorageError("The picture could not be saved: the disk is full.")

    monkeypatch.setattr(picture_import, "write_atomically", full)
    (tmp_path / "outputs/new.png").write_bytes(file(99))
    with pytest.raises(Refusal, match="disk is full"):
        app.take_in(house.backend, tmp_path / "outputs")


def test_the_flag_wants_a_folder_and_no_logins(tmp_path: Path) -> None:
    def folder(*arguments: str, **settings: object) -> Path | None:
        return import_folder(parser().parse_args(arguments), Settings(**settings))

    assert folder() is None and folder("--import", str(tmp_path)) == tmp_path
    with pytest.raises(Refusal, match="no folder"):
        folder("--import", str(tmp_path / "nothing"))
    with pytest.raises(Refusal, match="without logins"):
        folder("--import", str(tmp_path), users=USERS)


@pytest.mark.parametrize("seed", [2**53 + 1, 2**63, 2**64 - 1])
def test_seeds_of_64_bits_are_kept_shown_and_found(client: TestClient, seed: int) -> None:
    image = bring(client, seed)
    (row,) = client.get("/easel/history").json()["images"]
    assert row["seed"] == str(seed), "text: a page's numbers have 53 bits"
    assert ids(client, seed=seed) == [image] and ids(client, seed=seed - 1) == []
    assert client.get(f"/easel/image/{image}/info").json()["request"]["seed"] == str(seed)


CASES = Path(__file__).parent.parent / "data" / "metadata"


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.iterdir() if path.suffix in (".png", ".jpg")))
def test_pictures_of_everybody_are_read_without_an_error(client: TestClient, name: str) -> None:
    answer = client.post("/easel/settings", content=(CASES / name).read_bytes())
    assert answer.status_code == 200
    values = answer.json()["values"]
    assert not values or values["prompt"].endswith(("a red circle", "ñ é"))
    if name == "hires-without-upscaler.png":
        assert (values["enable_hr"], values["hr_scale"], values["hr_upscaler"]) == (True, 2, "Latent")
    if name in ("swarmui.png", "novelai.png", "invokeai.png"):
        assert "These settings were read from" in answer.json()["missing"][0]


@pytest.mark.parametrize("name", ["novelai.png", "swarmui.png"])
def test_png_info_tells_all_chunks(client: TestClient, name: str) -> None:
    data = (CASES / name).read_bytes()
    answer = client.post("/sdapi/v1/png-info", json={"image": base64.b64encode(data).decode()}).json()
    assert answer["info"].startswith("a red circle\nNegative prompt: blurry\nSteps: ") and answer["parameters"]["Steps"] in ("23", "25")
    assert set(Image.open(io.BytesIO(data)).info) <= set(answer["items"])


# ---- boards, kinds, orders, texts ----


def test_boards_over_http(client: TestClient) -> None:
    a, b, c = (bring(client, seed) for seed in (1, 2, 3))
    board = client.post("/easel/boards", json={"name": "night"}).json()["id"]
    assert problems(client.post("/easel/boards", json={"name": "Night"})) == ["name"]
    assert client.post(f"/easel/boards/{board}/add", json={"ids": [a, c]}).json() == {"ok": True}
    assert client.post(f"/easel/boards/{board}/add", json={"ids": [b, "nobody's"]}).status_code == 404
    assert client.get("/easel/boards").json() == {"boards": [{"id": board, "name": "night", "count": 2, "shared": []}], "of_others": [], "people": []}
    assert ids(client, board=board) == ids(client, q="board:night") == [c, a]
    assert client.get(f"/easel/image/{a}/info").json()["boards"] == [board]
    client.post(f"/easel/boards/{board}/remove", json={"ids": [c]})
    client.post(f"/easel/boards/{board}/rename", json={"name": "day"})
    assert ids(client, q="board:day") == [a]
    assert client.post(f"/easel/boards/{board}/delete").json() == {"ok": True}
    assert client.get("/easel/boards").json() == {"boards": [], "of_others": [], "people": []} and ids(client) == [c, b, a]
    assert client.post(f"/easel/boards/{board}/delete").status_code == 404


def test_boards_have_a_limit(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "MOST", 2)
    answers = [client.post("/easel/boards", json={"name": f"{number}"}) for number in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 422] and "2 boards already" in answers[2].text
    client.post(f"/easel/boards/{answers[0].json()['id']}/delete")
    assert client.post("/easel/boards", json={"name": "again"}).status_code == 200


def test_kinds_and_orders_over_http(client: TestClient) -> None:
    a, b = bring(client, 1), bring(client, 2)
    client.post("/easel/history/star", json={"ids": [a]})
    assert ids(client, order="oldest") == ids(client, order="starred") == [a, b] and ids(client, kind="grid") == []
    assert set(ids(client, kind="txt2img")) == {a, b}
    assert client.get("/easel/history?order=best").status_code == client.get("/easel/history?kind=video").status_code == 422


def test_a_settings_text_is_read_like_a_pictures(client: TestClient) -> None:
    text = "a cat\nNegative prompt: dogs\nSteps: 7, Sampler: DDIM, Seed: 9, Size: 64x72, Model: gone"
    told = client.post("/easel/settings/text", json={"text": text}).json()
    assert told["infotext"] == text and told["values"].items() >= {"prompt": "a cat", "negative_prompt": "dogs", "steps": 7, "width": 64}.items()
    assert any("gone" in line for line in told["missing"])
    assert client.post("/easel/settings/text", json={"text": "only words"}).json()["values"] == {"prompt": "only words", "negative_prompt": ""}
    assert client.post("/easel/settings/text", json={}).status_code == 422


@pytest.mark.parametrize(("line", "key"), [
    ("Sampler: Some new sampler, Seed: 3, Size: 64x64", "Sampler"), ("Sampler: Euler, Seed: 99999999999999999999, Size: 64x64", "Seed"),
    ("Sampler: Euler, Seed: 3, Size: 64x9000", "Size"), ("Sampler: Euler, Seed: 3, Size: 64x64, Model: gone", "Model"),
])
def test_an_infotext_to_draw_from_is_refused_by_the_key_that_cannot_be_used(client: TestClient, line: str, key: str) -> None:
    text = f"a red circle\nSteps: 2, CFG scale: 5, {line}"
    answer = client.post("/sdapi/v1/txt2img", json={"infotext": text})
    assert answer.status_code == 422
    (problem,) = answer.json()["problems"]
    assert problem["field"] == "infotext" and problem["message"].startswith(key)
    said = {"Sampler": {"sampler_name": "Euler"}, "Seed": {"seed": 3}, "Size": {"height": 64}, "Model": {"override_settings": {"sd_model_checkpoint": "x"}}}[key]
    problems = client.post("/sdapi/v1/txt2img", json={"infotext": text, **said}).json().get("problems", [])
    assert not [problem for problem in problems if problem["field"] == "infotext"]
