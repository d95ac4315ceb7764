"""What is shown to others: links and shared boards tell of what was chosen, and of nothing else of their owner's."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend import InvalidRequest, NotFound, UserError
from backend.http import create_app
from backend.image import save
from backend.image.metadata_removal import bare
from backend.store.search import Query
from backend.store.share_links import ShareLinks
from backend.store.tables import ImageRow, JobRow, ShareLinkRow, now
from tests.guest import Guest
from tests.tiny.house import open_house

PEOPLE = {"ann": "a", "bob": "b", "eve": "e"}
SECRET = "a secret lighthouse"
TEXT = f"{SECRET}\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 32x32, Model: demo"


def drawn(kind: str = "PNG", seed: int = 0) -> bytes:
    pixels = Image.effect_noise((32, 32), 60 + seed).convert("RGB")
    return save.encode(pixels, kind, TEXT, '{"prompt": "' + SECRET + '"}')


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False, users=PEOPLE)
    yield house
    house.close()


@pytest.fixture
def ann(house: Guest) -> Guest:
    return Guest(house, "ann")


@pytest.fixture
def bob(house: Guest) -> Guest:
    return Guest(house, "bob")


def kept(guest: Guest, name: str = "a.png", seed: int = 0) -> str:
    return guest.gallery.take_in(drawn(seed=seed), name).id


def client(house: Guest, name: str) -> TestClient:
    login = base64.b64encode(f"{name}:{PEOPLE[name]}".encode()).decode()
    return TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860", headers={"Authorization": f"Basic {login}"})


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_bare_file_has_every_pixel_and_no_word(kind: str) -> None:
    told = drawn(kind)
    if kind == "JPEG":
        out = io.BytesIO()
        Image.open(io.BytesIO(told)).save(out, "JPEG", quality="keep", exif=Image.open(io.BytesIO(told)).getexif(), comment=SECRET.encode(), xmp=SECRET.encode())
        told = out.getvalue()
    assert SECRET[2:8].encode() in told or SECRET.encode("utf-16-le")[4:16] in told or SECRET.encode("utf-16-be")[4:16] in told
    plain = bare(told)
    for code in ("utf-8", "utf-16-le", "utf-16-be"):
        assert "secret".encode(code) not in plain
    first, second = Image.open(io.BytesIO(told)), Image.open(io.BytesIO(plain))
    assert first.convert("RGB").tobytes() == second.convert("RGB").tobytes() and second.format == kind
    assert not {"parameters", "easel", "exif", "xmp", "comment"} & second.info.keys()


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0", b"\xff\xd8\xff"])
def test_what_is_no_such_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        bare(data)


def test_a_link_shows_one_picture_and_its_settings_only_if_they_are_shared(house: Guest, ann: Guest) -> None:
    image, other = kept(ann), kept(ann, "b.png", 1)
    shy, open_ = ann.sharing.create("picture", image), ann.sharing.create("picture", image, settings=True)
    shared = house.backend.shared
    assert SECRET in shared.page(open_.token).infotext and shared.page(shy.token).infotext == ""
    assert SECRET.encode() in shared.file(open_.token).data() and SECRET.encode() not in shared.file(shy.token).data()
    assert shared.file(shy.token).name == "picture.png" and shared.file(open_.token).name == "a.png"
    assert len({shy.token, open_.token}) == 2 and len(shy.token) >= 32
    assert {link.token for link in ann.sharing.links(image)} == {shy.token, open_.token} and not ann.sharing.links(other)
    ann.sharing.revoke(shy.token)
    for token in (shy.token, image, other, "", shy.token[:-1], "%"):
        with pytest.raises(NotFound):
            shared.page(token)
    assert shared.page(open_.token).image.id == image


def test_a_link_ends_with_its_day_with_the_bin_and_with_the_picture(house: Guest, ann: Guest) -> None:
    image = kept(ann)
    link = ann.sharing.create("picture", image, days=1)
    ann.gallery.put_in_bin([image])
    with pytest.raises(NotFound):
        house.backend.shared.file(link.token)
    with pytest.raises(NotFound):
        ann.sharing.create("picture", image)
    ann.gallery.restore([image])
    assert house.backend.shared.page(link.token)
    database = house.backend._components.database
    with database.write() as session:
        session.get_one(ShareLinkRow, link.token).expires = now() - timedelta(seconds=1)
    for act in (lambda: house.backend.shared.page(link.token), lambda: house.backend.shared.file(link.token)):
        with pytest.raises(NotFound):
            act()
    assert not ann.sharing.links()
    lasting = ann.sharing.create("picture", image)
    ann.gallery.put_in_bin([image])
    ann.gallery.empty_bin()
    ShareLinks(database).sweep()
    with database.read() as session:
        assert session.get(ShareLinkRow, link.token) is None and session.get(ShareLinkRow, lasting.token) is None


@pytest.mark.parametrize(("kind", "days", "field"), [("folder", None, "kind"), ("picture", 0, "days"), ("picture", -1, "days"), ("plot", 1e9, "days"), ("picture", float("nan"), "days")])
def test_what_is_no_link_is_refused_by_name(ann: Guest, kind: str, days: float | None, field: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        ann.sharing.create(kind, kept(ann), days=days)
    assert wrong.value.problems[0].field == field


def test_nobody_makes_or_takes_back_links_of_others(house: Guest, ann: Guest, bob: Guest) -> None:
    image = kept(ann)
    plot = ann.plots.create({"request": {"prompt": "x", "width": 64, "height": 64}, "axes": [{"label": "Seed", "values": "1"}]})
    link = ann.sharing.create("picture", image)
    for act in (lambda: bob.sharing.create("picture", image), lambda: bob.sharing.create("plot", plot), lambda: bob.sharing.revoke(link.token),
                lambda: house.backend.shared.file(link.token, "0") and bob.image(image)):
        with pytest.raises(NotFound):
            act()
    assert not bob.sharing.links() and not bob.sharing.links(image) and house.backend.shared.page(link.token)


def test_a_plots_link_shows_its_cells_and_goes_with_it(house: Guest, ann: Guest) -> None:
    plot = ann.plots.create({"request": {"prompt": SECRET, "width": 64, "height": 64}, "axes": [{"label": "Seed", "values": "1, 2"}, {"label": "Steps", "values": "3"}]})
    link = ann.sharing.create("plot", plot)
    page = house.backend.shared.page(link.token)
    assert page.axes == [("Seed", ["1", "2"]), ("Steps", ["3"])] and {cell.cell for cell in page.cells} == {"0,0", "1,0"} and page.infotext == ""
    for cell in ("0,0", "9,9", "", "x"):
        with pytest.raises(NotFound):
            house.backend.shared.file(link.token, cell)
    ann.plots.delete(plot)
    with pytest.raises(NotFound):
        house.backend.shared.page(link.token)


def found(guest: Guest, **query: Any) -> list[str]:
    return [entry.image.id for entry in guest.gallery.search(Query(**query))[0]]


def test_a_shared_board_is_seen_by_those_it_is_shared_with_and_by_nobody_else(house: Guest, ann: Guest, bob: Guest) -> None:
    eve, seen, hidden = Guest(house, "eve"), kept(ann), kept(ann, "b.png", 1)
    board, private = ann.gallery.create_board("pets").id, ann.gallery.create_board("private").id
    ann.gallery.put_on_board(board, [seen])
    ann.gallery.put_on_board(private, [seen, hidden])
    ann.gallery.star([seen])
    ann.gallery.share_board(board, ["bob"])
    assert [(one.name, one.count, owner) for one, owner in bob.gallery.boards_of_others()] == [("pets", 1, "ann")]
    assert found(bob, board=board) == [seen] and found(bob) == [] and not eve.gallery.boards_of_others()
    image = bob.image(seen)
    assert image.shared_by == "ann" and not image.starred and not image.job and bob.image_file(seen).is_file()
    for guest, one in ((bob, hidden), (eve, seen), (eve, hidden)):
        for act in (guest.image, guest.image_file, guest.gallery.is_missing):
            with pytest.raises(NotFound):
                act(one)
    for act in (lambda: found(eve, board=board), lambda: found(bob, board=private)):
        with pytest.raises(NotFound):
            act()
    for act in (lambda: bob.gallery.star([seen]), lambda: bob.gallery.put_in_bin([seen]), lambda: bob.gallery.put_on_board(board, [seen]),
                lambda: bob.gallery.take_off_board(board, [seen]), lambda: bob.gallery.rename_board(board, "x"), lambda: bob.gallery.delete_board(board),
                lambda: bob.gallery.share_board(board, ["eve"]), lambda: bob.sharing.create("picture", seen)):
        with pytest.raises(NotFound):
            act()
    assert found(ann, board=board) == [seen]


def test_a_shared_board_tells_nothing_of_stars_other_boards_or_the_bin(ann: Guest, bob: Guest) -> None:
    first, second = kept(ann), kept(ann, "b.png", 1)
    board, private = ann.gallery.create_board("pets").id, ann.gallery.create_board("private").id
    ann.gallery.put_on_board(board, [first, second])
    ann.gallery.put_on_board(private, [first])
    ann.gallery.star([first])
    ann.gallery.share_board(board, ["*"])
    everything = {first, second}
    for query in ({"starred": True}, {"words": "board:private"}, {"words": "-board:private"}, {"words": 'board:"private"'}, {"order": "starred"}, {"binned": True}):
        assert set(found(bob, board=board, **query)) == everything, query
    assert found(bob, board=board, order="starred") == found(bob, board=board)
    assert set(found(bob, board=board, words="lighthouse")) == everything and found(bob, board=board, words="nothing") == []
    ann.gallery.put_in_bin([first])
    assert found(bob, board=board) == [second] and bob.gallery.boards_of_others()[0][0].count == 1
    with pytest.raises(NotFound):
        bob.image(first)
    ann.gallery.share_board(board, [])
    with pytest.raises(NotFound):
        bob.image(second)
    with pytest.raises(InvalidRequest, match="there is no nobody"):
        ann.gallery.share_board(board, ["nobody"])


def test_of_a_shared_picture_no_upload_or_folder_of_the_owner_is_named(house: Guest, ann: Guest, bob: Guest) -> None:
    image = kept(ann)
    database = house.backend._components.database
    with database.write() as session:
        row = session.get_one(JobRow, session.query(ImageRow).filter_by(id=image).one().job)
        row.request = {**row.request, "init_image": "f" * 64, "mask": "e" * 64, "output_folder": "my client", "guides": [{"image": "d" * 64}]}
    board = ann.gallery.create_board("pets").id
    ann.gallery.put_on_board(board, [image])
    ann.gallery.share_board(board, ["bob"])
    with client(house, "bob") as asked:
        told = asked.get(f"/easel/image/{image}/info")
        assert told.status_code == 200 and told.json()["shared_by"] == "ann" and told.json()["boards"] == []
        for secret in ("f" * 64, "e" * 64, "d" * 64, "my client"):
            assert secret not in told.text
    with client(house, "ann") as asked:
        assert "f" * 64 in asked.get(f"/easel/image/{image}/info").text


def test_over_http_links_are_made_opened_and_taken_back(house: Guest, ann: Guest) -> None:
    image = kept(ann)
    with client(house, "ann") as hers, client(house, "bob") as his:
        made = hers.post("/easel/links", json={"kind": "picture", "id": image}).json()
        assert made["url"].endswith(f"/share/{made['token']}") and made["expires"] is None
        answer = his.get(f"/share/{made['token']}/picture")
        assert answer.status_code == 200 and SECRET.encode() not in answer.content and answer.headers["x-robots-tag"].startswith("noindex")
        assert "no-store" in answer.headers["cache-control"]
        assert SECRET.encode() not in his.get(f"/share/{made['token']}/thumb").content
        assert his.post(f"/easel/links/{made['token']}/revoke").status_code == 404
        assert his.get("/easel/links").json()["links"] == [] and hers.get(f"/easel/links?id={image}").json()["open_to"] == "login"
        assert hers.post(f"/easel/links/{made['token']}/revoke").json() == {"ok": True}
        assert his.get(f"/share/{made['token']}/picture").status_code == 404
        assert hers.post("/easel/links", json={"kind": "picture", "id": "x"}).status_code == 404
        assert hers.post("/easel/links", json={"kind": "picture", "id": image, "days": 0}).json()["problems"][0]["field"] == "days"


def test_what_a_disabled_or_removed_account_shared_is_closed(house: Guest, bob: Guest) -> None:
    accounts = house.backend.accounts
    accounts.add("dora", "artist", "dora's own secret")
    dora = Guest(house, "dora")
    image, board = kept(dora), dora.gallery.create_board("pets").id
    dora.gallery.put_on_board(board, [image])
    dora.gallery.share_board(board, ["bob"])
    link = dora.sharing.create("picture", image).token
    looks = (lambda: house.backend.shared.page(link), lambda: house.backend.shared.file(link), lambda: found(bob, board=board), lambda: bob.image(image))

    def closed() -> bool:
        for look in looks:
            with pytest.raises(NotFound):
                look()
        return not bob.gallery.boards_of_others()

    accounts.set_disabled("dora", True)
    assert closed()
    accounts.set_disabled("dora", False)
    for look in looks:
        look()
    accounts.remove("dora")
    assert closed()
    accounts.add("dora", "artist", "dora's new secret")
    assert closed() and not dora.sharing.links() and [one.shared for one in dora.gallery.boards()] == [()]


def opens(bob: Guest, link: str, board: str, image: str) -> set[bool]:
    """Whether there is something to see, for each way to look."""
    told = {bool(bob.gallery.boards_of_others())}
    for look in (lambda: bob.backend.shared.page(link), lambda: bob.backend.shared.file(link), lambda: found(bob, board=board), lambda: bob.image(image)):
        try:
            told.add(bool(look()))
        except NotFound:
            told.add(False)
    return told


def test_what_somebody_shared_is_closed_when_flags_name_that_one_no_more(tmp_path: Path) -> None:
    """As it is when somebody leaves whom only --auth knew; what was shared before anybody logged in is nobody's then, too."""
    people: list[dict[str, str]] = [PEOPLE, {"bob": "b"}, {}, PEOPLE]
    opened = []
    for run, names in enumerate(people):
        house = open_house(tmp_path, start_workers=False, users=names)
        if run == 0:
            ann = Guest(house, "ann")
            image, board = kept(ann), ann.gallery.create_board("pets").id
            ann.gallery.put_on_board(board, [image])
            ann.gallery.share_board(board, ["bob"])
            link = ann.sharing.create("picture", image).token
        bob = Guest(house, "bob")
        opened.append(opens(bob, link, board, image))
        if run == 2:
            own = house.door.sharing.create("picture", house.door.gallery.take_in(drawn(seed=7), "b.png").id).token
            assert house.backend.shared.page(own)
        if run == 3:
            with pytest.raises(NotFound):
                house.backend.shared.page(own)
        house.close()
    assert opened == [{True}, {False}, {False}, {True}]


@pytest.mark.parametrize(("to", "status"), [("login", 401), ("open", 200)])
def test_whoever_has_a_link_opens_it_where_the_operator_says_so_and_nothing_beside_it(tmp_path: Path, to: str, status: int) -> None:
    house = open_house(tmp_path, start_workers=False, users=PEOPLE, share_links=to)
    image = kept(ann := Guest(house, "ann"))
    token = ann.sharing.create("picture", image).token
    with TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860", headers={"Accept": "application/json"}) as stranger:
        assert [stranger.get(f"/share/{token}/{what}").status_code for what in ("picture", "thumb")] == [status] * 2
        for path in (f"/share/../easel/image/{image}", f"/share/{token}/../../easel/image/{image}", f"/easel/image/{image}", "/easel/links", "/share"):
            assert stranger.get(path).status_code == 401
        assert (stranger.get("/share/wrong/picture").status_code == 404) == (to == "open")
        assert stranger.post(f"/easel/links/{token}/revoke", headers={"Origin": "http://127.0.0.1:7860"}).status_code == 401
    house.close()


def test_what_is_shared_outlives_a_broken_database(house: Guest, ann: Guest, tmp_path: Path) -> None:
    image, board = kept(ann), ann.gallery.create_board("pets").id
    link = ann.sharing.create("picture", image, settings=True)
    ann.gallery.put_on_board(board, [image])
    ann.gallery.share_board(board, ["bob"])
    with house.backend._components.database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE meta")
    house.close()
    again = open_house(tmp_path, start_workers=False, users=PEOPLE)
    assert again.backend.shared.page(link.token).image.id == image and found(Guest(again, "bob"), board=board) == [image]
    again.close()
