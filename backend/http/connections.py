"""Who may hold a connection, and for how long without saying anything: many and slow connections keep nobody out.

Below the limits everybody is let in. At a limit whoever has waited longest without a whole request makes room for who
comes next, so a person who sends a request at once is always served; where all are being answered, the next one is
turned away. A proxy that is trusted has no limit of its own, and answers for the addresses behind it: of these so many
requests are answered at once.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
import logging
import resource
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from backend.http.accounts.login_throttle import network

IDLE_SECONDS = 75.0     # without a byte, at first or between two requests: longer than clients and proxies keep one
HEAD_SECONDS = 15.0     # from the first byte of a request to the end of its headers
BODY_SECONDS = 30.0     # for a body, and for each so many more bytes of it a second
BODY_RATE = 4096
REST_BYTES = 16 * 2**20  # of a body whose request has been answered: so many are passed over, then it is cut off
WRITE_SECONDS = 120.0   # in which a client takes nothing of what is sent
OPEN_FILES = 65536      # wanted, where the system allows so many
OTHER_FILES = 512       # for the database, pictures, pipes to the workers; of few files at most a third
SHARE = 4               # one address holds at most this part of all connections

log = logging.getLogger(__name__)


def most_connections() -> int:
    """How many there may be; takes as many open files as the system gives this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft - min(OTHER_FILES, soft // 3)


class Connections:
    """All connections of the server. `trusted`: networks of proxies."""

    def __init__(self, most: int, trusted: Sequence[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self.most_of_one = most, max(most // SHARE, 8)
        self._trusted = [ipaddress.ip_network(each) for each in trusted]
        self._clock = clock
        self._open: dict[Connection, str] = {}      # oldest first
        self._of: Counter[str] = Counter()

    def now(self) -> float:
        return self._clock()

    def enter(self, connection: Connection, address: str) -> bool:
        """Whether it may stay."""
        who = network(address)
        if self._of[who] >= self.most_of_one and not self._is_proxy(address) and not self._room(who):
            return False
        if len(self._open) >= self._most and not self._room():
            return False
        self._open[connection] = who
        self._of[who] += 1
        return True

    def leave(self, connection: Connection) -> None:
        who = self._open.pop(connection, None)
        if who is not None:
            self._of[who] -= 1
            self._of += Counter()      # forgets who has none

    def sweep(self) -> None:
        """Ends those that have been too slow."""
        now = self._clock()
        for connection in list(self._open):
            if connection.is_late(now):
                connection.end()

    def _room(self, who: str | None = None) -> bool:
        waiting = (one for one, whose in self._open.items() if who in (None, whose) and one.waits)
        oldest = min(waiting, key=lambda one: one.since, default=None)
        if oldest is None:
            log.warning("a connection was turned away: as many requests are being answered as there may be")
            return False
        oldest.end()
        return True

    def _is_proxy(self, address: str) -> bool:
        try:
            return any(ipaddress.ip_address(address) in each for each in self._trusted)
        except ValueError:
            return False


class Connection(H11Protocol):
    """Uvicorn's, counted and timed."""

    def __init__(self, *, among: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._among = among
        self.since = among.now()        # of the request that comes, or of the wait for one
        self._received = 0
        self._stuck: float | None = None

    @property
    def waits(self) -> bool:
        """Whether there is no whole request that could be answered."""
        return self._is_idle or self.cycle.more_body

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if not self._among.enter(self, self.client[0] if self.client else ""):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._among.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if self._is_idle and not self._received:
            self.since = self._among.now()
        self._received += len(data)
        super().data_received(data)
        if self.cycle is not cycle:
            self._begin()
        elif self.cycle is not None and self._is_idle and self.cycle.more_body and self._received > REST_BYTES:
            self.end()

    def on_response_complete(self) -> None:
        self._begin()
        super().on_response_complete()

    def pause_writing(self) -> None:
        self._stuck = self._among.now()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stuck = None
        super().resume_writing()

    def is_late(self, now: float) -> bool:
        """Whether it has been too slow in what it has to do now."""
        if self._stuck is not None and now - self._stuck > WRITE_SECONDS:
            return True
        if self._is_idle:
            return now - self.since > (HEAD_SECONDS if self._received else IDLE_SECONDS)
        if self.cycle.more_body and not self.flow.read_paused:
            return now - self.since > BODY_SECONDS + self._received / BODY_RATE
        return False

    def end(self) -> None:
        """At once: a client that is slow would not hear a polite word either."""
        self._among.leave(self)
        self.transport.abort()

    def _begin(self) -> None:
        self.since, self._received = self._among.now(), 0


class RequestsAtOnce:
    """ASGI middleware: of one address so many requests are answered at once, whatever proxy they come by."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most
        self._of: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = network((scope.get("client") or ("",))[0])
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif self._of[who] >= self._most:
            await _busy(send)
        else:
            self._of[who] += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._of[who] -= 1
                self._of += Counter()


async def _busy(send: Send) -> None:
    reason = "Too many requests of this address are being answered"
    body = json.dumps({"detail": reason, "error": "Busy", "errors": reason, "body": ""}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
               (b"retry-after", b"1"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def quiet_about_files(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for the loop: asyncio tells of each connection that finds no open file, with a traceback."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        log.warning("no more files can be opened; new connections wait")
    else:
        loop.default_exception_handler(context)
