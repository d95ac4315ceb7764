"""The People tab's routes: for admins alone, each act done and written into the audit log; logins are in it, secrets are not."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from backend import Backend
from backend.http import create_app
from backend.http.accounts.authentication import Denied, unauthorized
from backend.http.accounts.login_audit import note_denied
from backend.http.easel import people
from backend.settings import HOME
from backend.store.audit_log import AuditLog
from backend.store.database import Database
from backend.store.tables import AuditRow, now
from tests.guest import Guest
from tests.tiny.house import open_house

PASSWORDS = {"root": "the root's secret", "ann": "ann's own secret", "eve": "eve's own secret"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False, limits={"queued": 50})
    for name, role in (("root", "admin"), ("ann", "artist"), ("eve", "viewer")):
        house.backend.accounts.add(name, role, PASSWORDS[name])
    yield house
    house.close()


class People:
    """Clients of one application, by name."""

    def __init__(self, backend: Backend) -> None:
        self.app = create_app(backend)

    def __call__(self, name: str, password: str = "") -> TestClient:
        login = base64.b64encode(f"{name}:{password or PASSWORDS[name]}".encode()).decode()
        return TestClient(self.app, base_url="http://127.0.0.1:7860", headers={"Authorization": f"Basic {login}"})


@pytest.fixture
def ask(house: Guest) -> People:
    return People(house.backend)


def person(ask: People, name: str) -> dict[str, Any]:
    return next(one for one in ask("root").get("/easel/people").json()["people"] if one["name"] == name)


def log(ask: People, words: str = "") -> list[tuple[str, str, str]]:
    entries = ask("root").get("/easel/people/audit", params={"q": words}).json()["entries"]
    return [(entry["actor"], entry["action"], entry["subject"]) for entry in entries]


def routes() -> list[tuple[str, str]]:
    return [(method, route.path) for route in people.router.routes for method in route.methods]


def test_nobody_but_an_admin_sees_or_does_any_of_it(ask: People, tmp_path: Path) -> None:
    assert len(routes()) > 12
    for method, path in routes():
        for name in ("ann", "eve"):
            assert ask(name).request(method, path.replace("{invitation}", "x"), json={"name": "root", "role": "viewer"}).status_code == 403, path
    assert person(ask, "root")["role"] == "admin"
    open_one = open_house(tmp_path / "open", start_workers=False)
    with TestClient(create_app(open_one.backend), base_url="http://127.0.0.1:7860") as local:
        assert local.get("/easel/people").status_code == 403, "where nobody logs in there is nobody to manage"
    open_one.close()


def test_people_are_told_with_what_they_use(house: Guest, ask: People) -> None:
    ann = Guest(house, "ann")
    ann.submit()
    told = person(ask, "ann")
    assert (told["role"], told["disabled"], told["pending"], told["jobs"], told["pictures"], told["paused"]) == ("artist", False, 1, 1, 0, False)
    assert told["last_seen"] and {one["name"]: one["limit"] for one in told["limits"]}["queued"] == 50
    assert person(ask, "eve")["last_seen"] is None and "password" not in json.dumps(told)


def test_role_limits_password_and_a_closed_account(house: Guest, ask: People) -> None:
    root = ask("root")
    assert root.post("/easel/people/role", json={"name": "eve", "role": "artist"}).status_code == 200
    assert root.post("/easel/people/role", json={"name": "root", "role": "viewer"}).status_code == 409, "the last admin stays one"
    assert root.post("/easel/people/role", json={"name": "eve", "role": "king"}).json()["problems"][0]["field"] == "role"
    assert root.post("/easel/people/role", json={"name": "nobody", "role": "artist"}).status_code == 404
    assert root.post("/easel/people/limits", json={"name": "ann", "limits": {"queued": 1, "disk": "2GB"}}).status_code == 200
    assert {one["name"]: one["limit"] for one in person(ask, "ann")["limits"]} == {"queued": 1, "disk": 2 * 2**30, "pixels": None, "steps": None}
    assert root.post("/easel/people/limits", json={"name": "ann", "limits": {"pixels": None, "steps": ""}}).status_code == 200
    told = [entry["detail"] for entry in root.get("/easel/people/audit", params={"q": "limits"}).json()["entries"]]
    assert told[:2] == ["pixels: none, steps: as the operator says", "queued: 1, disk: 2GB"]
    assert root.post("/easel/people/limits", json={"name": "ann", "limits": {"queued": "many"}}).json()["problems"][0]["field"] == "limits.queued"
    new = "chosen by ann herself"
    assert root.post("/easel/people/password", json={"name": "ann"}).status_code == 200 and ask("ann").get("/easel/jobs").status_code == 401
    house.backend.accounts.set_password("ann", new)
    assert root.post("/easel/people/disable", json={"name": "ann"}).status_code == 200 and ask("ann", new).get("/easel/jobs").status_code == 401
    assert root.post("/easel/people/disable", json={"name": "root"}).json()["problems"][0]["field"] == "name"
    assert root.post("/easel/people/disable", json={"name": "ann", "on": False}).status_code == 200 and ask("ann", new).get("/easel/jobs").status_code == 200
    acts = log(ask)
    for action in ("role", "limits", "reset password", "disable", "enable", "failed login"):
        assert any(one[1] == action for one in acts), action
    everything = ask("root").get("/easel/people/audit.jsonl").text
    assert not any(secret in everything for secret in (*PASSWORDS.values(), new)), "no secret is ever written down"


def test_who_may_switch_extensions_is_told_before_anybody_tries(ask: People) -> None:
    for name, may in (("root", True), ("ann", False), ("eve", False)):
        assert ask(name).get("/easel/extensions").json()["may_switch"] is may
        assert may or ask(name).put("/easel/extensions/freeu", json={"on": False}).status_code in (403, 409)


def test_the_log_speaks_german(house: Guest, ask: People) -> None:
    """Every act and all that is told of it; ids, numbers and names stay."""
    root, texts = ask("root"), json.loads((HOME / "ui" / "languages" / "de.json").read_text("utf-8"))["texts"]
    patterns = [re.compile(".+".join(map(re.escape, re.split(r"\{\*?\}", text)))) for text in texts if "{" in text and len(text) < 25]
    calls = {"role": {"role": "artist"}, "limits": {"limits": {"queued": 1, "disk": "2GB", "pixels": None, "steps": ""}}, "password": {}, "end-sessions": {},
             "disable": {}, "queue/cancel": {}, "queue/pause": {}}
    for path, body in calls.items():
        assert root.post(f"/easel/people/{path}", json={"name": "eve", **body}).status_code == 200, path
    for path, body in {"queue/pause": {"name": "eve", "on": False}, "queue/pause ": {}, "disable": {"name": "eve", "on": False}, "invitations": {"role": "viewer"}}.items():
        assert root.post(f"/easel/people/{path.strip()}", json=body).status_code == 200
    (invitation,) = root.get("/easel/people").json()["invitations"]
    root.post(f"/easel/people/invitations/{invitation['id']}/revoke")
    for header in ("Basic !", "Bearer x", "Basic " + base64.b64encode(b"eve:wrong one").decode()):
        TestClient(ask.app, base_url="http://127.0.0.1:7860").get("/easel/jobs", headers={"Authorization": header})
    entries = root.get("/easel/people/audit").json()["entries"]
    told = {entry["action"] for entry in entries} | {word for entry in entries for word in entry["detail"].split(", ") if word}
    assert len(told) > 20 and [word for word in sorted(told) if word not in texts and not any(each.fullmatch(word) for each in patterns)] == []


def test_sessions_end_and_invitations_are_made_and_taken_back(house: Guest, ask: People) -> None:
    account, root = house.backend.accounts.named("ann"), ask("root")
    token = house.backend.sessions.open(account)
    assert person(ask, "ann")["sessions"] == 1 and house.backend.sessions.of(token)
    root.post("/easel/people/end-sessions", json={"name": "ann"})
    assert person(ask, "ann")["sessions"] == 0 and not house.backend.sessions.of(token)
    made = root.post("/easel/people/invitations", json={"role": "viewer", "hours": 2}).json()
    secret = made["path"].rpartition("/")[2]
    assert house.backend.invitations.of(secret).role == "viewer" and secret not in json.dumps(root.get("/easel/people/audit").json())
    (invitation,) = root.get("/easel/people").json()["invitations"]
    assert root.post(f"/easel/people/invitations/{invitation['id']}/revoke").status_code == 200
    assert not root.get("/easel/people").json()["invitations"] and ask("root").get(made["path"]).status_code == 404
    assert root.post("/easel/people/invitations", json={"role": "viewer", "hours": 0}).json()["problems"][0]["field"] == "hours"


def test_everybodys_queue_is_seen_paused_and_cancelled(house: Guest, ask: People) -> None:
    ann, eve, root = Guest(house, "ann"), Guest(house, "eve"), ask("root")
    job, other, plot = ann.submit("a cat").id, ann.submit("a dog").id, ann.plots.create({"request": {"width": 64, "height": 64}, "axes": [{"label": "Seed", "values": "1, 2"}]})
    told = root.get("/easel/people/queue").json()
    assert [(queue["name"], queue["total"]) for queue in told["queues"]] == [("ann", 3)] and not told["all_paused"] and told["devices"] == []
    root.post("/easel/people/queue/cancel", json={"name": "ann", "job": job})
    root.post("/easel/people/queue/cancel", json={"name": "ann", "job": plot})
    assert ann.job(job).state == "cancelled" and ann.plots.get(plot).state["state"] == "cancelled" and ann.job(other).state == "queued"
    assert root.post("/easel/people/queue/cancel", json={"name": "eve", "job": other}).status_code == 404, "it is not hers"
    root.post("/easel/people/queue/pause", json={"name": "ann"})
    assert ann.overview().paused and not eve.overview().paused and person(ask, "ann")["paused"]
    root.post("/easel/people/queue/pause", json={"on": True})
    assert root.get("/easel/people/queue").json()["all_paused"]
    root.post("/easel/people/queue/pause", json={"on": False})
    root.post("/easel/people/queue/cancel", json={"name": "ann"})
    assert ann.overview().total == 0 and not root.get("/easel/people/queue").json()["all_paused"]
    assert {("root", "cancel", "ann"), ("root", "cancel all", "ann"), ("root", "pause", "ann"), ("root", "resume", "everybody")} <= set(log(ask))


def test_one_interrupts_only_ones_own(house: Guest, ask: People) -> None:
    """By every door that stops something, and with the ids of others."""
    ann, root = Guest(house, "ann"), Guest(house, "root")
    job, plot = ann.submit().id, ann.plots.create({"request": {"width": 64, "height": 64}, "axes": [{"label": "Seed", "values": "1, 2"}]})
    his = root.submit().id
    asked = ask("root")
    for path, body in (("/sdapi/v1/interrupt", {}), ("/sdapi/v1/skip", {}), ("/easel/interrupt", {}), ("/easel/skip", {}), ("/easel/jobs/cancel", {})):
        assert asked.post(path, json=body).status_code == 200, path
    for path in (f"/easel/jobs/{job}/cancel", f"/easel/jobs/{job}/move", f"/easel/jobs/{job}/retry", f"/easel/jobs/{job}/dismiss", f"/easel/plots/{plot}/cancel",
                 f"/easel/plots/{plot}/pause", f"/easel/plots/{plot}/delete", f"/api/jobs/{job}/cancel"):
        assert asked.post(path, json={"to": "front"}).status_code in (404, 405), path
    assert asked.delete(f"/api/jobs/{job}").status_code in (404, 405)
    assert ann.job(job).state == "queued" and ann.plots.get(plot).state["state"] == "waiting" and root.job(his).state == "cancelled"
    assert ann.overview().total == 2


def test_the_log_is_searched_paged_exported_and_forgotten(database: Database) -> None:
    audit = AuditLog(database, days=30)
    for number in range(7):
        audit.add("role", "root", f"user {number}", "10.0.0.9", "artist")
    audit.login("failed login", "<b>\n100%_", "::1", "Wrong name or password")
    audit.login("failed login", "<b>\n100%_", "::1")
    assert [entry.subject for entry in audit.page(limit=2)] == ["<b> 100%_", "user 6"]
    assert [entry.subject for entry in audit.page(before=audit.page(limit=2)[-1].number, limit=2)] == ["user 5", "user 4"]
    assert len(audit.page("ROLE 10.0.0")) == 7 and len(audit.page("user 3")) == 1 and len(audit.page("100%_")) == 1 and not audit.page("1_0")
    lines = [json.loads(line) for line in audit.lines()]
    assert [line["number"] for line in lines] == list(range(8, 0, -1)) and set(lines[0]) == {"number", "moment", "actor", "action", "subject", "address", "detail"}
    with database.write() as session:
        session.execute(update(AuditRow).where(AuditRow.number < 5).values(moment=now() - timedelta(days=31)))
    audit.sweep()
    assert [entry.number for entry in audit.page()] == [8, 7, 6, 5]


def test_who_has_a_whole_network_writes_no_more_into_the_log(database: Database) -> None:
    log, denied = AuditLog(database, 30), Denied(429, "Too many failed logins; wait a minute")

    async def crowd() -> None:
        for number in range(50):
            await note_denied(log, f"name {number}", f"2001:db8::{number:x}", denied)
            await note_denied(log, "", f"2001:db8::{number:x}", unauthorized("The login is not readable"))
        await note_denied(log, "", "2001:db8:1::1", denied)

    asyncio.run(crowd())
    assert len(log.page()) == 3


def test_logins_by_the_page_and_by_password_are_written_down_once(house: Guest, ask: People) -> None:
    with TestClient(ask.app, base_url="http://127.0.0.1:7860") as browser:
        for password in ("wrong and long", PASSWORDS["ann"]):
            browser.post("/login", data={"name": "ann", "password": password}, headers={"Origin": "http://127.0.0.1:7860"})
        browser.post("/logout", headers={"Origin": "http://127.0.0.1:7860"})
    for _ in range(3):
        ask("eve").get("/easel/jobs")
        ask("eve", "wrong and long").get("/easel/jobs")
    acts = [one[:2] for one in log(ask)]
    for one in (("ann", "failed login"), ("ann", "login"), ("ann", "logout"), ("eve", "login by password"), ("eve", "failed login")):
        assert acts.count(one) == 1, (one, acts)
