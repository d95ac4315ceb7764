"""From an error to the extension whose code has raised it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence


def at_fault(error: BaseException, packages: Sequence[str]) -> str:
    """The package, of these, that the innermost of its frames in the traceback belongs to; "" where none is in it.

    What the core raises when an extension calls it wrongly is the extension's fault, too. Errors that are meant for the
    person must not be asked about here.
    """
    names = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    for module in reversed(names):
        for package in packages:
            if f"{module}.".startswith(f"{package}."):
                return package
    return ""
