"""The drawing calls of AUTOMATIC1111's API that wait for their answer, and whose they are.

Without logins everybody is the same user. A client is then told from others by the task id that it gives, else by the
address and the program (User-Agent) that its connection comes from.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

REMEMBERED = 256        # ended calls, for whoever still asks for them
MAX_TASK = 200          # characters of a task id that are kept


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
        return cls(connection.state.user.id, address, connection.headers.get("user-agent", "")[:MAX_TASK])


@dataclass(slots=True, eq=False)
class Call:
    """A request on its way: its jobs once they are queued, and what was done to it meanwhile."""

    caller: Caller
    task: str
    jobs: tuple[str, ...] = ()
    interrupted: bool = False
    skipped: set[tuple[str, int]] = field(default_factory=set)      # job and picture


class Calls:
    """Thread-safe."""

    def __init__(self) -> None:
        self._open: list[Call] = []
        self._ended: deque[Call] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def begin(self, caller: Caller, task: object = None) -> Call:
        call = Call(caller, str(task or "")[:MAX_TASK])
        with self._lock:
            self._open.append(call)
        return call

    def end(self, call: Call) -> None:
        with self._lock:
            self._open.remove(call)
            self._ended.append(call)

    def open(self, caller: Caller, task: str = "") -> list[Call]:
        """Those of this client that are on their way, or of its user with this task id; the first came first."""
        with self._lock:
            return [call for call in self._open if _is_meant(call, caller, task)]

    def tasks(self, user: str) -> list[str]:
        """Ids of the tasks of a user that are on their way."""
        with self._lock:
            return [call.task for call in self._open if call.task and call.caller.user == user]

    def latest(self, caller: Caller, task: str = "") -> Call | None:
        """The call of this client, or with this task id, that ended last."""
        with self._lock:
            return next((call for call in reversed(self._ended) if _is_meant(call, caller, task)), None)

    def with_job(self, user: str, job: str) -> Call | None:
        """The call on its way that a job belongs to."""
        with self._lock:
            return next((call for call in self._open if job in call.jobs and call.caller.user == user), None)


def meant(calls: Sequence[Call], running: Iterable[str], *, only_own: bool) -> list[str]:
    """Which of a user's running jobs a client means: its own, or where it has none, and may, all of them."""
    running = list(running)
    own = [job for job in running if any(job in call.jobs for call in calls)]
    return own if calls or only_own else running


def _is_meant(call: Call, caller: Caller, task: str) -> bool:
    return call.caller.user == caller.user and (call.task == task if task else call.caller == caller)
