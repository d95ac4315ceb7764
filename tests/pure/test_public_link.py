"""--share, with a stand-in for the tunnel's server and program."""

from __future__ import annotations

import hashlib
import http.client
import json
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from gradio import networking, tunneling
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from app import bound
from backend.http import create_app
from backend.http.proxy import Proxy
from backend.http.public_link import CLIENT, PublicLink
from backend.http.server import Server
from backend.settings import Settings
from tests.pure.door import Door
from tests.pure.test_guard import USERS, basic
from tests.pure.test_proxy import FORWARDED, inside

PROGRAM = """#!/bin/sh
echo "$@" > {said}
echo "start proxy success: https://abc.gradio.example"
exec sleep 60
"""


class Directory(BaseHTTPRequestHandler):
    """Tells where the tunnel's server is, as Gradio's does."""

    def do_GET(self) -> None:
        body = json.dumps([{"host": "tunnel.example", "port": 7000, "root_ca": "certificate"}]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tunnel's program, as if it had been fetched before; what it was called with is in `said` beside it."""
    program = tmp_path / "frpc"
    program.write_text(PROGRAM.format(said=tmp_path / "said"))
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(tunneling, "BINARY_PATH", str(program))
    monkeypatch.setattr(tunneling, "CHECKSUMS", {tunneling.BINARY_URL: hashlib.sha256(program.read_bytes()).hexdigest()})
    directory = HTTPServer(("127.0.0.1", 0), Directory)
    threading.Thread(target=directory.serve_forever, daemon=True).start()
    monkeypatch.setattr(networking, "GRADIO_API_SERVER", f"http://127.0.0.1:{directory.server_port}")
    monkeypatch.setattr(networking, "GRADIO_SHARE_SERVER_ADDRESS", None)
    yield program
    directory.shutdown()


@contextmanager
def asked(folder: Path) -> Iterator[PublicLink]:
    link = PublicLink(folder)
    with link.listener():
        link._open()
        yield link
        link.close()


def test_the_link_is_told_and_leads_to_a_listener_of_its_own(program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with asked(tmp_path) as link:
        assert (link.url, link.problem) == ("https://abc.gradio.example", "")
        said = (tmp_path / "said").read_text().split()
        assert said[said.index("-l") + 1] == str(link.port) and "tunnel.example:7000" in said
        assert (tmp_path / "tunnel-certificate.pem").read_text() == "certificate"
    assert "Easel is public at https://abc.gradio.example" in capsys.readouterr().out


def test_where_there_is_no_way_out_a_sentence_says_so(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networking, "GRADIO_API_SERVER", "http://127.0.0.1:9/")
    with asked(tmp_path) as link:
        assert not link.url and link.problem.startswith("There is no public link: the server that gives such links cannot be reached")


def test_a_program_that_is_not_gradios_is_never_run(program: Path, tmp_path: Path) -> None:
    program.write_text(program.read_text() + "# changed\n")
    with asked(tmp_path) as link:
        assert not link.url and "not the one that Gradio vouches for" in link.problem
    assert not program.exists() and not (tmp_path / "said").exists()


def test_a_program_that_cannot_run_is_told(program: Path, tmp_path: Path) -> None:
    program.chmod(0o644)
    with asked(tmp_path) as link:
        assert not link.url and "cannot be fetched or started" in link.problem


def told(link: PublicLink, port: int, **settings: object) -> dict[str, object]:
    from starlette.routing import Route

    app = Starlette(routes=[Route("/", inside)], middleware=[Middleware(Proxy, settings=Settings(**settings), link=link)])
    return TestClient(app, client=("127.0.0.1", 1), base_url=f"http://localhost:{port}").get("/", headers=FORWARDED).json()


def test_a_request_by_the_link_is_a_strangers(tmp_path: Path) -> None:
    link = PublicLink(tmp_path)
    link.port, link.url = 50123, "https://abc.gradio.example"
    trusting = {"trusted_proxies": ("127.0.0.1",), "root_path": "/easel"}
    assert told(link, 50123, **trusting) == {"client": CLIENT, "url": "https://abc.gradio.example/", "root": "", "headers": []}
    assert told(link, 7860, **trusting)["client"] == FORWARDED["X-Forwarded-For"]
    assert told(link, 7860)["client"] == "127.0.0.1"
    link.port = 0
    assert told(link, 0)["client"] == "127.0.0.1", "without a link no request is of one"


def test_by_the_link_nobody_is_local_and_wrong_logins_lock_out_only_others_who_come_by_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=0, users=USERS, share=True)
    door = Door(settings)
    door.start_workers = lambda: None
    app = create_app(door)
    link = app.state.public_link
    link.open_in_background = lambda: setattr(link, "url", "https://abc.gradio.example")
    with bound(settings) as listener, link.listener() as tunnel:
        server = Server(app, door)
        running = threading.Thread(target=server.run, kwargs={"sockets": [listener, tunnel]}, daemon=True)
        running.start()

        def status(port: int, headers: dict[str, str]) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/easel/jobs", headers=headers)
            return connection.getresponse().status

        local, public = listener.getsockname()[1], link.port
        assert status(public, {}) == 401
        assert [status(public, basic("ann", f"wrong {number}")) for number in range(9)][-1] == 429
        assert status(public, basic("bob", "plain: text")) == 429
        assert status(local, basic("bob", "plain: text")) == 200
        server.should_exit = True
        running.join(20)
