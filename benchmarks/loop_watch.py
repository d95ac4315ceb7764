"""What blocks an event loop: how long it stays away, how much of that it works itself, and in which code it then is.

A thread looks at the loop's heartbeat every few milliseconds. While the heart stands still it notes the stack of the
loop's thread and the processor time that this thread has used, which other load on the machine does not stretch.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

BEAT, LOOK = 0.01, 0.005        # seconds between two beats, and between two looks at them
BLOCKED = 0.05                  # seconds without a beat from which stacks are noted
SHOWN = 12                      # of a stack's innermost lines


@dataclass(slots=True)
class Block:
    """One time in which the loop stayed away: seconds by the clock and of its own work, and where it was how often."""

    wall: float
    worked: float
    places: Counter[str] = field(default_factory=Counter)


class LoopWatch:
    """`start` is called in the loop; `report` when it is over."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.busy: list[float] = []
        self.blocks: list[Block] = []
        self.collected: list[float] = [0.0]     # seconds of each search for garbage, in whatever thread
        self._beaten = time.perf_counter()

    def start(self) -> None:
        self._beaten, self._thread = time.perf_counter(), threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._task = asyncio.create_task(self._beat())
        gc.callbacks.append(self._collecting)
        threading.Thread(target=self._look, name="loop watch", daemon=True).start()

    def report(self) -> dict[str, Any]:
        """Seconds; the worst blocks by their own work, each with the stacks that were seen most."""
        cuts = statistics.quantiles(self.late, n=100)
        worst = sorted(self.blocks, key=lambda block: -block.worked)[:20]
        return {"p50": round(cuts[49], 4), "p95": round(cuts[94], 4), "most": round(max(self.late), 4),
                "busy": round(max(self.busy), 4), "away": len(self.blocks),
                "garbage": round(max(self.collected), 4), "blocks": [
                    {"wall": round(block.wall, 3), "worked": round(block.worked, 3),
                     "places": [{"seen": times, "stack": stack.splitlines()}
                                for stack, times in block.places.most_common(3)]} for block in worst]}

    async def _beat(self) -> None:
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            self.late.append(time.perf_counter() - before - BEAT)
            self.busy.append(time.thread_time() - worked)
            self._beaten = time.perf_counter()

    def _collecting(self, phase: str, facts: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self.collected.append(time.perf_counter() - self._collecting_since)

    def _look(self) -> None:
        block: Block | None = None
        beaten, worked = self._beaten, time.clock_gettime(self._clock)
        while True:
            time.sleep(LOOK)
            now = time.clock_gettime(self._clock)
            if self._beaten != beaten:
                beaten, worked, block = self._beaten, now, None
                continue
            away = time.perf_counter() - beaten
            if away < BLOCKED:
                continue
            if block is None:
                block = Block(away, now - worked)
                self.blocks.append(block)
            block.wall, block.worked = away, now - worked
            block.places[_stack(sys._current_frames().get(self._thread))] += 1


def _stack(frame: FrameType | None) -> str:
    return "".join(f"{each.filename}:{each.lineno} {each.name}\n"
                   for each in traceback.extract_stack(frame)[-SHOWN:]) if frame else ""
