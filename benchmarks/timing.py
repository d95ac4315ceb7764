"""Taking turns: what is compared runs A, B, C, A, B, C, ..., so that drift of the machine hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def in_turns(
    contenders: Mapping[str, Callable[[], object]], rounds: int, warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each contender in each counted round; `warmups` rounds before are not counted.

    With `clock=time.process_time` they are the processor's, which others on a busy machine take nothing of.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(-warmups, rounds):
        for name, run in contenders.items():
            started = clock()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if round_number >= 0:
                seconds[name].append(clock() - started)
    return seconds


def ratio(seconds: Mapping[str, list[float]], above: str, below: str) -> float:
    """The median of the rounds' ratios."""
    pairs = zip(seconds[above], seconds[below], strict=True)
    return round(statistics.median(a / b for a, b in pairs), 3)


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(values), 4) for name, values in seconds.items()}
