"""This front process among others on the same PostgreSQL: it hears what they do, and takes over what dead ones held."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from typing import Any

from backend.dispatch.dispatcher import Dispatcher
from backend.errors import EaselError
from backend.store.database import Database, first_line
from backend.store.front_messages import FrontMessages
from backend.store.fronts import Fronts
from backend.store.jobs import Jobs

BEAT_SECONDS = 2.0

log = logging.getLogger(__name__)


class OtherFronts:
    """Works in threads of its own, from `start` until `close`."""

    def __init__(self, database: Database, jobs: Jobs, dispatcher: Dispatcher, address: str) -> None:
        self._database, self._jobs, self._dispatcher = database, jobs, dispatcher
        self._fronts = Fronts(database, address)
        self._messages = FrontMessages(database, self)
        self._others = 0                # how many there are besides this one
        self._closed = threading.Event()
        self._beats = threading.Thread(target=self._beat, name="fronts-beat", daemon=True)

    def start(self) -> None:
        self._dispatcher.say_to_others = self._say
        self._messages.start()
        self._beats.start()

    def close(self) -> None:
        """After the workers: what they still held goes back to the queue by the others."""
        self._closed.set()
        self._beats.join()
        self._messages.close()
        try:
            self._gone(self._database.front)
        except EaselError as error:
            log.warning("the other fronts find by themselves that this one is gone: %s", error)

    def _say(self, message: Collection[Any]) -> bool:
        if not self._others:
            return False
        self._messages.say(message)
        return True

    def _beat(self) -> None:
        while not self._closed.is_set():
            try:
                self._others, gone = self._fronts.beat()
                for front in gone:
                    log.warning("front %s is gone; its jobs wait again", front)
                    self._gone(front)
                self._dispatcher.notice("database", "")
            except EaselError as error:
                log.warning("%s %s", error, first_line(error.__cause__))
                self._dispatcher.notice("database", f"{error} Jobs go on when it is there again.")
            except Exception:   # a border: a front that gives no sign any more loses its jobs to the others
                log.exception("this front's sign of life")
            self._closed.wait(BEAT_SECONDS)

    def _gone(self, front: str) -> None:
        for change in self._jobs.take_over(front):
            self._dispatcher.job_changed(change)
        self._fronts.leave(front)

    # ---- what `FrontMessages` tells ----

    def connected(self) -> None:
        """Anything may have been missed."""
        self._jobs.read_pauses()
        self._dispatcher.rows_changed(self._jobs.read_again(), maybe_others=True)

    def changed(self, jobs: set[str], pauses: bool) -> None:
        """Another front has changed these rows."""
        if pauses:
            self._jobs.read_pauses()
        self._dispatcher.rows_changed(self._jobs.read_again(jobs))

    def told(self, message: Any) -> None:
        """Another front says this."""
        self._dispatcher.hear(message)
