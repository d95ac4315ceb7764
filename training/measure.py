"""Does the demo model draw what it is asked? 200 captions of combinations that training never saw, checked by program.

    python -m training.measure [--captions 200] [--steps 20] [--cfg 5] [--model DIR] [--json F] [--grid PNG]
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image

from .captions import caption
from .checker import Verdict, judge
from .command_line import measuring
from .data import MODEL, PICTURE
from .scenes import Scene, random_scenes

SCENES_SEED, CAPTIONS_SEED = 2026, 7
BATCH = 20
REQUIRED = {"background": 0.97, "single colour": 0.97, "single shape": 0.90, "pair": 0.75}


@dataclass(frozen=True)
class Question:
    """One picture to draw: what it shall show, the words for it and the seed of its noise."""

    scene: Scene
    caption: str
    seed: int


def questions(number: int) -> list[Question]:
    """Singles and pairs in turn, on plain backgrounds, none of them among the training combinations."""
    half = (number + 1) // 2
    singles = random_scenes(SCENES_SEED, half, held_out=True, count=1, plain=1.0)
    pairs = random_scenes(SCENES_SEED + 1, half, held_out=True, count=2, plain=1.0)
    rng = random.Random(CAPTIONS_SEED)
    scenes = [scene for both in zip(singles, pairs, strict=True) for scene in both][:number]
    return [Question(scene, caption(scene, rng), seed) for seed, scene in enumerate(scenes)]


def load(folder: Path) -> StableDiffusionPipeline:
    """The published folder in float32, with DPM++ 2M Karras in place of its scheduler."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, use_karras_sigmas=True, algorithm_type="dpmsolver++"
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample(pipeline: StableDiffusionPipeline, asked: list[Question], steps: int, cfg: float) -> Iterator[Image.Image]:
    """One picture of 128 x 128 pixels per question, each from its own seed."""
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        yield from pipeline(
            [question.caption for question in part],
            width=PICTURE,
            height=PICTURE,
            num_inference_steps=steps,
            guidance_scale=cfg,
            generator=[torch.Generator().manual_seed(question.seed) for question in part],
        ).images


def share(values: list[bool]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


def figures(verdicts: list[Verdict]) -> dict[str, float]:
    """Shares of right answers, 0..1; `pair` asks for both objects in colour and shape."""
    singles = [verdict for verdict in verdicts if len(verdict.colours) == 1]
    pairs = [verdict for verdict in verdicts if len(verdict.colours) == 2]
    return {
        "background": share([verdict.background for verdict in verdicts]),
        "single colour": share([verdict.colours[0] for verdict in singles]),
        "single shape": share([verdict.shapes[0] for verdict in singles]),
        "pair": share([verdict.things_right for verdict in pairs]),
        "pair, each colour": share([right for verdict in pairs for right in verdict.colours]),
        "pair, each shape": share([right for verdict in pairs for right in verdict.shapes]),
        "places": share([right for verdict in verdicts for right in verdict.places]),
        "no further objects": share([verdict.extra_objects == 0 for verdict in verdicts]),
    }


def grid(pictures: list[Image.Image], columns: int = 10) -> Image.Image:
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * PICTURE, rows * PICTURE))
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * PICTURE, number // columns * PICTURE))
    return sheet


def main() -> None:
    options = measuring(__doc__, "all", model=MODEL, captions=200, steps=20, cfg=5.0).parse_args()
    asked = questions(options.captions)
    started = time.monotonic()
    pictures = list(sample(load(options.model), asked, options.steps, options.cfg))
    seconds = time.monotonic() - started
    verdicts = [judge(picture, question.scene) for picture, question in zip(pictures, asked, strict=True)]
    result = figures(verdicts)
    for name, value in result.items():
        bar = f"  (required {100 * REQUIRED[name]:.0f} %)" if name in REQUIRED else ""
        print(f"{name:20s} {100 * value:5.1f} %{bar}")
    print(f"{len(pictures)} pictures in {seconds:.0f} s")
    if options.json:
        wrong = [q.caption for q, v in zip(asked, verdicts, strict=True) if not (v.background and v.things_right)]
        setting = {"captions": len(asked), "steps": options.steps, "cfg": options.cfg, "sampler": "DPM++ 2M Karras"}
        options.json.write_text(json.dumps({**setting, "figures": result, "wrong": wrong}, indent=2) + "\n")
    if options.grid:
        grid(pictures).save(options.grid)


if __name__ == "__main__":
    main()
