"""Many cards on one queue: the real order of jobs and the real affinity, over cards that only pretend to draw.

What is simulated is time on the cards (drawing, reading a checkpoint); what is measured is what the front's one thread
spends on choosing. People arrive at random and draw with checkpoints of which few are loved and many are not.
"""

from __future__ import annotations

import heapq
import random
import statistics
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from backend.store.checkpoint_affinity import CheckpointAffinity
from backend.store.fair_queue import FairQueue, WaitingJob
from backend.store.job_choice import Order, as_it_is, chosen

CARDS = (1, 4, 16, 64, 256)
DRAW_SECONDS, LOAD_SECONDS = 4.0, 12.0      # a picture of SD1.5 and a checkpoint from a network drive
CHECKPOINTS, PEOPLE_PER_CARD = 40, 4
LOAD = 0.4                                  # of what the cards could draw if nothing had to be read
JOBS_PER_CARD, MOST_JOBS = 200, 6_000
SEED = 11


@dataclass(slots=True)
class Cards:
    """The pretended cards: what each holds, and which are free."""

    loaded: list[str]
    free: set[int]
    reads: int = 0
    waits: list[float] = field(default_factory=list)
    choosing: float = 0.0       # seconds of this machine


def measure(device: str) -> dict[str, Any]:
    """By number of cards, with the affinity and without."""
    return {str(cards): {"affinity": _simulated(cards, affinity=True), "in order": _simulated(cards, affinity=False)}
            for cards in CARDS}


def _simulated(number: int, *, affinity: bool) -> dict[str, float]:
    dice, queue, rule = random.Random(SEED), FairQueue(), CheckpointAffinity()
    cards = Cards([""] * number, set(range(number)))
    arrivals = _arrivals(dice, number)
    events = [(moment, "job", index) for index, (moment, _) in enumerate(arrivals)]
    heapq.heapify(events)
    end = 0.0
    while events:
        now, what, which = heapq.heappop(events)
        end = max(end, now)
        if what == "job":
            queue.wait(arrivals[which][1])
        else:
            cards.free.add(which)
        for card in sorted(cards.free):
            order = partial(rule.order, worker=str(card), loaded=cards.loaded[card]) if affinity else as_it_is
            seconds = _begin(queue, rule, cards, card, order, now, arrivals)
            if seconds is None:
                break
            heapq.heappush(events, (now + seconds, "card", card))
    jobs = len(arrivals)
    return {"jobs per second": round(jobs / end, 2), "median wait": round(statistics.median(cards.waits), 2),
            "p95 wait": round(statistics.quantiles(cards.waits, n=20)[-1], 2),
            "reads per job": round(cards.reads / jobs, 3),
            "ms of choosing per job": round(cards.choosing / jobs * 1000, 3)}


def _begin(queue: FairQueue, rule: CheckpointAffinity, cards: Cards, card: int, order: Order, now: float,
           arrivals: list[tuple[float, WaitingJob]]) -> float | None:
    """Give a free card its next job; the seconds that it takes, None where nothing waits."""
    started = time.perf_counter()
    found = chosen(queue, 1, (), 1, order)
    cards.choosing += time.perf_counter() - started
    if not found:
        return None
    moment, job = arrivals[int(found[0])]
    queue.drop(job.id)
    queue.turn(job.owner)
    rule.taken(found)
    reads = job.checkpoint != cards.loaded[card]
    cards.reads += reads
    cards.loaded[card] = job.checkpoint
    cards.free.discard(card)
    cards.waits.append(now - moment)
    return DRAW_SECONDS + LOAD_SECONDS * reads


def _arrivals(dice: random.Random, cards: int) -> list[tuple[float, WaitingJob]]:
    """Jobs with the moments at which they come, each person with a favourite checkpoint and sometimes another."""
    popularity = [1 / rank for rank in range(1, CHECKPOINTS + 1)]
    names = [f"checkpoint {number}" for number in range(CHECKPOINTS)]
    favourite = dice.choices(names, popularity, k=cards * PEOPLE_PER_CARD)
    moment, found = 0.0, []
    for index in range(min(cards * JOBS_PER_CARD, MOST_JOBS)):
        moment += dice.expovariate(LOAD * cards / DRAW_SECONDS)
        person = dice.randrange(len(favourite))
        checkpoint = favourite[person] if dice.random() < 0.8 else dice.choices(names, popularity)[0]
        found.append((moment, WaitingJob(str(index), f"person {person}", index, checkpoint=checkpoint)))
    return found
