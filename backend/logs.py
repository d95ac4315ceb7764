"""What Easel writes to its log: lines or JSON objects, and of each kind only so many a minute.

A kind is a logger, a level and a message before its values are filled in: somebody who sends a thousand broken requests
gets a few lines and then a number.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, get_args

log = logging.getLogger(__name__)

LogFormat = Literal["text", "json"]
FORMATS = get_args(LogFormat)
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
AT_MOST, WINDOW = 20, 60.0      # lines of a kind per so many seconds
KINDS = 1000                    # kinds that are counted; more than there are in any program
# What a record holds by itself: anything else came as `extra` and goes into the JSON object, but for what a library
# keeps there for itself, under a name that begins with an underscore.
OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(form: LogFormat) -> None:
    """Everything that is logged goes to standard error in this form, warnings and what is worse."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else logging.Formatter(TEXT))
    handler.addFilter(Bounded())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    threading.excepthook = _tell_of_thread


def _tell_of_thread(end: threading.ExceptHookArgs) -> None:
    if end.exc_value and not isinstance(end.exc_value, SystemExit):
        log.critical("the thread %s has ended by an error", end.thread and end.thread.name, exc_info=end.exc_value)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, what the caller added (`job`), and the error."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
                "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in OWN and not name.startswith("_")}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Bounded(logging.Filter):
    """Lets `at_most` lines of a kind through per `window` seconds; the next window's first tells what is missing."""

    def __init__(self, at_most: int = AT_MOST, window: float = WINDOW,
                 clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._at_most, self._window, self._clock = at_most, window, clock
        self._counted: dict[tuple[str, int, str], tuple[float, int]] = {}   # since when, how many

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = (record.name, record.levelno, str(record.msg)), self._clock()
        since, count = self._counted.get(kind, (now, 0))
        if now - since >= self._window:
            self._tell(record, count - self._at_most)
            since, count = now, 0
        if len(self._counted) >= KINDS:
            self._counted.clear()
        self._counted[kind] = since, count + 1
        return count < self._at_most

    def _tell(self, record: logging.LogRecord, left_out: int) -> None:
        if left_out > 0:
            record.msg = f"{record.getMessage()} ({left_out} more like the last were left out)"
            record.args = None
