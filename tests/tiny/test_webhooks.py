"""Webhooks: how a job ended is told where the operator allows it, signed, once, and again after failures and restarts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.errors import InvalidRequest, UserError
from backend.flags import Refusal, parser, settings_from
from backend.store.webhooks import Webhook
from backend.webhooks import delivery, sending
from backend.webhooks.address import checked, resolved
from backend.webhooks.sending import send
from tests.tiny.house import until
from tests.tiny.served import served

SMALL = {"prompt": "a lighthouse", "width": 64, "height": 64, "seed": 5}
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
HERE = ("127.0.0.1",)


class Receiver:
    """A program that is told of jobs; answers with the statuses in `answers`, then with 200."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.drip = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.told.append((headers | {"path": self.path}, self.rfile.read(int(headers["content-length"]))))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if receiver.drip:
                    for _ in range(600):
                        self.wfile.write(b"H")
                        time.sleep(0.1)
                self.send_response(status)
                self.send_header("Location", receiver.url + "elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?of=easel"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PAUSES", (0, 0, 0))


@contextmanager
def house(folder: Path, hosts: tuple[str, ...] = HERE) -> Iterator[httpx.Client]:
    with served(folder, webhook_hosts=hosts) as (address, _), httpx.Client(base_url=address, timeout=60) as client:
        yield client


def drawn(client: httpx.Client, url: str, prompt: str = "a lighthouse", **more: str) -> dict[str, Any]:
    answer = client.post("/api/jobs", params={"wait": 30}, json={**SMALL, "prompt": prompt, "webhook": {"url": url, **more}})
    assert answer.status_code == 201, answer.text
    return answer.json()


def over(client: httpx.Client, job: str) -> dict[str, Any]:
    return until(lambda: hook if (hook := client.get(f"/api/jobs/{job}").json()["webhook"])["state"] != "waiting" else None)


def test_how_jobs_end_is_told_once_and_signed(tmp_path: Path, receiver: Receiver) -> None:
    with house(tmp_path) as client:
        done = drawn(client, receiver.url, secret=SECRET)
        failed = drawn(client, receiver.url, "fail=0 always")
        assert over(client, done["id"]) == {"url": receiver.url, "state": "delivered", "attempts": 0, "problem": ""}
        over(client, failed["id"])
        time.sleep(0.6)
    assert len(receiver.told) == 2
    told = {json.loads(body)["data"]["id"]: (headers, body) for headers, body in receiver.told}
    headers, body = told[done["id"]]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60 and headers["path"] == "/hook?of=easel"
    event = json.loads(body)
    assert event["type"] == "job.done" and event["data"]["images"][0]["url"] == f"/api/images/{done['images'][0]['id']}"
    headers, body = told[failed["id"]]
    assert "webhook-signature" not in headers and json.loads(body)["type"] == "job.failed"
    assert json.loads(body)["data"]["problems"] == [{"field": "prompt", "message": "too wild"}]


def test_it_is_tried_again_and_given_up(tmp_path: Path, receiver: Receiver) -> None:
    with house(tmp_path) as client:
        receiver.answers = [500, 302]
        job = drawn(client, receiver.url)["id"]
        assert over(client, job)["state"] == "delivered"
        assert len(receiver.told) == 3 and len({headers["webhook-id"] for headers, _ in receiver.told}) == 1
        assert all("elsewhere" not in headers["path"] for headers, _ in receiver.told), "a redirect was followed"
        receiver.answers = [500] * 9
        gone = over(client, drawn(client, receiver.url)["id"])
        assert (gone["state"], gone["attempts"], gone["problem"]) == ("failed", 4, "answered 500")
        receiver.answers = [410]
        assert over(client, drawn(client, receiver.url)["id"])["attempts"] == 1


def test_it_is_told_after_a_restart_and_after_a_retry_of_the_job(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [500]
    delivery.PAUSES = (2, 0, 0)
    with house(tmp_path) as client:
        job = drawn(client, receiver.url, "fail=0")["id"]
        until(lambda: client.get(f"/api/jobs/{job}").json()["webhook"]["attempts"])
    assert len(receiver.told) == 1
    with house(tmp_path) as client:
        assert over(client, job)["state"] == "delivered"
        client.post(f"/api/jobs/{job}/retry")
        until(lambda: len(receiver.told) == 3)
    assert [json.loads(body)["type"] for _, body in receiver.told] == ["job.failed", "job.failed", "job.done"]


def test_nothing_is_told_where_the_operator_allows_no_host(tmp_path: Path, receiver: Receiver) -> None:
    with house(tmp_path, ()) as client:
        answer = client.post("/api/jobs", json={**SMALL, "webhook": {"url": receiver.url}})
    assert answer.status_code == 422 and [one["field"] for one in answer.json()["errors"]] == ["webhook.url"]
    assert "--allow-webhook" in answer.json()["detail"] and not receiver.told


@pytest.mark.parametrize(("webhook", "field"), [
    ("http://127.0.0.1", "webhook"), ({}, "webhook"), ({"url": 5}, "webhook"), ({"url": "http://127.0.0.1", "to": 1}, "webhook.to"),
    ({"url": "ftp://127.0.0.1"}, "webhook.url"), ({"url": "http://me:you@127.0.0.1"}, "webhook.url"), ({"url": "http://"}, "webhook.url"),
    ({"url": "http://127.0.0.1:99999"}, "webhook.url"), ({"url": "http://127.0.0.1 "}, "webhook.url"), ({"url": "http://127.0.0.1\\@x"}, "webhook.url"),
    ({"url": "http://127.0.0.2"}, "webhook.url"), ({"url": "http://2130706433"}, "webhook.url"), ({"url": "http://[::ffff:127.0.0.1]"}, "webhook.url"),
    ({"url": "http://127.0.0.1", "secret": "short"}, "webhook.secret"), ({"url": "http://127.0.0.1", "secret": 5}, "webhook.secret"),
])
def test_a_wrong_webhook_is_refused_by_field(allowing: httpx.Client, webhook: Any, field: str) -> None:
    answer = allowing.post("/api/jobs", json={**SMALL, "webhook": webhook})
    assert answer.status_code == 422 and [one["field"] for one in answer.json()["errors"]] == [field]


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with house(tmp_path_factory.mktemp("house")) as client:
        yield client


@pytest.mark.parametrize(("address", "allowed", "fits"), [
    ("8.8.8.8", ("hook.example",), True), ("127.0.0.1", ("hook.example",), False), ("10.1.2.3", ("hook.example",), False),
    ("169.254.169.254", ("hook.example",), False), ("::1", ("hook.example",), False), ("fe80::1%eth0", ("hook.example",), False),
    ("::ffff:10.0.0.1", ("hook.example",), False), ("224.0.0.1", ("hook.example",), False), ("0.0.0.0", ("hook.example",), False),
    ("10.1.2.3", ("hook.example", "10.0.0.0/8"), True), ("10.1.2.3", ("hook.example", "10.1.2.3"), True), ("10.1.2.3", ("10.0.0.0/8",), False),
])
def test_a_name_leads_only_to_addresses_that_are_allowed(
    monkeypatch: pytest.MonkeyPatch, address: str, allowed: tuple[str, ...], fits: bool,
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (address, 443))])
    if fits:
        assert resolved("https://hook.example/x", allowed)[1:] == (443, address)
    else:
        with pytest.raises(UserError):
            resolved("https://hook.example/x", allowed)


def test_who_talks_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.5)
    receiver.drip = True
    begun = time.monotonic()
    with pytest.raises(UserError, match="no answer"):
        send(receiver.url, b"{}", {}, HERE)
    assert time.monotonic() - begun < 30


def test_localhost_is_allowed_by_its_name_alone() -> None:
    checked(Webhook("http://localhost:9"), ("localhost",))
    with pytest.raises(InvalidRequest):
        checked(Webhook("http://localhost:9"), ("127.0.0.1",))
    assert resolved("http://localhost:9/", ("localhost",))[1] == 9


@pytest.mark.parametrize(("host", "kept"), [
    ("Hook.Example.", "hook.example"), ("10.0.0.0/8", "10.0.0.0/8"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"),
    ("http://x", None), ("1.2.3", None), ("10.0.0.1/8", None), ("a b", None), ("*", None),
])
def test_what_the_flag_takes(tmp_path: Path, host: str, kept: str | None) -> None:
    flags = parser().parse_args(["--data", str(tmp_path), "--allow-webhook", host])
    if kept:
        assert settings_from(flags, {}).webhook_hosts == (kept,)
    else:
        with pytest.raises(Refusal):
            settings_from(flags, {})
