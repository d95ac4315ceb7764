"""Bounds of processor time that mean the same on every machine."""

from __future__ import annotations

import statistics
import time

ADDITIONS, SECONDS = 300_000, 0.012     # a loop of plain Python, and what it takes where the tests' bounds were set


def slowness() -> float:
    """How many times as long as there plain Python takes here and now, as the median of five; 1 where it is quicker."""
    return max(1.0, statistics.median(_loop() for _ in range(5)) / SECONDS)


def _loop() -> float:
    began, total = time.process_time(), 0
    for number in range(ADDITIONS):
        total += number
    return time.process_time() - began
