"""Hooks around guidance that extensions bring: each row is asked once per pass of a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from backend.request.request import Request
from backend.table import Table
from backend.worker.guidance.hooks import Hook


def _nothing(request: Request) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class HookRow:
    """`make(request)` gives a new hook for one picture, or None where the request does not ask for it.

    `note(request)` is what the person should know of it, told with the picture; "" is nothing.
    """

    name: str
    make: Callable[[Request], Hook | None]
    note: Callable[[Request], str] = _nothing


HOOKS: Table[HookRow] = Table("guidance hooks")


def hooks_for(request: Request) -> list[Hook]:
    """The hooks that this request asks for, in the table's order, less those of an extension that has failed."""
    return [hook for row in HOOKS.working() if (hook := row.make(request)) is not None]


def notes_for(request: Request) -> list[str]:
    """What those hooks have to tell."""
    return [note for row in HOOKS.working() if (note := row.note(request))]
