"""What Easel lacks and would change the picture: refused by name, or passed over where client or operator say so.

A client says so with the header `X-Easel-Unknown: ignore`, and the opposite with `refuse`; the operator with
`--ignore-unknown`, for an account or for a part of a client's `User-Agent`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import HTTPConnection

from backend.errors import InvalidRequest, Problem

HEADER = "x-easel-unknown"
IGNORE, REFUSE = "ignore", "refuse"
NOT_HERE = "is not something that Easel has; leave it out or switch it off"


@dataclass(frozen=True, slots=True)
class Lacking(Problem):
    """A setting that AUTOMATIC1111 or one of its extensions has and Easel does not."""


def is_passed_over(connection: HTTPConnection) -> bool:
    """Whether what this client asks for and Easel lacks is passed over. InvalidRequest for another word."""
    word = connection.headers.get(HEADER, "").strip().casefold()
    if word in (IGNORE, REFUSE):
        return word == IGNORE
    if word:
        raise InvalidRequest(f"must be {IGNORE} or {REFUSE}", field="X-Easel-Unknown")
    program, account = connection.headers.get("user-agent", "").casefold(), connection.state.user.name
    rules = connection.app.state.backend.settings.ignore_unknown
    return any(rule == account or rule.casefold() in program for rule in rules)


def passed_over(problems: Iterable[Problem], ignore: bool) -> list[str]:
    """The names of what is lacking, where that may be passed over; InvalidRequest for all other problems."""
    problems = list(problems)
    lacking = [problem for problem in problems if ignore and isinstance(problem, Lacking)]
    if len(lacking) < len(problems):
        raise InvalidRequest(problems=problems)
    return [problem.field for problem in lacking]
