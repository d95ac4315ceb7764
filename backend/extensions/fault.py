"""From an error, or from what a thread is in the middle of, to the extension whose code it is."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from types import FrameType

RUNS_NETWORKS = ("backend", "torch.nn.modules", "diffusers", "transformers")


def at_fault(error: BaseException, packages: Sequence[str]) -> str:
    """The package, of these, that the innermost of its frames in the traceback belongs to; "" where none is in it.

    What the core raises when an extension calls it wrongly is the extension's fault, too. Errors that are meant for the
    person must not be asked about here.
    """
    names = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next(filter(None, (_owner(module, packages) for module in reversed(names))), "")


def standing_in(frame: FrameType | None, packages: Sequence[str]) -> str:
    """The package, of these, whose code a thread with this innermost frame is in the middle of; "" where it is none.

    A network that an extension's code has called is not the extension's, however long it takes.
    """
    for each, _ in traceback.walk_stack(frame) if frame else ():
        module = each.f_globals.get("__name__", "")
        if package := _owner(module, packages):
            return package
        if _owner(module, RUNS_NETWORKS):
            return ""
    return ""


def _owner(module: str, packages: Sequence[str]) -> str:
    return next((package for package in packages if f"{module}.".startswith(f"{package}.")), "")
