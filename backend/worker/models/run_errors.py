"""Errors while a network from somebody's file runs: whatever it answers, the file is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import CheckpointError, EaselError
from backend.worker.models.memory_errors import out_of_memory

LONGEST = 300       # characters of what a library says


@contextmanager
def running(name: str) -> Iterator[None]:
    """CheckpointError for whatever comes of it inside that a file's network takes or gives other things than its kind.

    What Easel says itself goes through, and what says that memory was short.
    """
    try:
        yield
    except EaselError:
        raise
    except Exception as error:      # the border of a foreign network: each library has classes of its own
        if out_of_memory(error):
            raise
        raise CheckpointError(f"{name} failed on this picture: {error or type(error).__name__}"[:LONGEST]) from error
