"""Plots: all cells of one beside the same requests one by one, each as a plot of the page would queue it.

The cells of the first differ in guidance and in a LoRA's strength, those of the second in the second pass of hires fix.
The third goes over three checkpoints, of which memory holds one: what counts is how often a checkpoint is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, LORA, FileKey, ModelFile
from backend.messages import Done, Event, Failed, Picture, Run
from backend.request.request import Request
from backend.settings import HOME, Policy
from backend.worker.device import Placement, place
from backend.worker.engine.engine import Engine
from backend.worker.models.loader import load
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from benchmarks import models
from benchmarks.engine import NEGATIVE, PROMPT
from benchmarks.timing import in_turns, medians, ratio

IN_HAND = {"solo": 16, "packed": 8}     # cells of one plot that the front gives a worker
LORA_NAME = "demo-halfshade"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is drawn: pixels of a side, steps, and how often everything is drawn and timed.

    Of the values of each axis only every n-th counts.
    """

    side: int = 128
    steps: int = 20
    rounds: int = 2
    every: int = 1


TINY = Size(64, 2, 1, every=3)
FIRST = 2       # cells of each that are drawn before anything is timed: kernels are prepared, files read
COUNTED = 2     # steps where only loads are counted
NORMAL = Size()


def measure(device: str, size: Size = NORMAL) -> dict[str, Any]:
    memory, checkpoint = models.demo(device)
    catalog = ModelCatalog((HOME / "models",))
    files = {(CHECKPOINT, ""): checkpoint, (LORA, LORA_NAME): catalog.find(LORA, LORA_NAME)}
    return {
        "dtype": memory.placement.dtype,
        "guidance by LoRA": compared(memory, files, guidance_by_lora(size), size),
        "hires denoising": compared(memory, files, hires_denoising(size), size),
        "three checkpoints": loads(device, checkpoint, size),
    }


def guidance_by_lora(size: Size) -> list[Request]:
    """5 x 4 cells."""
    strengths, scales = (0.25, 0.5, 0.75, 1.0), (2.0, 3.0, 5.0, 7.0, 9.0)
    return [base(size, f"{PROMPT} <lora:{LORA_NAME}:{strength}>", cfg_scale=scale)
            for strength, scale in product(strengths[:: size.every], scales[:: size.every])]


def hires_denoising(size: Size) -> list[Request]:
    """4 x 4 cells: the second pass's strength by its guidance, at one and a half times the size."""
    strengths, scales = (0.3, 0.45, 0.6, 0.75), (3.0, 5.0, 7.0, 9.0)
    return [base(size, PROMPT, enable_hr=True, hr_scale=1.5, denoising_strength=strength, hr_cfg=scale,
                 hr_second_pass_steps=size.steps // 2)
            for strength, scale in product(strengths[:: size.every], scales[:: size.every])]


def base(size: Size, prompt: str, **more: Any) -> Request:
    return Request(prompt=prompt, negative_prompt=NEGATIVE, width=size.side, height=size.side, steps=size.steps, seed=1,
                   variation_seed=1, sampler="DPM++ 2M", schedule="Karras", **more)


@torch.inference_mode()
def compared(memory: Memory, files: dict[FileKey, ModelFile], cells: Sequence[Request], size: Size) -> dict[str, Any]:
    """Seconds of the plot under both policies and of the single requests, and by how much the pictures differ."""
    pictures: dict[str, list[Picture]] = {}

    def draw(name: str, number: int | None = None) -> None:
        policy, plot = ways[name]
        pictures[name] = drawn(memory, files, cells[:number], policy, plot)

    ways: dict[str, tuple[Policy, str]] = {
        "one by one": ("solo", ""), "plot": ("solo", "plot"), "plot, packed": ("packed", "plot")}
    for name in ways:
        draw(name, FIRST)
    seconds = in_turns({name: partial(draw, name) for name in ways}, size.rounds, warmups=0)
    return {
        "cells": len(cells), "seconds": medians(seconds),
        "one by one / plot": ratio(seconds, "one by one", "plot"),
        "one by one / plot, packed": ratio(seconds, "one by one", "plot, packed"),
        "mean difference of a pixel in 255": difference(pictures["one by one"], pictures["plot"]),
    }


def drawn(memory: Memory, files: dict[FileKey, ModelFile], cells: Sequence[Request], policy: Policy,
          plot: str) -> list[Picture]:
    """The picture of each cell, from one engine that begins with nothing encoded."""
    events: list[Event] = []
    engine = Engine(memory, policy, events.append)
    waiting = deque(Run(str(number), "local", request, (0,), files, plot=plot) for number, request in enumerate(cells))
    in_hand = IN_HAND[policy] if plot else 1
    while waiting or engine.tasks:
        while waiting and len(engine.tasks) < in_hand:
            engine.add(waiting.popleft())
        engine.step()
    failed = [event for event in events if isinstance(event, Failed)]
    if failed:
        raise RuntimeError(failed[0].detail)
    found = {event.job: event for event in events if isinstance(event, Picture)}
    assert sum(isinstance(event, Done) for event in events) == len(cells)
    return [found[str(number)] for number in range(len(cells))]


def difference(one: Sequence[Picture], other: Sequence[Picture]) -> float:
    """Of the same picture drawn twice: the largest mean over its pixels' channels."""
    means = []
    for pair in zip(one, other, strict=True):
        first, second = (np.frombuffer(picture.pixels, np.uint8).astype(int) for picture in pair)
        means.append(float(np.abs(first - second).mean()))
    return round(max(means), 3)


@torch.inference_mode()
def loads(device: str, checkpoint: ModelFile, size: Size) -> dict[str, Any]:
    """How often a checkpoint is read for 20 cells over three of them, in a memory that holds one."""
    read: list[str] = []

    def loading(file: ModelFile, placement: Placement) -> Model:
        read.append(file.key)
        return load(file, placement)

    largest = Memory(place(device)).get(checkpoint).bytes
    memory = Memory(place(device), budget_bytes=int(1.5 * largest), load=loading)
    three = [replace(checkpoint, key=f"{checkpoint.key} {number}") for number in range(3)]
    files = {(CHECKPOINT, file.key): file for file in three}
    scales = range(2, 2 + 20 // size.every)
    cells = [base(replace(size, steps=COUNTED), PROMPT, cfg_scale=float(scale), checkpoint=three[scale % 3].key)
             for scale in scales]
    drawn(memory, files, sorted(cells, key=lambda request: request.checkpoint), "solo", "plot")
    return {"cells": len(cells), "loads": len(read)}
