"""What the presets of the step cache cost and save: pictures of the demo with and without it."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch

from backend.request.request import Request
from backend.worker.house import WorkerHouse
from benchmarks import models
from benchmarks.engine import draw
from benchmarks.timing import in_turns, ratio

EXTENSION = "extensions.step_cache"
OFF = "Off"
PROMPTS = ("a red circle, blue background", "a green star, white background", "a yellow square and a blue circle",
           "a purple triangle, grey background", "a white heart, red background", "a blue star, yellow background")
SEEDS = range(2)
STEPS = 20


@torch.inference_mode()
def measure(device: str) -> dict[str, Any]:
    """PSNR in dB to the exact picture, mean and worst of 12, and how many times as fast, by preset."""
    house = WorkerHouse()
    troubles = house.open((EXTENSION,))
    if troubles:
        raise RuntimeError(troubles[EXTENSION])
    presets = [preset for preset in house.fields["step_cache"].choices if preset != OFF]
    memory, checkpoint = models.demo(device)

    def drawn(preset: str) -> list[np.ndarray]:
        jobs = [Request.parse({"prompt": prompt, "seed": seed, "steps": STEPS, "width": 128, "height": 128,
                               "checkpoint": checkpoint.key, "step_cache": preset})
                for prompt in PROMPTS for seed in SEEDS]
        return [np.frombuffer(picture.pixels, np.uint8) for picture in draw(memory, checkpoint, *jobs)]

    pictures: dict[str, list[np.ndarray]] = {}
    found: dict[str, Any] = {}
    seconds = in_turns({preset: lambda p=preset: pictures.update({p: drawn(p)}) for preset in (OFF, *presets)},
                       rounds=2)
    for preset in presets:
        decibels = [psnr(*pair) for pair in zip(pictures[OFF], pictures[preset], strict=True)]
        found[preset] = {"PSNR mean": round(statistics.mean(decibels), 1), "PSNR worst": round(min(decibels), 1),
                         "times as fast": ratio(seconds, OFF, preset)}
    return {"demo": {"pictures": len(pictures[OFF]), "steps": STEPS, **found}}


def psnr(exact: np.ndarray, other: np.ndarray) -> float:
    """In dB, of 8-bit pictures; 99 where they are equal."""
    error = np.square(exact.astype(float) - other).mean()
    return float(10 * np.log10(255**2 / error)) if error else 99.0
