"""The log: JSON with what the caller adds, and so many lines of a kind."""

from __future__ import annotations

import json
import logging

from backend.logs import Bounded, JsonFormatter


def record(message: str, *args: object, name: str = "easel", **extra: object) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, logging.WARNING, "here", 1, message, args, None, extra=extra)


def test_json_lines_tell_what_was_said_and_of_which_job() -> None:
    line = json.loads(JsonFormatter().format(record("job %s failed\nbadly", "j1", job="j1", number=3)))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "easel", "message": "job j1 failed\nbadly", "job": "j1", "number": 3}


def test_json_lines_hold_the_traceback() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        told = record("trouble")
        told.exc_info = (type(error), error, error.__traceback__)
    text = JsonFormatter().format(told)
    assert "\n" not in text and "ValueError: no" in json.loads(text)["error"]


def test_of_each_kind_so_many_lines_a_minute() -> None:
    now = 0.0
    bounded = Bounded(at_most=3, window=60, clock=lambda: now)
    through = [bounded.filter(record("attack by %s", number)) for number in range(10)]
    assert through == [True] * 3 + [False] * 7
    assert bounded.filter(record("something else")) and bounded.filter(record("attack by %s", 1, name="other"))
    now = 61.0
    later = record("attack by %s", 99)
    assert bounded.filter(later)
    assert later.getMessage() == "attack by 99 (7 more like the last were left out)"
