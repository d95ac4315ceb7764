"""Many and slow connections keep nobody out, and the log stays small."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from backend.http.connections import Connections, RequestsAtOnce
from backend.settings import HOME
from tests.pure.crowded_server import HEAD_SECONDS

FILES, CROWD = 300, 320
PATIENCE = 0.7 * HEAD_SECONDS   # seconds in which somebody with a whole request is answered, without waiting for others to be put out
UNFINISHED = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
HALF_SENT = b"POST /easel/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nx"


class Someone:
    """A connection, as `Connections` sees it."""

    def __init__(self, since: float, *, waits: bool = True, late: bool = False) -> None:
        self.since, self.waits, self.late, self.ended = since, waits, late, False

    def is_late(self, now: float) -> bool:
        return self.late

    def end(self) -> None:
        self.ended = True


def crowd(among: Connections, count: int, address: str, **facts: bool) -> list[Someone]:
    people = [Someone(float(since), **facts) for since in range(count)]
    assert all(among.enter(one, address) for one in people)
    return people


def test_whoever_has_waited_longest_makes_room() -> None:
    among = Connections(40)
    people = crowd(among, 10, "10.0.0.1") + crowd(among, 10, "10.0.0.2") + crowd(among, 10, "10.0.0.3") + crowd(among, 10, "10.0.0.4")
    people[13].since = -1.0
    assert among.enter(Someone(99.0), "10.0.0.5")
    assert [one.ended for one in people].index(True) == 13 and sum(one.ended for one in people) == 1


def test_who_is_being_answered_is_not_put_out() -> None:
    among = Connections(32)
    crowd(among, 8, "10.0.0.1", waits=False)
    assert not among.enter(Someone(9.0), "10.0.0.1"), "one address holds a quarter"
    assert among.enter(Someone(9.0), "10.0.0.2")


def test_a_trusted_proxy_may_hold_all_and_leaving_gives_room() -> None:
    among = Connections(32, ["10.0.0.0/8"])
    people = crowd(among, 32, "10.0.0.1", waits=False)
    assert not among.enter(Someone(9.0), "10.0.0.2")
    among.leave(people[0])
    assert among.enter(Someone(9.0), "10.0.0.2")


def test_who_is_late_is_put_out() -> None:
    among = Connections(32)
    slow, = crowd(among, 1, "10.0.0.1", late=True)
    quick, = crowd(among, 1, "10.0.0.1")
    among.sweep()
    assert slow.ended and not quick.ended


def test_requests_of_one_address_at_once_are_bounded() -> None:
    busy = RequestsAtOnce(Starlette(routes=[Route("/", lambda request: Response("here"))]), most=1)
    client = TestClient(busy)
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 200]
    assert TestClient(RequestsAtOnce(busy, most=0)).get("/").status_code == 503


class Crowded:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "tests.pure.crowded_server", str(folder), str(FILES)],
                                            cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.port = int(self.process.stdout.readline().rpartition(":")[2])

    def answer(self, method: str = "GET", path: str = "/easel/health", source: str = "127.0.0.1", **sent: object) -> int:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE, source_address=(source, 0))
        client.request(method, path, **sent)
        return client.getresponse().status

    def joined(self, stack: ExitStack, said: bytes, source: str = "127.0.0.1") -> socket.socket:
        one = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), timeout=5, source_address=(source, 0)))
        one.sendall(said)
        return one

    def headers_within(self, seconds: float) -> None:
        print(seconds, file=self.process.stdin, flush=True)

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowded]:
    server = Crowded(tmp_path_factory.mktemp("crowded"))
    yield server
    server.close()


@pytest.mark.slow       # as all that need the server: its start takes seconds of a core
@pytest.mark.parametrize("said", [b"", UNFINISHED, HALF_SENT])
@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.1"])
def test_unfinished_requests_keep_nobody_out(server: Crowded, said: bytes, source: str) -> None:
    before = server.log.stat().st_size
    with ExitStack() as stack:
        for number in range(CROWD):
            # Half a body is answered, so that these come from many addresses.
            server.joined(stack, said, f"127.0.1.{number % 20 + 1}" if said == HALF_SENT else "127.0.0.1")
        started = time.monotonic()
        assert server.answer(source=source) == 200
        assert time.monotonic() - started < PATIENCE
    assert server.log.stat().st_size - before < 10_000


@pytest.mark.slow
def test_the_slow_are_put_out(server: Crowded) -> None:
    with ExitStack() as stack:
        slow = server.joined(stack, UNFINISHED, "127.0.0.3")
        slow.settimeout(1.0)
        with pytest.raises(TimeoutError):
            slow.recv(100)
        slow.settimeout(60.0)
        server.headers_within(1.0)
        try:
            assert slow.recv(100) == b""
        except ConnectionResetError:
            pass
        finally:
            server.headers_within(HEAD_SECONDS)


@pytest.mark.slow
def test_a_gigabyte_is_refused_at_once_and_not_kept(server: Crowded, tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = server.joined(stack, b"POST /easel/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1073741824\r\n\r\n")
        assert b" 413 " in one.recv(1000).splitlines()[0]
    with ExitStack() as stack:
        one = server.joined(stack, b"POST /easel/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece, sent = b"100000\r\n" + os.urandom(2**20) + b"\r\n", 0
        try:
            while sent < 1024 * 2**20:
                one.sendall(piece)
                sent += 2**20
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            pass
        assert sent <= 100 * 2**20, "what is not declared is counted as it comes"
    assert server.answer() == 200


@pytest.mark.slow
def test_broken_requests_fill_no_log(server: Crowded) -> None:
    before = server.log.stat().st_size
    for _ in range(200):
        with ExitStack() as stack:
            server.joined(stack, b"\x16\x03\x01 no HTTP\r\n\r\n")
    assert server.answer() == 200
    assert server.log.stat().st_size - before < 5_000
