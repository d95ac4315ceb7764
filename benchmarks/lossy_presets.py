"""What presets that change the picture cost and save: pictures of the demo with and without them."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

import numpy as np
import torch

from backend.request.request import Request
from backend.worker.house import WorkerHouse
from backend.worker.scores.similarity import psnr, ssim
from benchmarks import models
from benchmarks.engine import draw
from benchmarks.timing import in_turns, ratio

OFF = "Off"
PROMPTS = ("a red circle, blue background", "a green star, white background", "a yellow square and a blue circle",
           "a purple triangle, grey background", "a white heart, red background", "a blue star, yellow background")
SEEDS = range(2)
STEPS, SIDE = 20, 128


@torch.inference_mode()
def measure(field: str, device: str) -> dict[str, Any]:
    """For each preset of an extension's field: PSNR in dB and SSIM to the exact picture, mean and worst of 12, and how
    many times as fast. The extension has the field's name."""
    house = WorkerHouse()
    package = f"extensions.{field}"
    troubles = house.open((package,))
    if troubles:
        raise RuntimeError(troubles[package])
    presets = [preset for preset in house.fields[field].choices if preset != OFF]
    memory, checkpoint = models.demo(device)

    def drawn(preset: str) -> list[np.ndarray]:
        jobs = [Request.parse({"prompt": prompt, "seed": seed, "steps": STEPS, "width": SIDE, "height": SIDE,
                               "checkpoint": checkpoint.key, field: preset})
                for prompt in PROMPTS for seed in SEEDS]
        return [np.frombuffer(picture.pixels, np.uint8).reshape(SIDE, SIDE, 3)
                for picture in draw(memory, checkpoint, *jobs)]

    pictures: dict[str, list[np.ndarray]] = {}
    seconds = in_turns({preset: lambda p=preset: pictures.update({p: drawn(p)}) for preset in (OFF, *presets)},
                       rounds=2)
    found = {preset: _compared(pictures[preset], pictures[OFF]) | {"times as fast": ratio(seconds, OFF, preset)}
             for preset in presets}
    return {"demo": {"pictures": len(pictures[OFF]), "steps": STEPS, **found}}


step_cache, fp8_layers = (partial(measure, field) for field in ("step_cache", "fp8_layers"))


def _compared(pictures: list[np.ndarray], exact: list[np.ndarray]) -> dict[str, float]:
    decibels, likeness = ([score(one.copy(), other.copy()) for one, other in zip(pictures, exact, strict=True)]
                          for score in (psnr, ssim))
    return {"PSNR mean": round(statistics.mean(decibels), 1), "PSNR worst": round(min(decibels), 1),
            "SSIM mean": round(statistics.mean(likeness), 4), "SSIM worst": round(min(likeness), 4)}
