"""Logging in and out as a browser does: sessions, tokens, invitations, and what each of them opens."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from backend import Backend, Settings
from backend.errors import Forbidden, InvalidRequest, NotAllowed, NotFound
from backend.http import create_app
from backend.http.accounts.login import own_path
from backend.http.accounts.login_throttle import TRIES
from backend.prompt_library.styles_csv import Style
from backend.store import sessions as session_times
from backend.store.accounts import Accounts
from backend.store.database import Database
from backend.store.picture_files import account_of
from backend.store.sessions import Sessions
from backend.store.tables import AccessTokenRow, InvitationRow, PasswordLinkRow, SessionRow, now
from backend.store.users import Users
from tests.guest import Guest
from tests.pure.test_history import file
from tests.tiny.house import until

HERE = "http://127.0.0.1:7860"
PASSWORD = "a good password"
BROWSER = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
COOKIE = "easel_session_7860"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "models").mkdir()
    house = Backend(Settings(data=folder / "data", models=(folder / "models",)), start_workers=False)
    for name, role in (("ada", "admin"), ("ann", "artist"), ("vera", "viewer")):
        house.accounts.add(name, role, PASSWORD)
    yield house
    house.close()


@pytest.fixture(scope="module")
def app(house: Backend) -> FastAPI:
    return create_app(house)


@pytest.fixture
def browse(app: FastAPI) -> Iterator[object]:
    """A browser, logged in as somebody or nobody; each with cookies of its own."""
    open_clients = []

    def browser(name: str = "", base: str = HERE) -> TestClient:
        client = TestClient(app, base_url=base, follow_redirects=False, client=(f"10.0.0.{len(open_clients)}", 1))
        open_clients.append(client)
        if name:
            assert log_in(client, name).status_code == 303
        return client

    yield browser
    for client in open_clients:
        client.close()


def log_in(client: TestClient, name: str, password: str = PASSWORD, onward: str = "/"):
    return client.post("/login", data={"name": name, "password": password, "next": onward})


def test_a_browser_is_led_to_the_login_and_from_there_to_what_it_wanted(browse) -> None:
    client = browse()
    led = client.get("/easel/history?query=a+fox", headers=BROWSER)
    assert led.status_code == 303 and led.headers["location"] == "/login?next=/easel/history%3Fquery%3Da%2Bfox"
    page = client.get(led.headers["location"])
    assert page.status_code == 200 and 'value="/easel/history?query=a+fox"' in page.text and "Log in" in page.text
    assert log_in(client, "ann", onward="/easel/history?query=a+fox").headers["location"] == "/easel/history?query=a+fox"
    assert client.get("/easel/history").json() == {"images": [], "total": 0}
    assert client.get("/login").headers["location"] == "/", "who is logged in goes on"


def test_programs_get_a_401_and_a_pages_scripts_one_without_the_browsers_own_question(browse) -> None:
    client = browse()
    assert client.get("/easel/jobs").headers["www-authenticate"].startswith("Basic")
    script = client.get("/easel/jobs", headers={"Sec-Fetch-Mode": "cors"})
    assert script.status_code == 401 and "www-authenticate" not in script.headers
    assert client.post("/easel/jobs", json={}, headers=BROWSER).status_code == 401, "only pages that are opened are led"


def test_who_says_username_is_gradios_client_and_is_led_nowhere(browse, house: Backend) -> None:
    client = browse()
    wrong = client.post("/login", data={"username": "ann", "password": "wrong"})
    assert wrong.status_code == 401 and wrong.json() == {"detail": "Wrong name or password"} and not client.cookies
    right = client.post("/login", data={"username": "ann", "password": PASSWORD})
    assert right.status_code == 200 and right.json() == {"success": True}
    assert client.get("/easel/me").json()["name"] == "ann"
    assert {("login", "ann"), ("failed login", "ann")} <= {(entry.action, entry.actor) for entry in house.audit_log.page()}


@pytest.mark.parametrize("address", [
    "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "evil", "", "/a\nb", "/" + "x" * 3000, "///evil.example", "/\t/evil.example",
])
def test_the_login_leads_to_nowhere_else(address: str) -> None:
    assert own_path(address) == "/"


@pytest.mark.parametrize("address", ["/", "/easel/history?query=x", "/#/history/abc", "/account"])
def test_the_login_leads_to_own_paths(address: str) -> None:
    assert own_path(address) == address


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(browse) -> None:
    plain = log_in(browse(), "ann").headers["set-cookie"]
    assert plain.startswith(f"{COOKIE}=") and all(word in plain for word in ("HttpOnly", "SameSite=Lax", "Path=/")) and "Secure" not in plain
    assert "; Secure" in log_in(browse(base="https://easel.example"), "ann").headers["set-cookie"]


def test_nothing_but_a_hash_of_a_token_is_kept(house: Backend, browse) -> None:
    client = browse("ann")
    token = client.cookies[COOKIE]
    secret = house.access_tokens.make(house.accounts.named("ann").user.id, "x", ["read"])
    link = house.invitations.make("viewer")
    content = b"".join(file.read_bytes() for file in house.settings.data.glob("easel.db*"))
    assert token.encode() not in content and secret.encode() not in content and link.encode() not in content
    assert PASSWORD.encode() not in content and b"$argon2id$" in content


def test_a_password_is_hashed_at_the_cost_that_owasp_advises(house: Backend, dear_passwords: None) -> None:
    assert house.accounts.hashed(PASSWORD).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_who_logs_out_is_out_and_the_old_cookie_opens_nothing(house: Backend, browse) -> None:
    client, other = browse("ann"), browse("ann")
    old = client.cookies[COOKIE]
    left = client.post("/logout")
    assert left.headers["location"] == "/login" and "Max-Age=0" in left.headers["set-cookie"]
    replayed = browse()
    replayed.cookies.set(COOKIE, old)
    assert replayed.get("/easel/jobs").status_code == 401
    assert other.get("/easel/jobs").status_code == 200
    assert browse("ann").post("/logout", data={"everywhere": "1"}).status_code == 303
    assert other.get("/easel/jobs").status_code == 401


def test_whatever_page_comes_to_the_login_after_a_logout_forgets_and_none_after_a_session_that_ran_out(house: Backend, browse) -> None:
    """Another page of the same browser is led there by a refused request, with an address to come back to."""
    forgets = lambda client: "removeItem" in client.get("/login?next=%2F", headers=BROWSER).text     # noqa: E731
    client = browse("ann")
    house.sessions.close_all(house.accounts.named("ann").user.id)
    assert not forgets(client)
    log_in(client, "ann")
    client.post("/logout")
    assert forgets(client) and forgets(client)
    log_in(client, "ann")
    house.sessions.close_all(house.accounts.named("ann").user.id)
    assert not forgets(client)


def test_a_login_never_takes_over_a_session(browse) -> None:
    client = browse()
    client.cookies.set(COOKIE, "planted")
    log_in(client, "ann")
    mine = [cookie.value for cookie in client.cookies.jar if cookie.domain.startswith("127")]
    assert mine and "planted" not in mine
    first = browse("ann")
    old = first.cookies[COOKIE]
    log_in(first, "vera")
    replayed = browse()
    replayed.cookies.set(COOKIE, old)
    assert replayed.get("/easel/jobs").status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43, "é", '"', "x; y", "x" * 5000])
def test_a_forged_cookie_opens_nothing(browse, cookie: str) -> None:
    client = browse()
    assert client.get("/easel/jobs", headers={"Cookie": f"{COOKIE}={cookie}".encode()}).status_code == 401


def test_a_session_ends_when_it_is_old_or_not_used(database: Database) -> None:
    moment = [now()]
    accounts = Accounts(database, Users(database), {}, ())
    account = accounts.add("ann", "artist", PASSWORD)

    def holds(token: str) -> bool:
        return Sessions(database, lambda: moment[0]).of(token) is not None

    token = Sessions(database, lambda: moment[0]).open(account)
    for _ in range(4):
        moment[0] += session_times.IDLE - timedelta(minutes=1)
        assert holds(token), "whoever comes again and again stays"
    moment[0] += timedelta(days=3)
    assert not holds(token), "but not for ever"
    unused = Sessions(database, lambda: moment[0]).open(account)
    moment[0] += session_times.IDLE + timedelta(minutes=1)
    assert not holds(unused)
    Sessions(database, lambda: moment[0]).open(account)
    with database.read() as session:
        assert len(session.scalars(select(SessionRow)).all()) == 1, "what has expired is removed"


def test_a_token_is_exchanged_and_the_old_one_holds_for_what_is_on_its_way(database: Database) -> None:
    moment = [now()]
    account = Accounts(database, Users(database), {}, ()).add("ann", "artist", PASSWORD)
    sessions = Sessions(database, lambda: moment[0])
    first = sessions.open(account)

    def of(token: str):
        sessions._recent.forget()
        return sessions.of(token)

    assert sessions.next_token(of(first)) is None, "it is new"
    moment[0] += session_times.EXCHANGE
    second = sessions.next_token(of(first))
    assert second and sessions.next_token(of(first)) is None, "two pages that are opened at once get one"
    assert of(first), "as long as the browser has not shown the next one, this one holds"
    moment[0] += timedelta(hours=5)
    assert of(first) and of(second) and of(first)
    moment[0] += session_times.GRACE + timedelta(seconds=1)
    assert of(second) and not of(first)


def test_a_page_brings_the_next_token(house: Backend, browse, monkeypatch: pytest.MonkeyPatch) -> None:
    client = browse("ann")
    before = client.cookies[COOKIE]
    assert "set-cookie" not in client.get("/account", headers=BROWSER).headers
    monkeypatch.setattr(session_times, "EXCHANGE", timedelta())
    house.sessions._offered.clear()
    client.get("/account", headers=BROWSER)
    assert client.cookies[COOKIE] != before and client.get("/easel/jobs").status_code == 200


def test_another_password_ends_what_the_old_one_opened(house: Backend, browse) -> None:
    house.accounts.add("pat", "artist", PASSWORD)
    here, there = browse("pat"), browse("pat")
    basic = {"auth": ("pat", PASSWORD)}
    assert browse().get("/easel/jobs", **basic).status_code == 200
    wrong = here.post("/account/password", data={"old": "not it", "new": "another password", "again": "another password"})
    assert wrong.status_code == 422 and "old password is not right" in wrong.text
    differ = here.post("/account/password", data={"old": PASSWORD, "new": "another password", "again": "another one"})
    assert differ.status_code == 422 and there.get("/easel/jobs").status_code == 200
    short = here.post("/account/password", data={"old": PASSWORD, "new": "short", "again": "short"})
    assert short.status_code == 422 and "8 to 256" in short.text
    done = here.post("/account/password", data={"old": PASSWORD, "new": "another password", "again": "another password"})
    assert done.status_code == 200 and here.get("/easel/jobs").status_code == 200
    assert there.get("/easel/jobs").status_code == 401 and browse().get("/easel/jobs", **basic).status_code == 401
    assert log_in(browse(), "pat").status_code == 401 and log_in(browse(), "pat", "another password").status_code == 303


def test_a_disabled_account_opens_nothing_and_another_program_may_disable_it(house: Backend, browse) -> None:
    house.accounts.add("dora", "artist", PASSWORD)
    client, secret = browse("dora"), house.access_tokens.make(house.accounts.named("dora").user.id, "x", ["draw"])
    bearer = {"Authorization": f"Bearer {secret}"}
    assert browse().get("/easel/jobs", headers=bearer).status_code == 200
    assert browse().get("/easel/jobs", auth=("dora", PASSWORD)).status_code == 200
    beside = Database(house.settings.database)
    Accounts(beside, Users(beside), {}, ()).set_disabled("dora", True)
    beside.close()
    until(lambda: client.get("/easel/jobs").status_code != 200)
    time.sleep(1.1)
    assert browse().get("/easel/jobs", headers=bearer).status_code == 401
    assert browse().get("/easel/jobs", auth=("dora", PASSWORD)).status_code == 401
    assert log_in(browse(), "dora").status_code == 401


def test_who_may_only_look_changes_nothing(house: Backend, browse) -> None:
    client = browse("vera")
    for path in ("/easel/jobs", "/easel/history", "/easel/plots", "/account", "/easel/me"):
        assert client.get(path).status_code in (200, 404, 405), path
    for path in ("/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/easel/jobs", "/easel/upload", "/easel/plots", "/sdapi/v1/options", "/easel/styles", "/gradio_api/upload",
                 "/easel/queue/pause", "/new/routes/of/others"):
        assert client.post(path, json={}).status_code == 403, path
    assert client.put("/easel/boards/x").status_code == client.delete("/easel/boards/x").status_code == 403
    assert client.post("/easel/preferences", json={"theme": "dark"}).status_code == 200
    with pytest.raises(Forbidden, match="draws none"):
        house.as_(house.accounts.named("vera").user).submit({"prompt": "x"})


def test_a_token_does_what_its_scopes_allow_and_never_more_than_its_owner(house: Backend, browse) -> None:
    def asked(owner: str, scope: str):
        secret = house.access_tokens.make(house.accounts.named(owner).user.id, f"{owner} {scope}", [scope])
        headers = {"Authorization": f"Bearer {secret}"}
        client = browse()
        role = client.get("/easel/me", headers=headers).json()["role"]
        return role, client.post("/easel/dismiss", headers=headers).status_code != 403, client.post("/account/tokens", headers=headers, data={}).status_code

    assert asked("ada", "read") == ("viewer", False, 403) and asked("ada", "draw") == ("artist", True, 403)
    assert asked("ada", "admin") == ("admin", True, 403) and asked("ann", "admin") == ("artist", True, 403)
    assert asked("vera", "draw") == ("viewer", False, 403)


def test_tokens_are_shown_once_listed_with_their_use_and_revoked(house: Backend, browse) -> None:
    client = browse("ann")
    page = client.post("/account/tokens", data={"name": "my <script>", "scope": "draw", "days": "30"})
    secret = re.search(r"easel_[\w-]{40,}", page.text)[0]
    assert "my &lt;script&gt;" in page.text and "<script" not in page.text and secret not in client.get("/account").text
    assert browse().get("/easel/jobs", headers={"Authorization": f"bearer {secret}"}).status_code == 200
    assert "Last used" in client.get("/account").text
    (token,) = [one for one in house.access_tokens.listed(house.accounts.named("ann").user.id) if one.name == "my <script>"]
    assert token.scopes == ("read", "draw") and token.used
    assert browse("vera").post(f"/account/tokens/{token.id}/revoke").status_code == 404, "somebody else's"
    assert browse().get("/easel/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 200
    assert client.post(f"/account/tokens/{token.id}/revoke").status_code == 200
    assert browse().get("/easel/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


@pytest.mark.parametrize("data", [{"name": "", "scope": "read"}, {"name": "x" * 61, "scope": "read"}, {"name": "x", "scope": "all"}, {"name": "x", "scope": "read", "days": "99999"}, {"name": "x", "scope": "read", "days": "-1"},
                                  {"name": "x", "scope": "read", "days": "soon"}])
def test_a_token_that_cannot_be_is_refused(browse, data: dict[str, str]) -> None:
    assert browse("ann").post("/account/tokens", data=data).status_code == 422


def test_an_expired_token_opens_nothing(house: Backend, browse) -> None:
    secret = house.access_tokens.make(house.accounts.named("ann").user.id, "old", ["read"], days=1)
    with house._components.database.write() as session:
        session.scalars(select(AccessTokenRow).where(AccessTokenRow.name == "old")).one().expires = now() - timedelta(seconds=1)
    assert browse().get("/easel/jobs", headers={"Authorization": f"Bearer {secret}"}).status_code == 401


def test_an_invitation_makes_one_account(house: Backend, browse) -> None:
    admin = browse("ada")
    page = admin.post("/account/invitations", data={"role": "viewer", "hours": "24"})
    link = re.search(rf"{HERE}(/join/[\w-]+)", page.text)[1]
    guest = browse()
    assert "You are invited" in guest.get(link).text
    wrong = guest.post(link, data={"name": "gus", "password": PASSWORD, "again": "other"})
    assert wrong.status_code == 422 and 'value="gus"' in wrong.text
    taken = guest.post(link, data={"name": "ann", "password": PASSWORD, "again": PASSWORD})
    assert taken.status_code == 422 and "taken" in taken.text
    done = guest.post(link, data={"name": "gus", "password": PASSWORD, "again": PASSWORD})
    assert done.status_code == 303 and guest.get("/easel/me").json() == {"name": "gus", "role": "viewer", "logged_in": True}
    assert browse().get(link).status_code == browse().post(link, data={}).status_code == 404
    assert "gus" in admin.get("/account").text
    assert browse("ann").post("/account/invitations", data={"role": "admin"}).status_code == 403
    assert browse("vera").post("/account/invitations/x/revoke").status_code == 403


def test_an_invitation_can_be_revoked_and_expires(house: Backend, browse) -> None:
    admin, first, second = browse("ada"), house.invitations.make("artist"), house.invitations.make("artist")
    newest = house.invitations.listed()[0]
    assert admin.post(f"/account/invitations/{newest.id}/revoke").status_code == 200
    assert browse().get(f"/join/{second}").status_code == 404 and browse().get(f"/join/{first}").status_code == 200
    with house._components.database.write() as session:
        for row in session.scalars(select(InvitationRow)):
            row.expires = now() - timedelta(seconds=1)
    assert browse().get(f"/join/{first}").status_code == 404
    with pytest.raises(NotFound):
        house.invitations.take(first, "late", PASSWORD)


def test_a_password_is_replaced_by_who_has_it_and_known_to_nobody_else(house: Backend, browse) -> None:
    house.accounts.add("pia", "artist", PASSWORD)
    admin, pia = browse("ada"), browse("pia")
    first, link = (admin.post("/easel/people/password", json={"name": "pia"}).json() for _ in range(2))
    assert link.keys() == {"url", "path"} and link["url"] == HERE + link["path"], "nothing that opens the account stands in the answer"
    assert pia.get("/easel/jobs").status_code == 401 and log_in(browse(), "pia").status_code == 401, "the old password holds no longer"
    guest = browse()
    assert guest.get(first["path"]).status_code == 404, "the newest link holds"
    page = guest.get(link["path"])
    assert page.status_code == 200 and "pia" in page.text and "no-store" in page.headers["cache-control"]
    new = "another good one"
    for data in ({"password": new, "again": "not that"}, {"password": "short", "again": "short"}, {}):
        assert guest.post(link["path"], data=data).status_code == 422
    done = guest.post(link["path"], data={"password": new, "again": new})
    assert done.status_code == 303 and guest.get("/easel/me").json()["name"] == "pia" and log_in(browse(), "pia", new).status_code == 303
    assert browse().get(link["path"]).status_code == browse().post(link["path"], data={"password": PASSWORD, "again": PASSWORD}).status_code == 404, "once"
    told = admin.get("/easel/people/audit.jsonl").text
    assert "reset password" in told and "by a link" in told and link["path"].rpartition("/")[2] not in told
    own = admin.post("/easel/people/password", json={"name": "ada"})
    assert own.status_code == 422 and own.json()["problems"][0]["field"] == "name"


def test_the_old_password_is_tried_no_more_often_than_one_at_the_login(house: Backend, app: FastAPI, browse) -> None:
    house.accounts.add("theo", "artist", PASSWORD)
    with TestClient(app, base_url=HERE, follow_redirects=False, client=("10.9.9.9", 1)) as browser:
        log_in(browser, "theo")
        told = [browser.post("/account/password", data={"old": f"guess {number}", "new": "another one", "again": "another one"}).text
                for number in range(TRIES + 3)]
    assert ["not right" in page for page in told] == [True] * TRIES + [False] * 3 and all("wait a minute" in page for page in told[TRIES:])
    assert log_in(browse(), "theo").status_code == 303, "from elsewhere"


@pytest.mark.parametrize("name", ["local", "Local", "users", "imported", "inputs", "..", "a.", "con", "%6Cocal", "u0123456789abcdef", "*", "漢" * 22])
def test_whatever_the_name_what_is_sent_is_kept_apart(house: Backend, name: str) -> None:
    data = file(1)
    house.accounts.add(name, "artist", PASSWORD)
    mine, others = Guest(house, name), Guest(house)
    kept = mine.upload(data)
    folder = mine.uploaded(kept.id).parent
    assert folder.parent == house.settings.data / "inputs" and folder != others.uploaded(others.upload(data).id).parent
    assert account_of(f"users/{mine.user.folder}/a.png") == name


def test_a_link_for_a_password_ends_with_time_with_a_new_password_and_with_the_account(house: Backend, browse) -> None:
    house.accounts.add("pam", "artist", PASSWORD)

    def opens(secret: str) -> bool:
        return browse().get(f"/password/{secret}").status_code == 200

    late = house.password_links.make("pam")
    with house._components.database.write() as session:
        session.scalars(select(PasswordLinkRow)).one().expires = now() - timedelta(seconds=1)
    assert not opens(late)
    replaced = house.password_links.make("pam")
    house.accounts.set_password("pam", PASSWORD)
    assert not opens(replaced)
    closed = house.password_links.make("pam")
    house.accounts.set_disabled("pam", True)
    assert not opens(closed)
    house.accounts.remove("pam")
    assert not opens(closed)


def test_nobody_inherits_by_a_name_what_somebody_left(house: Backend, browse) -> None:
    house.accounts.add("left", "artist", PASSWORD)
    house.accounts.remove("left")
    with pytest.raises(NotAllowed, match="taken"):
        house.invitations.take(house.invitations.make("artist"), "left", PASSWORD)
    before = house.user("left").id
    assert house.accounts.add("left", "artist", PASSWORD).user.id == before, "who manages the accounts may say so"


@pytest.mark.parametrize("name", ["", " ann", "a:b", "x" * 65, "a\nb", "\u202e", "漢" * 23])
def test_a_name_that_cannot_be_is_refused(house: Backend, name: str) -> None:
    with pytest.raises(InvalidRequest):
        house.accounts.add(name, "artist", PASSWORD)


@pytest.mark.parametrize("name", ["n" * 252, "ü" * 42, "n" * 100_000])
def test_easel_does_not_open_with_a_name_whose_folder_cannot_be(tmp_path: Path, name: str) -> None:
    """Who had such a name came in, and nothing that he drew could be saved."""
    settings = Settings(data=tmp_path / "data", models=(tmp_path,), users={name: PASSWORD})
    with pytest.raises(InvalidRequest, match=f"^{name[:64]} of --auth or EASEL_AUTH is too long for the name of a folder"):
        Backend(settings, start_workers=False)
    Backend(Settings(data=tmp_path / "data", models=(tmp_path,)), start_workers=False).close()      # nothing is left open


@pytest.mark.parametrize("name", ["n" * 251, "ü" * 41])
def test_the_longest_name_of_the_flags_keeps_its_files(tmp_path: Path, name: str) -> None:
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path,), users={name: PASSWORD}), start_workers=False)
    door = house.as_(house.user(name))
    door.prompt_library.save_style(Style("a style", "words", ""))
    assert door.gallery.take_in(file(1), "1.png").id and [style.name for style in door.prompt_library.styles() if style.name == "a style"] == ["a style"]
    house.close()


def test_the_last_admin_stays(house: Backend) -> None:
    for act in (lambda: house.accounts.set_role("ada", "artist"), lambda: house.accounts.set_disabled("ada", True), lambda: house.accounts.remove("ada")):
        with pytest.raises(NotAllowed, match="no admin left"):
            act()


def test_the_first_account_is_made_by_the_address_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",), setup_link=True), start_workers=False)
    old, link = house.invitations.make("admin", setup=True), house.invitations.make("admin", setup=True)
    with TestClient(create_app(house), base_url=HERE, follow_redirects=False) as client:
        assert client.get("/easel/jobs").status_code == 401 and client.get("/", headers=BROWSER).status_code == 303
        empty = client.get("/login").text
        assert "There are no accounts yet" in empty and "password" not in empty
        assert client.get(f"/join/{old}").status_code == 404, "the newest start's holds"
        assert "Set up this Easel" in client.get(f"/join/{link}").text
        assert client.post(f"/join/{link}", data={"name": "ada", "password": PASSWORD, "again": PASSWORD}).status_code == 303
        assert client.get("/easel/me").json()["role"] == "admin"
        assert client.get(f"/join/{link}").status_code == 404
    house.close()


def test_the_first_account_closes_an_easel_that_is_running(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    house = Backend(Settings(data=tmp_path / "data", models=(tmp_path / "models",)), start_workers=False)
    with TestClient(create_app(house), base_url=HERE, follow_redirects=False) as client:
        assert client.get("/easel/me").json() == {"name": "local", "role": "admin", "logged_in": False}
        assert client.get("/account").headers["location"] == "/" and client.post("/account/tokens", data={"name": "x", "scope": "read"}).status_code == 409
        house.accounts.add("ada", "admin", PASSWORD)
        assert client.get("/easel/me").status_code == 401
    house.close()


def test_the_pages_speak_german_and_send_nothing_elsewhere(browse) -> None:
    page = browse().get("/login", headers={"Accept-Language": "de-CH,en;q=0.8"})
    assert '<html lang="de"' in page.text and "Anmelden" in page.text and "Log in" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in page.text and "unsafe" not in policy and page.headers["cache-control"] == "no-store"
    assert "{{" not in page.text and "{%" not in page.text
    wrong = browse().post("/login", data={"name": "<b>", "password": "x"}, headers={"Accept-Language": "de"})
    assert wrong.status_code == 401 and "&lt;b&gt;" in wrong.text and "<b>" not in wrong.text and "Wrong name" not in wrong.text
