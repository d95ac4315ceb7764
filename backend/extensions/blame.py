"""From an error, or from what a thread is in the middle of, to the extension whose code it is."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from types import FrameType

from backend.extensions.manifest import name_of

RUNS_NETWORKS = ("backend", "torch.nn.modules", "diffusers", "transformers")


def blame(package: str) -> str:
    """How a sentence begins that tells what has gone wrong in an extension's code."""
    return f"The extension {name_of(package)} failed. "


def at_fault(error: BaseException, packages: Sequence[str]) -> str:
    """The package, of these, that the innermost of its frames in the traceback belongs to; "" where none is in it.

    What the core raises when an extension calls it wrongly is the extension's fault, too; and where none is in an
    error's own traceback that of its cause is asked, which is how Python tells of a StopIteration in a generator.
    Errors that are meant for the person must not be asked about here.
    """
    return next(filter(None, (_innermost(each, packages) for each in _chain(error))), "")


def _chain(error: BaseException) -> list[BaseException]:
    """An error, what caused it, and so on; each once."""
    chain = [error]
    while (cause := chain[-1].__cause__) and not any(cause is each for each in chain):
        chain.append(cause)
    return chain


def _innermost(error: BaseException, packages: Sequence[str]) -> str:
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
