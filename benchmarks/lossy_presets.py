"""What presets that change the picture cost and save: pictures of the demo with and without them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from backend.request.request import Request
from backend.worker.house import WorkerHouse
from backend.worker.scores.similarity import psnr, ssim
from benchmarks import models
from benchmarks.engine import draw
from benchmarks.timing import in_turns, ratio

EXACT = "exact"
EXTENSIONS = ("step_cache", "fp8_layers")           # each has one field, of its own name
PROMPTS = ("a red circle, blue background", "a green star, white background", "a yellow square and a blue circle",
           "a purple triangle, grey background", "a white heart, red background", "a blue star, yellow background")
SEEDS = range(2)
STEPS, SIDE = 20, 128


@torch.inference_mode()
def measure(device: str, rounds: int = 2, prompts: Sequence[str] = PROMPTS) -> dict[str, Any]:
    """For each preset: PSNR in dB and SSIM to the exact picture, mean and worst of 12, and how many times as fast.

    Every round draws all of them anew.
    """
    memory, checkpoint = models.demo(device)
    asked = {EXACT: {}, **{name: {field: choice} for name, field, choice in presets()}}
    pictures: dict[str, list[np.ndarray]] = {}

    def drawing(name: str) -> Callable[[], None]:
        jobs = [Request.parse({"prompt": prompt, "seed": seed, "steps": STEPS, "width": SIDE, "height": SIDE,
                               "checkpoint": checkpoint.key, **asked[name]}) for prompt in prompts for seed in SEEDS]

        def draw_all() -> None:
            pictures[name] = [np.frombuffer(picture.pixels, np.uint8).reshape(SIDE, SIDE, 3)
                              for picture in draw(memory, checkpoint, *jobs)]

        return draw_all

    seconds = in_turns({name: drawing(name) for name in asked}, rounds, warmups=1)
    found = {name: _compared(pictures[name], pictures[EXACT]) | {"times as fast": ratio(seconds, EXACT, name)}
             for name in asked if name != EXACT}
    return {"demo": {"pictures": len(pictures[EXACT]), "steps": STEPS, **found}}


def presets() -> Iterator[tuple[str, str, str]]:
    """The name of each, its field and its choice there. The extensions become part of this process, once."""
    house = WorkerHouse()
    troubles = house.open([f"extensions.{name}" for name in EXTENSIONS])
    if troubles:
        raise RuntimeError(str(troubles))
    for extension in EXTENSIONS:
        field = house.fields[extension]
        for choice in field.choices:
            if choice != field.default:
                yield f"{field.label}, {choice.lower()}", field.name, choice


def _compared(pictures: list[np.ndarray], exact: list[np.ndarray]) -> dict[str, float]:
    decibels, likeness = ([score(one.copy(), other.copy()) for one, other in zip(pictures, exact, strict=True)]
                          for score in (psnr, ssim))
    return {"PSNR mean": round(statistics.mean(decibels), 1), "PSNR worst": round(min(decibels), 1),
            "SSIM mean": round(statistics.mean(likeness), 3), "SSIM worst": round(min(likeness), 3)}
