"""What the front processes on one PostgreSQL tell each other: LISTEN and NOTIFY, apart from all transactions.

What triggers tell of rows comes with its transaction. What fronts say is for their pages: it may be lost with the
connection, after which whoever listens looks at the rows again.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

import psycopg

from backend.errors import StorageError
from backend.store.database import Database, first_line
from backend.store.postgres_objects import CHANNEL
from backend.store.postgres_server import connection_of

PIECE = 7000                # characters of a message; PostgreSQL takes 8,000 bytes, and JSON is ASCII
MOST_WAITING = 1000         # messages that are not sent yet; more are lost, as with a lost connection
TOGETHER_SECONDS = 0.02     # what comes within it is dealt with at once
POLL_SECONDS = 0.5
AGAIN_SECONDS = 1.0         # after the connection was lost

log = logging.getLogger(__name__)


class Listener(Protocol):
    """Is called in one thread. StorageError makes the connection start over."""

    def connected(self) -> None:
        """Anything may have been missed."""

    def changed(self, jobs: set[str], pauses: bool) -> None:
        """Another front has changed the rows of these jobs, or what is paused and in which order plots come."""

    def told(self, message: Any) -> None:
        """Another front says this."""


class FrontMessages:
    """`say` never waits."""

    def __init__(self, database: Database, listener: Listener) -> None:
        self._database, self._listener = database, listener
        self._outgoing: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._numbers = count()
        self._pieces: dict[str, list[str]] = {}
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._kept_up, args=(work,), name=f"fronts-{name}", daemon=True)
                         for name, work in (("listen", self._listen), ("say", self._say))]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._closed.set()
        with suppress(queue.Full):
            self._outgoing.put_nowait(None)
        for thread in self._threads:
            thread.join()

    def say(self, message: Any) -> None:
        """To all other fronts, what JSON can carry."""
        text = json.dumps(message)
        pieces = [text[at:at + PIECE] for at in range(0, len(text), PIECE)]
        number = next(self._numbers)
        with suppress(queue.Full):
            for index, piece in enumerate(pieces, 1):
                self._outgoing.put_nowait(f"{self._database.front} say {number} {index} {len(pieces)} {piece}")

    def _kept_up(self, work: Callable[[psycopg.Connection], None]) -> None:
        while not self._closed.is_set():
            try:
                with connection_of(self._database.url) as connection:
                    work(connection)
            except (psycopg.Error, StorageError) as error:
                log.warning("the other fronts are not heard: %s", first_line(error))
                self._closed.wait(AGAIN_SECONDS)
            except Exception:   # a border: what one message does to its reader must not end all hearing
                log.exception("what another front said could not be dealt with")
                self._closed.wait(AGAIN_SECONDS)

    def _say(self, connection: psycopg.Connection) -> None:
        while not self._closed.is_set() and (payload := self._outgoing.get()) is not None:
            connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))

    def _listen(self, connection: psycopg.Connection) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._listener.connected()
        while not self._closed.is_set():
            heard = [notify.payload for notify in connection.notifies(timeout=POLL_SECONDS, stop_after=1)]
            if heard:
                heard += [notify.payload for notify in connection.notifies(timeout=TOGETHER_SECONDS)]
                self._deal_with(heard)

    def _deal_with(self, heard: Iterable[str]) -> None:
        """First the rows, then what is said of them."""
        others = [payload.split(" ", 2) for payload in heard if not payload.startswith(f"{self._database.front} ")]
        jobs = {words[2] for words in others if words[1] == "job"}
        pauses = any(words[1] == "pauses" for words in others)
        if jobs or pauses:
            self._listener.changed(jobs, pauses)
        for who, kind, *rest in others:
            if kind == "say":
                self._piece(who, *rest[0].split(" ", 3))

    def _piece(self, who: str, number: str, index: str, total: str, text: str) -> None:
        """Pieces of one message follow each other; one whose beginning was missed is passed over."""
        known = self._pieces.setdefault(who, [])
        if index == "1":
            known.clear()
        known.append(text)
        if len(known) == int(index) == int(total):
            self._listener.told(json.loads("".join(known)))
