"""Threads for work on pictures: how many wait for memory there never keeps other requests from being answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

THREADS = 6
P = ParamSpec("P")
T = TypeVar("T")

_LIMITER: RunVar[CapacityLimiter] = RunVar("decode_threads")     # one for each event loop


async def run_decoding(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of a call that decodes a picture, made in one of THREADS threads beside the general ones."""
    try:
        limiter = _LIMITER.get()
    except LookupError:
        limiter = CapacityLimiter(THREADS)
        _LIMITER.set(limiter)
    return await to_thread.run_sync(partial(call, *args, **kwargs), limiter=limiter)
