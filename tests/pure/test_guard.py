"""The guard: logins, foreign names, foreign pages, sizes and headers, on every route of the finished application."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from backend.flags import read_file, read_variable
from backend.http import create_app
from backend.http.accounts.authentication import Credentials, Denied, parse_basic
from backend.http.accounts.identification import Identification
from backend.http.accounts.login_throttle import ACCOUNT_TRIES, Throttle, network
from backend.http.guard import MAX_BODY, Guard
from backend.settings import Settings
from backend.store.accounts import Account, Accounts
from tests.pure.door import Door

LOCAL = "http://127.0.0.1:7860"
WEAK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
USERS = {"ann": WEAK.hash("secret"), "bob": "plain: text"}


def accounts(users: dict[str, str]) -> Accounts:
    return Door(Settings(data=Path(tempfile.mkdtemp(prefix="easel-accounts-")), users=users)).accounts


def identification(door: Door) -> Identification:
    return Identification(door.settings, door.accounts, door.sessions, door.access_tokens, door.audit_log)


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 4), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The whole application as app.py builds it, page included, with logins."""
    import ui

    door = Door(Settings(data=tmp_path_factory.mktemp("data"), host="0.0.0.0", users=USERS))
    app = create_app(door)
    ui.mount(app, door, path="/")
    return app


@pytest.fixture(scope="module")
def closed(house: FastAPI) -> Iterator[TestClient]:
    with TestClient(house, base_url="http://easel.example") as client:
        yield client


@pytest.fixture
def local(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Door(Settings(data=tmp_path))), base_url=LOCAL) as client:
        yield client


def websockets(routes: list[BaseRoute], prefix: str = "") -> Iterator[str]:
    """The paths of all websockets, those of mounted applications too; path parameters filled in."""
    for route in routes:
        path = prefix + getattr(route, "path", "").replace(":path", "")
        for name in getattr(route, "param_convertors", {}):
            path = path.replace(f"{{{name}}}", "x")
        if isinstance(route, Mount):
            yield from websockets(route.routes or [], path)
        if included := getattr(route, "original_router", None):
            yield from websockets(included.routes, prefix)
        if isinstance(route, WebSocketRoute):
            yield path


def test_what_no_route_answers_wants_a_login_and_so_does_every_websocket(house: FastAPI, closed: TestClient) -> None:
    """All other routes are walked by `test_all_routes.py`."""
    for path in ("/", "/nowhere", "/assets/index.js", "/gradio_api/nowhere", "/sdapi/v1/nowhere"):
        assert closed.get(path).status_code == closed.post(path).status_code == 401, path
    for path in (*websockets(house.routes), "/nowhere"):
        with pytest.raises(WebSocketDisconnect), closed.websocket_connect(path):
            pass


def test_gradios_developer_routes_are_closed_and_the_pages_are_not(closed: TestClient) -> None:
    login = basic("bob", "plain: text")
    for path in ("vibe-code", "proxy=http://127.0.0.1/", "run-history/buckets", "custom_component/x/x/x/x", "runs"):
        assert closed.get(f"/gradio_api/{path}", headers=login).status_code == 404, path
    assert closed.get("/monitoring", headers=login).status_code == 404
    assert closed.get("/gradio_api/info", headers=login).status_code == 200


def test_the_health_check_is_open_and_says_nothing(closed: TestClient) -> None:
    assert closed.get("/easel/health").json() == {"status": "ok"}
    assert closed.get("/easel/health", headers=basic("bob", "plain: text")).json()["notices"] == ["hello"]
    for path in ("/easel/health/", "/easel//health", "/easel/health/../jobs", "/easel/healthy"):
        assert closed.get(path).status_code == 401, path


def test_both_kinds_of_password_open_the_page(closed: TestClient) -> None:
    for name, password in (("ann", "secret"), ("bob", "plain: text")):
        assert "gradio" in closed.get("/", headers=basic(name, password)).text
        assert closed.get("/easel/jobs", headers=basic(name, password)).json() == {"jobs": []}


@pytest.mark.parametrize("headers", [
    basic("ann", "wrong"), basic("ann", USERS["ann"]), basic("nobody", "secret"), basic("ann", ""), basic("", ""),
    {"Authorization": "Basic ???"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic " + base64.b64encode(b"ann").decode()},
    {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()}, {"Authorization": b"Basic \xff\xfe"}, {"Authorization": b"\xe4"},
    {"Authorization": b"Bearer \xff"}, {"Authorization": "Basic " + base64.b64encode(b"ann:\x00").decode()},
])
def test_a_wrong_login_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    app = create_app(Door(Settings(data=tmp_path, users=USERS)))
    answer = TestClient(app, base_url=LOCAL).get("/easel/jobs", headers=headers)
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_one_user_made_the_other_does_not_see(tmp_path: Path) -> None:
    door = Door(Settings(data=tmp_path, users=USERS))
    client = TestClient(create_app(door), base_url=LOCAL)
    client.post("/sdapi/v1/txt2img", json={}, headers=basic("ann", "secret"))
    image = door.images("ann")[0]
    assert client.get(f"/easel/image/{image.id}", headers=basic("ann", "secret")).status_code == 200
    assert client.get(f"/easel/image/{image.id}", headers=basic("bob", "plain: text")).status_code == 404


def test_what_one_user_sent_the_other_does_not_see(tmp_path: Path) -> None:
    client = TestClient(create_app(Door(Settings(data=tmp_path, users=USERS))), base_url=LOCAL)
    ann, bob = basic("ann", "secret"), basic("bob", "plain: text")
    sent = client.post("/easel/upload", content=png(), headers=ann).json()
    mask = client.post("/easel/upload?mask=true", content=png(), headers=bob).json()["id"]
    assert (sent["width"], sent["height"]) == (8, 4)
    for path in (sent["id"], f"{sent['id']}.png", f"{sent['id']}/layer.png?over={sent['id']}"):
        assert client.get(f"/easel/upload/{path}", headers=ann).status_code == 200, path
        assert client.get(f"/easel/upload/{path}", headers=bob).status_code == 404, path
    for way in (sent["id"], f"../ann/{sent['id']}", f"..%2Fann%2F{sent['id']}", "", "x"):
        assert client.get(f"/easel/upload/{mask}/layer.png?over={way}", headers=bob).status_code == 404, way
        assert client.get(f"/easel/upload/{way}", headers=bob).status_code in (404, 405), way


def test_an_upload_runs_no_script_and_stays_private(local: TestClient) -> None:
    sent = local.post("/easel/upload", content=png()).json()["id"]
    headers = local.get(f"/easel/upload/{sent}.png").headers
    assert headers["content-type"] == "image/png" and "sandbox" in headers["content-security-policy"]
    assert headers["cache-control"].startswith("private")


@pytest.mark.parametrize("content", [b"", b"only text", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_not_kept(local: TestClient, content: bytes) -> None:
    answer = local.post("/easel/upload", content=content)
    assert 400 <= answer.status_code < 500 and answer.json()["problems"]


def test_failed_logins_are_slowed_down_but_nobody_is_locked_out() -> None:
    now = [0.0]
    credentials = Credentials(accounts(USERS), Throttle(allowed=3, window=60, clock=lambda: now[0]))
    right, wrong = basic("bob", "plain: text")["Authorization"], basic("bob", "no")["Authorization"]

    def status(authorization: str, address: str) -> int | str:
        try:
            return asyncio.run(credentials.account(authorization, address)).user.name
        except Denied as denied:
            return denied.status

    assert status(right, "10.0.0.1") == "bob"
    assert [status(wrong, "10.0.0.1") for _ in range(4)] == [401, 401, 401, 429]
    assert status(right, "10.0.0.1") == "bob", "a login that is known goes on working"
    assert status(basic("ann", "secret")["Authorization"], "10.0.0.1") == 429
    assert status(wrong, "10.0.0.2") == 401
    now[0] = 61.0
    assert status(wrong, "10.0.0.1") == 401


def test_addresses_of_one_network_count_as_one() -> None:
    throttle = Throttle(allowed=2)
    throttle.tried(network("2001:db8::1"))
    assert throttle.wait(network("2001:db8::3")) == 0
    throttle.tried(network("2001:db8::2"))
    assert throttle.wait(network("2001:db8::3")) > 0 and throttle.wait(network("2001:db8:0:1::1")) == 0


class Counted(Credentials):
    """Tells how often a password was really looked at."""

    looked = 0

    def _opened(self, name: str, password: str) -> Account | None:
        self.looked += 1
        return super()._opened(name, password)


def at_once(credentials: Credentials, *logins: str, addresses: tuple[str, ...] = ("10.0.0.1",)) -> list[int | str]:
    async def one(authorization: str, address: str) -> int | str:
        try:
            return (await credentials.account(authorization, address)).user.name
        except Denied as denied:
            return denied.status

    async def every() -> list[int | str]:
        return await asyncio.gather(*map(one, logins, itertools.cycle(addresses)))

    return asyncio.run(every())


def test_many_wrong_passwords_at_once_are_no_more_than_one_after_the_other() -> None:
    credentials = Counted(accounts(USERS), Throttle(allowed=8))
    answers = at_once(credentials, *(basic("bob", f"guess {number}")["Authorization"] for number in range(2000)))
    assert credentials.looked == 8 and answers.count(401) == 8 and answers.count(429) == 1992


def test_many_people_behind_one_address_log_in_at_once() -> None:
    people = {f"user {number}": WEAK.hash(f"secret {number}") for number in range(20)}
    credentials = Counted(accounts(people), Throttle(allowed=2))
    logins = [basic(f"user {number}", f"secret {number}")["Authorization"] for number in range(20)]
    assert at_once(credentials, *logins * 5) == list(people) * 5 and credentials.looked == 20


def test_wrong_passwords_among_right_ones_count_in_the_order_they_came() -> None:
    wrong = [basic("bob", f"guess {number}")["Authorization"] for number in range(50)]
    answers = at_once(Counted(accounts(USERS), Throttle(allowed=2)), wrong[0], basic("ann", "secret")["Authorization"], *wrong[1:])
    assert answers == [401, "ann", 401, *[429] * 48]


def test_an_address_that_has_to_wait_refuses_nobody_elsewhere() -> None:
    credentials = Credentials(accounts(USERS), Throttle(allowed=1))
    assert at_once(credentials, basic("bob", "no")["Authorization"]) == [401]
    right = [basic("ann", "secret")["Authorization"]] * 2
    assert at_once(credentials, *right, addresses=("10.0.0.1", "10.0.0.2")) == [429, "ann"]


def test_all_that_a_page_asks_for_at_once_is_one_login() -> None:
    credentials = Counted(accounts(USERS), Throttle(allowed=2))
    assert at_once(credentials, *[basic("bob", "plain: text")["Authorization"]] * 50) == ["bob"] * 50 and credentials.looked == 1
    wrong = at_once(credentials, *[basic("bob", "no")["Authorization"]] * 50)
    assert wrong == [401] * 50 and credentials.looked == 2, "the same wrong password is one attempt"
    assert at_once(credentials, basic("ann", "x")["Authorization"], basic("ann", "y")["Authorization"]) == [401, 429]


def test_who_hangs_up_leaves_the_others_their_answer() -> None:
    credentials = Counted(accounts(USERS), Throttle(allowed=2))

    async def two() -> str:
        first, second = (asyncio.create_task(credentials.account(basic("bob", "plain: text")["Authorization"], "10.0.0.1")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return (await second).user.name

    assert asyncio.run(two()) == "bob" and credentials.looked == 1


def test_a_basic_header_may_hold_any_letters() -> None:
    assert parse_basic(basic("Zoë", "a:b:c")["Authorization"]) == ("Zoë", "a:b:c")


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1:7860", 200), ("localhost", 200), ("localhost:1", 200), ("[::1]:7860", 200), ("evil.example", 403), ("", 403),
    ("127.0.0.1.evil.example", 403), ("localhost@evil.example", 403), ("[::1", 403), ("10.0.0.1:7860", 403),
])
def test_without_logins_only_this_machines_names_are_answered(local: TestClient, host: str, status: int) -> None:
    assert local.get("/easel/jobs", headers={"Host": host}).status_code == status


@pytest.mark.parametrize("headers, status", [
    ({}, 200), ({"Origin": LOCAL}, 200), ({"Origin": "https://127.0.0.1:7860"}, 200), ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403), ({"Origin": "http://127.0.0.1:8000"}, 403), ({"Origin": "http://localhost:7860"}, 403), ({"Origin": ""}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Origin": "file://"}, 403),
])
def test_pages_of_other_sites_may_not_change_anything(local: TestClient, headers: dict[str, str], status: int) -> None:
    assert local.post("/easel/interrupt", headers=headers).status_code == status
    assert local.get("/easel/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize("headers, opens", [
    ({}, True), ({"Origin": LOCAL}, True), ({"Origin": "http://evil.example"}, False), ({"Host": "evil.example"}, False),
])
def test_sockets_are_guarded_like_requests(tmp_path: Path, headers: dict[str, str], opens: bool) -> None:
    async def greet(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.state.user.id)
        await socket.close()

    guarded = Guard(Starlette(routes=[WebSocketRoute("/ws", greet)]), settings := Settings(data=tmp_path), identification(Door(settings)), None)
    client = TestClient(guarded, base_url=LOCAL)
    if opens:
        with client.websocket_connect("/ws", headers={"Host": "127.0.0.1:7860", **headers}) as socket:
            assert socket.receive_text() == "local"
    else:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws", headers={"Host": "127.0.0.1:7860", **headers}):
            pass


def test_names_that_easel_was_started_with_are_answered(tmp_path: Path) -> None:
    app = create_app(Door(Settings(data=tmp_path, hosts=("host.docker.internal",))))
    with TestClient(app, base_url=LOCAL) as client:
        for host, status in (("host.docker.internal:7860", 200), ("HOST.docker.internal", 200), ("localhost", 200), ("docker.internal", 403)):
            assert client.get("/easel/jobs", headers={"Host": host}).status_code == status, host


@pytest.mark.parametrize("users", [{}, USERS])
def test_pages_that_easel_was_started_with_may_use_the_api(tmp_path: Path, users: dict[str, str]) -> None:
    app = create_app(Door(Settings(data=tmp_path, origins=("http://localhost:3000",), users=users)))
    login = basic("bob", "plain: text") if users else {}
    with TestClient(app, base_url=LOCAL) as client:
        asks = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        before = client.options("/sdapi/v1/txt2img", headers=asks)
        assert before.status_code == 204 and before.headers["access-control-allow-methods"] == "GET, POST, DELETE"
        assert "Content-Type" in before.headers["access-control-allow-headers"] and "access-control-allow-credentials" not in before.headers
        for path, act in (("/sdapi/v1/options", client.get), ("/sdapi/v1/interrupt", client.post)):
            answer = act(path, headers={"Origin": "http://localhost:3000", **login})
            assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == "http://localhost:3000"
            assert answer.headers["vary"] == "Origin"
        other = client.post("/sdapi/v1/interrupt", headers={"Origin": "http://localhost:3001", **login})
        assert other.status_code == 403 and "access-control-allow-origin" not in other.headers
        assert not users or client.get("/sdapi/v1/options", headers={"Origin": "http://localhost:3000"}).status_code == 401


def test_default_ports_of_an_origin_are_understood(tmp_path: Path) -> None:
    client = TestClient(create_app(Door(Settings(data=tmp_path, users=USERS))), base_url="http://easel.example")
    headers = {**basic("bob", "plain: text"), "Origin": "https://easel.example"}
    assert client.post("/easel/interrupt", headers={**headers, "Host": "easel.example"}).status_code == 200
    assert client.post("/easel/interrupt", headers={**headers, "Host": "easel.example:443"}).status_code == 200


def test_other_sites_are_never_allowed_to_read(closed: TestClient) -> None:
    headers = {**basic("bob", "plain: text"), "Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/", "/config", "/gradio_api/info", "/easel/jobs"):
        for method in ("GET", "OPTIONS"):
            answer = closed.request(method, path, headers=headers)
            assert not [name for name in answer.headers if name.startswith("access-control")], (method, path)


def test_large_bodies_are_refused(local: TestClient) -> None:
    declared = local.post("/sdapi/v1/txt2img", content=b"{}", headers={"Content-Length": str(MAX_BODY + 1)})
    assert declared.status_code == 413
    chunks = (b" " * 2**20 for _ in range(MAX_BODY // 2**20 + 1))
    assert local.post("/sdapi/v1/txt2img", content=chunks, headers={"Content-Type": "application/json"}).status_code == 413


def test_every_answer_carries_the_security_headers(local: TestClient) -> None:
    for path in ("/easel/jobs", "/nowhere", "/easel/events-not"):
        headers = local.get(path).headers
        assert headers["x-frame-options"] == "SAMEORIGIN" and headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'self'" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"


def test_without_accounts_nobody_comes_in_from_an_open_network(tmp_path: Path) -> None:
    client = TestClient(create_app(Door(Settings(data=tmp_path, host="0.0.0.0"))), base_url=LOCAL)
    assert client.get("/easel/jobs").status_code == client.get("/").status_code == 401
    assert client.get("/easel/jobs", headers=basic("local", "local")).status_code == 401


def test_logins_are_read_from_lines_and_from_one_line() -> None:
    assert read_file("# people\nann:a:b\n\n  bob:$argon2id$v=19$m=65536,t=3,p=4$x$y\n") == {
        "ann": "a:b", "bob": "$argon2id$v=19$m=65536,t=3,p=4$x$y"}
    assert read_variable("ann:$argon2id$v=19$m=65536,t=3,p=4$x$y,bob:pw") == {
        "ann": "$argon2id$v=19$m=65536,t=3,p=4$x$y", "bob": "pw"}
    assert read_variable("") == {}


@pytest.mark.parametrize("text", ["ann", "ann:", ":secret", "ann:x\nann:y"])
def test_unreadable_logins_are_errors(text: str) -> None:
    with pytest.raises(ValueError):
        read_file(text)


def test_the_page_is_kept_for_those_who_may_see_it(closed: TestClient) -> None:
    ann = basic("ann", "secret")
    page = closed.get("/", headers=ann)
    assert page.status_code == 200 and b"http://easel.example" in page.content
    assert page.headers["content-encoding"] == "gzip" and "no-cache" in page.headers["cache-control"]
    assert closed.get("/").status_code == 401
    assert closed.get("/", headers=ann).content == page.content
    known = ann | {"If-None-Match": page.headers["etag"]}
    assert (closed.get("/", headers=known).status_code, closed.get("/", headers=known).content) == (304, b"")
    elsewhere = closed.get("/", headers=ann | {"Host": "other.example"})
    assert b"http://other.example" in elsewhere.content and elsewhere.headers["etag"] != page.headers["etag"]


def test_an_account_is_tried_from_many_addresses_no_more_often_and_its_owner_comes_in() -> None:
    credentials = Counted(accounts(USERS))
    right = basic("bob", "plain: text")["Authorization"]
    assert at_once(credentials, right, addresses=("10.9.9.9",)) == ["bob"]
    strange = tuple(f"10.1.{number // 250}.{number % 250}" for number in range(2000))
    answers = at_once(credentials, *(basic("bob", f"guess {number}")["Authorization"] for number in range(2000)), addresses=strange)
    assert credentials.looked <= 1 + ACCOUNT_TRIES and answers.count(401) <= ACCOUNT_TRIES and not {"bob"} & set(answers)
    credentials._known.clear()
    assert at_once(credentials, right, addresses=("10.9.9.9",)) == ["bob"], "from where it was opened before"
    credentials._known.clear()
    assert at_once(credentials, right, addresses=("10.8.8.8",)) == [429]


def test_a_crowd_of_wrong_logins_delays_itself_and_not_a_right_one(dear_passwords: None) -> None:
    credentials, order = Credentials(accounts({"bob": "plain: text"})), []

    async def one(authorization: str, address: str) -> None:
        with suppress(Denied):
            order.append((await credentials.account(authorization, address)).user.name)
            return
        order.append("no")

    async def crowd() -> None:
        wrong = [asyncio.create_task(one(basic(f"x{number}", "y")["Authorization"], f"10.2.0.{number}")) for number in range(40)]
        await asyncio.sleep(0.01)
        before.append(len(order))
        await one(basic("bob", "plain: text")["Authorization"], "10.3.0.1")
        await asyncio.gather(*wrong)

    before: list[int] = []
    asyncio.run(crowd())
    assert order.index("bob") - before[0] < 12 and order.count("no") == 40


def test_a_plain_password_of_the_flags_is_checked_like_any_other() -> None:
    known = accounts({"bob": "plain", "ann": WEAK.hash("x")})
    assert all(account.password.startswith("$argon2") for account in known.all()) and "plain" not in repr(known.all())
    assert known.named("bob").stamp == Accounts(known._database, known._users, {"bob": "plain"}, ()).named("bob").stamp, "sessions outlive a start"
    assert known.named("bob").stamp != Accounts(known._database, known._users, {"bob": "other"}, ()).named("bob").stamp
