"""Several jobs at once: packed into shared network calls against one after another."""

from __future__ import annotations

from typing import Any

import torch

from backend.request.request import Request
from benchmarks import models
from benchmarks.engine import _request, draw, on_cpu
from benchmarks.timing import in_turns, medians, ratio

JOBS = 8


@torch.inference_mode()
def measure(device: str) -> dict[str, Any]:
    """8 demo jobs; on a card also 1 to 16 jobs at 512x512 on full-size networks."""
    results = {"demo": _demo(device)}
    if not on_cpu(device):
        results["sd1"] = _full_size(device)
    return results


def _demo(device: str) -> dict[str, Any]:
    memory, checkpoint = models.demo(device)
    seconds = in_turns({policy: lambda p=policy: draw(memory, checkpoint, *_jobs(JOBS, 128, 20), policy=p)
                        for policy in ("solo", "packed")}, rounds=5)
    found = medians(seconds)
    return {
        "jobs": JOBS, "dtype": memory.placement.dtype, "seconds": found,
        "images per second": {policy: round(JOBS / value, 3) for policy, value in found.items()},
        "packed / solo": ratio(seconds, "solo", "packed"),
    }


def _full_size(device: str) -> dict[str, Any]:
    memory, checkpoint = models.full_size(device)
    rates = {}
    for count in (1, 2, 4, 8, 16):
        jobs = _jobs(count, 512, 20)
        seconds = medians(in_turns({"packed": lambda j=jobs: draw(memory, checkpoint, *j, policy="packed")}, rounds=3))
        rates[str(count)] = {"images per second": round(count / seconds["packed"], 3),
                             "steps per second": round(20 / seconds["packed"], 2)}
    return rates


def _jobs(count: int, side: int, steps: int) -> list[Request]:
    base = _request(side, steps)
    return [Request(**base | {"seed": seed, "prompt": f"{base['prompt']}, {seed}"}) for seed in range(count)]
