"""What presets that change the picture cost and save: pictures of the demo with and without them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from backend.catalog.model_file import ModelFile
from backend.request.request import Request
from backend.worker.house import WorkerHouse
from backend.worker.models.memory import Memory
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
def measure(device: str, rounds: int = 3, prompts: Sequence[str] = PROMPTS) -> dict[str, Any]:
    """For each preset: PSNR in dB and SSIM to the exact picture, mean and worst of 12, and how many times as fast."""
    memory, checkpoint = models.demo(device)
    asked = {EXACT: {}, **{name: {field: choice} for name, field, choice in presets()}}
    faster = times_as_fast(memory, checkpoint, asked, rounds)
    pictures = {name: [np.frombuffer(picture.pixels, np.uint8).reshape(SIDE, SIDE, 3)
                       for prompt in prompts for seed in SEEDS
                       for picture in draw(memory, checkpoint, _request(checkpoint, prompt, seed, settings))]
                for name, settings in asked.items()}
    found = {name: _compared(pictures[name], pictures[EXACT]) | {"times as fast": faster[name]} for name in faster}
    return {"demo": {"pictures": len(pictures[EXACT]), "steps": STEPS, **found}}


@torch.inference_mode()
def times_as_fast(
    memory: Memory, checkpoint: ModelFile, asked: Mapping[str, Mapping[str, Any]], rounds: int
) -> dict[str, float]:
    """Each preset's, for the first picture of the set; on a CPU by the processor's time."""
    def drawing(settings: Mapping[str, Any]) -> Callable[[], object]:
        return partial(draw, memory, checkpoint, _request(checkpoint, PROMPTS[0], SEEDS[0], settings))

    clock = time.process_time if memory.placement.device.type == "cpu" else time.perf_counter
    seconds = in_turns({name: drawing(settings) for name, settings in asked.items()}, rounds, clock=clock)
    return {name: ratio(seconds, EXACT, name) for name in asked if name != EXACT}


def _request(checkpoint: ModelFile, prompt: str, seed: int, settings: Mapping[str, Any]) -> Request:
    return Request.parse({"prompt": prompt, "seed": seed, "steps": STEPS, "width": SIDE, "height": SIDE,
                          "checkpoint": checkpoint.key, **settings})


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
