"""The drawing calls of AUTOMATIC1111's API that wait for their answer, and whose they are.

Without logins everybody is the same user. A client is then told from others by the task id that it gives, else by the
address and the program (X-Easel-Client, else User-Agent) that its connection comes from.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from backend import LOCAL

REMEMBERED = 256        # ended calls, for whoever still asks for them
MAX_TASK = 200          # characters of a task id that are kept
CLIENT = "x-easel-client"


@dataclass(frozen=True, slots=True)
class Caller:
    """A client as its connection shows it."""

    user: str
    address: str
    program: str

    @classmethod
    def of(cls, connection: HTTPConnection) -> Caller:
        """Behind the guard."""
        address = connection.client.host if connection.client else ""
        program = connection.headers.get(CLIENT) or connection.headers.get("user-agent", "")
        return cls(connection.state.user.id, address, program[:MAX_TASK])

    @property
    def is_anonymous(self) -> bool:
        """Whether other people's clients may be the same user."""
        return self.user == LOCAL.id


@dataclass(slots=True, eq=False)
class Call:
    """A request on its way: its jobs once they are queued, and what was done to it meanwhile."""

    caller: Caller
    task: str
    jobs: tuple[str, ...] = ()
    plot: str = ""                      # whose cells the jobs are
    interrupted: bool = False
    skipped: set[tuple[str, int]] = field(default_factory=set)      # job and picture


class Calls:
    """Everybody's. Thread-safe."""

    def __init__(self) -> None:
        self._open: list[Call] = []
        self._ended: deque[Call] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def begin(self, call: Call) -> None:
        with self._lock:
            self._open.append(call)

    def end(self, call: Call) -> None:
        with self._lock:
            self._open.remove(call)
            self._ended.append(call)

    def open(self) -> list[Call]:
        """Those on their way; the first came first."""
        with self._lock:
            return list(self._open)

    def ended(self) -> list[Call]:
        """Those that are over; the last ended last."""
        with self._lock:
            return list(self._ended)


@dataclass(frozen=True, slots=True)
class ClientCalls:
    """The calls as one client finds them: its own, or those of its user with a task id that it names."""

    calls: Calls
    caller: Caller

    @contextmanager
    def on_its_way(self, task: object = None) -> Iterator[Call]:
        """A new call, for as long as it waits for its answer."""
        call = Call(self.caller, str(task or "")[:MAX_TASK])
        self.calls.begin(call)
        try:
            yield call
        finally:
            self.calls.end(call)

    def open(self, task: str = "") -> list[Call]:
        """Those on their way; the first came first."""
        return [call for call in self.calls.open() if self._is_meant(call, task)]

    def latest(self, task: str = "") -> Call | None:
        """The one that ended last."""
        return next((call for call in reversed(self.calls.ended()) if self._is_meant(call, task)), None)

    def tasks(self) -> list[str]:
        """Ids of the tasks on their way that the client may know of, each once."""
        is_seen = self._is_own if self.means_own_only() else self._is_users
        return list(dict.fromkeys(call.task for call in self.calls.open() if call.task and is_seen(call)))

    def means_own_only(self, task: str = "") -> bool:
        """Whether nothing but its own calls, or those with the `task`, is the client's business.

        Who never drew only watches, and sees what runs, as in AUTOMATIC1111.
        """
        drew = any(map(self._is_own, (*self.calls.open(), *self.calls.ended())))
        return bool(task) or self.caller.is_anonymous and drew

    def with_job(self, job: str) -> Call | None:
        """The user's call on its way that a job belongs to."""
        return next((call for call in self.calls.open() if job in call.jobs and self._is_users(call)), None)

    def _is_users(self, call: Call) -> bool:
        return call.caller.user == self.caller.user

    def _is_own(self, call: Call) -> bool:
        return call.caller == self.caller

    def _is_meant(self, call: Call, task: str) -> bool:
        return self._is_users(call) and call.task == task if task else self._is_own(call)


def meant(calls: Sequence[Call], running: Iterable[str], *, only_own: bool) -> list[str]:
    """Which of a user's running jobs a client means: its own, or where it has none, and may, all of them."""
    running = list(running)
    own = [job for job in running if any(job in call.jobs for call in calls)]
    return own if calls or only_own else running

