"""Makes the demo CLIP, models/clip/demo: two small towers that tell how well a picture and a caption agree.

    python -m training.train_clip [--scale 1.0] [--threads 1]

The text tower begins as the demo model's text encoder, the picture tower as convolutions with random weights. First the
picture tower learns from `clip_heads` alone what is where, of single things to begin with. Then its last layer and both
projections learn together (Radford et al. 2021): a picture must be nearer to its caption than to the others of its
batch and to a caption of the same scene with one colour or shape exchanged. The number of steps is fixed and every step
draws its numbers from its own seed; an interrupted training goes on where it was saved.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTextModel

from backend.prompt.tokenizer import Tokenizer

from .clip_heads import Heads
from .clip_last_layer import finish, kept
from .clip_neighbours import NEIGHBOURS, begin_as_convolutions
from .clip_pictures import SIDE, Examples, examples
from .command_line import parser, started
from .data import MODEL, WORK
from .publish_clip import normalized, publish_clip

PATCH = 16                                  # pixels of one of the picture tower's tokens
HIDDEN, LAYERS = 144, 3
PROJECTED = 128
BATCH = 64
ALONE, STEPS, LAST_STEPS = 500, 1500, 1500  # with single things, of the first part, of the second
RATE = 2e-3
SAVED_EVERY = 60.0                          # seconds
STATE = WORK / "clip.pt"


def new_clip() -> CLIPModel:
    text = CLIPTextModel.from_pretrained(MODEL / "text_encoder")
    shape = {"hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, "num_hidden_layers": LAYERS,
             "num_attention_heads": len(NEIGHBOURS), "hidden_act": "quick_gelu", "projection_dim": PROJECTED}
    words = text.config.to_dict() | {"projection_dim": PROJECTED, "_name_or_path": ""}
    config = CLIPConfig(text_config=words, projection_dim=PROJECTED,
                        vision_config={**shape, "image_size": SIDE, "patch_size": PATCH})
    model = CLIPModel(config)
    model.text_model.load_state_dict(text.state_dict())
    begin_as_convolutions(model.vision_model)
    return model.train()


@dataclass
class Lesson:
    """All that a step needs."""

    model: CLIPModel
    heads: Heads
    material: Examples


def loss(lesson: Lesson, step: int) -> Tensor:
    rng = random.Random(step)
    torch.manual_seed(step)
    alone = step < ALONE or step % 2
    chosen = rng.sample(lesson.material.singles if alone else range(len(lesson.material.scenes)), BATCH)
    pixels, maps = lesson.material.batch(chosen, rng)
    seen = lesson.model.vision_model(normalized(pixels))
    scenes = [lesson.material.scenes[number] for number in chosen]
    return lesson.heads.loss(seen.last_hidden_state, seen.pooler_output, maps, scenes)


def rate(step: int, steps: int) -> float:
    """Part of the full rate, 0..1: a short warm-up, then a cosine."""
    return min(1.0, (step + 1) / 60) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(lesson: Lesson, steps: int) -> None:
    """AdamW; what is reached is saved in the work folder every minute, and taken up from there."""
    learns = [*lesson.model.vision_model.parameters(), *lesson.heads.parameters()]
    optimizer = torch.optim.AdamW(learns, RATE, betas=(0.9, 0.98), weight_decay=0.02)
    losses, saved_at = deque[float](maxlen=50), time.monotonic()
    for step in range(resumed(lesson, optimizer), steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * rate(step, steps)
        value = loss(lesson, step)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(learns, 1.0)
        optimizer.step()
        losses.append(value.item())
        if time.monotonic() - saved_at > SAVED_EVERY or step + 1 == steps:
            print(f"clip: step {step + 1} of {steps}, loss {np.mean(losses):.4f}", flush=True)
            save(lesson, optimizer, step + 1)
            saved_at = time.monotonic()


def save(lesson: Lesson, optimizer: torch.optim.Optimizer, step: int) -> None:
    part = STATE.with_suffix(".part")
    torch.save({"model": lesson.model.state_dict(), "heads": lesson.heads.state_dict(),
                "optimizer": optimizer.state_dict(), "step": step}, part)
    part.rename(STATE)


def resumed(lesson: Lesson, optimizer: torch.optim.Optimizer) -> int:
    """The steps that lie behind, after everything was brought to where it was."""
    if not STATE.exists():
        return 0
    saved = torch.load(STATE, weights_only=True)
    lesson.model.load_state_dict(saved["model"])
    lesson.heads.load_state_dict(saved["heads"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved["step"]


def main() -> None:
    options = started(parser(__doc__, scale=1.0))       # so many times as many steps
    tokenizer = Tokenizer.from_folder(MODEL / "tokenizer")
    lesson = Lesson(new_clip(), Heads(HIDDEN, SIDE // PATCH), examples())
    train(lesson, round(options.scale * STEPS))
    states = kept(lesson.model, lesson.material, tokenizer)
    finish(lesson.model, lesson.heads, states, round(options.scale * LAST_STEPS))
    publish_clip(lesson.model)


if __name__ == "__main__":
    main()
