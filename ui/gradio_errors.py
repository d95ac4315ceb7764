"""What Gradio tells in the log of a call that failed: all of it where a function of the page was wrong, else a line.

It prints the traceback of every error, also of those that a malformed call makes in Gradio itself.
"""

from __future__ import annotations

import logging
import reprlib
import sys
import sysconfig
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio.queueing
import gradio.routes

LIBRARIES = (str(Path(gradio.routes.__file__).parents[1]), sysconfig.get_path("stdlib"), "<frozen ")
LONGEST = 200           # letters of what a call has sent that are told of it

log = logging.getLogger(__name__)
_short = reprlib.Repr()
_short.maxother = _short.maxstring = LONGEST


def _tell(*_: Any, **__: Any) -> None:
    """In the place of `traceback.print_exc`."""
    error = sys.exc_info()[1]
    if error is not None and _is_ours(error):
        log.error("a function of the page has failed", exc_info=error)
    else:
        log.warning("a call of a function of the page was refused: %s", _short.repr(error))


def _is_ours(error: BaseException) -> bool:
    """Whether it came to code that is no library's."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(not frame.filename.startswith(LIBRARIES) for frame in frames)


def keep_short() -> None:
    """From now on, in this process."""
    gradio.queueing.traceback = gradio.routes.traceback = SimpleNamespace(**{**vars(traceback), "print_exc": _tell})
