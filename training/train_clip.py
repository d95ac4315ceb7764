"""Makes the demo CLIP, models/clip/demo: two small towers that tell how well a picture and a caption agree.

    python -m training.train_clip [--scale 1.0] [--threads 1]

The text tower begins as the demo model's text encoder, the picture tower as convolutions with random weights. First the
picture tower learns from `clip_heads` alone what is where, of single things to begin with. Then both learn together
(Radford et al. 2021): a picture must be nearer to its caption than to the others of its batch and to a caption of the
same scene with one colour or shape exchanged. The number of steps is fixed and every step draws its numbers from its
own seed; an interrupted training goes on where it was saved.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize
from transformers import CLIPConfig, CLIPModel, CLIPTextModel

from backend.prompt.tokenizer import Tokenizer

from .captions import caption
from .clip_heads import Heads
from .clip_neighbours import NEIGHBOURS, begin_as_convolutions
from .clip_pictures import Examples, examples
from .data import MODEL, WORK
from .publish_clip import MEAN, STD, publish_clip
from .scenes import COLOURS, SHAPES, Scene
from .text_encoder import LENGTH, token_ids

SIDE, PATCH = 96, 16                        # pixels of what the picture tower sees, and of one of its tokens
HIDDEN, LAYERS = 144, 3
PROJECTED = 128
BATCH, EXCHANGED = 64, 1                    # pictures of a step, and wrong captions for each
ALONE, LOOKING, TOGETHER = 500, 600, 250    # steps with single things, of the first part, of the second
RATES = {"picture": 2e-3, "text": 3e-4}
HEADS_WEIGHT = 0.15                         # of the heads, beside the captions, in the second part
MOST_SCALE = math.log(100)
SAVED_EVERY = 60.0                          # seconds
STATE = WORK / "clip.pt"


def new_clip() -> CLIPModel:
    text = CLIPTextModel.from_pretrained(MODEL / "text_encoder")
    shape = {"hidden_size": HIDDEN, "intermediate_size": 4 * HIDDEN, "num_hidden_layers": LAYERS,
             "num_attention_heads": len(NEIGHBOURS), "hidden_act": "quick_gelu", "projection_dim": PROJECTED}
    config = CLIPConfig(text_config=text.config.to_dict() | {"projection_dim": PROJECTED}, projection_dim=PROJECTED,
                        vision_config={**shape, "image_size": SIDE, "patch_size": PATCH})
    model = CLIPModel(config)
    model.text_model.load_state_dict(text.state_dict())
    begin_as_convolutions(model.vision_model)
    return model.train()


@dataclass
class Lesson:
    """All that a step needs; `learns` are the parameters, by the name of their rate."""

    model: CLIPModel
    heads: Heads
    tokenizer: Tokenizer
    material: Examples

    def learns(self) -> dict[str, list[nn.Parameter]]:
        model = self.model
        picture = [*model.vision_model.parameters(), *model.visual_projection.parameters(), *self.heads.parameters(),
                   *model.text_projection.parameters(), model.logit_scale]
        return {"picture": picture, "text": list(model.text_model.parameters())}


def exchanged(scene: Scene, rng: random.Random) -> Scene:
    """The scene with another colour or another shape of one thing; an empty one gets another background."""
    if not scene.things:
        return Scene(rng.choice([name for name in COLOURS if name != scene.background]))
    things = list(scene.things)
    slot = rng.randrange(len(things))
    thing = things[slot]
    if rng.random() < 0.5:
        other = replace(thing, colour=rng.choice([c for c in COLOURS if c not in (thing.colour, scene.background)]))
    else:
        other = replace(thing, shape=rng.choice([s for s in SHAPES if s != thing.shape]))
    things[slot] = other
    return replace(scene, things=tuple(things))


def trimmed_ids(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Token ids (B, T) as `token_ids` gives them, cut behind the longest text's end: what follows changes nothing."""
    ids = token_ids(tokenizer, texts)
    longest = int((ids == tokenizer.end).int().argmax(1).max()) + 1
    return ids[:, : min(longest, LENGTH)]


def contrast(lesson: Lesson, pictures: Tensor, scenes: list[Scene], rng: random.Random) -> Tensor:
    """The loss of picture features (B, D) against their captions, the batch's others, and exchanged ones."""
    right = [caption(scene, rng) for scene in scenes]
    wrong = [caption(exchanged(scene, rng), rng) for scene in scenes for _ in range(EXCHANGED)]
    model = lesson.model
    texts = model.text_model(trimmed_ids(lesson.tokenizer, right + wrong)).pooler_output
    words = normalize(model.text_projection(texts), dim=-1)
    seen = normalize(pictures, dim=-1)
    scale = model.logit_scale.clamp(max=MOST_SCALE).exp()
    count = len(scenes)
    logits = scale * seen @ words[:count].T                                                         # (B, B)
    own = scale * torch.einsum("bd,bkd->bk", seen, words[count:].view(count, EXCHANGED, -1))        # (B, K)
    truth = torch.arange(count)
    same = torch.tensor([[one == other for other in scenes] for one in scenes]) & ~torch.eye(count, dtype=torch.bool)
    logits = logits.masked_fill(same, -1e4)
    return cross_entropy(torch.cat([logits, own], 1), truth) + cross_entropy(logits.T, truth)


def loss(lesson: Lesson, step: int, looking: int) -> Tensor:
    rng = random.Random(step)
    torch.manual_seed(step)
    chosen = rng.sample(lesson.material.singles if step < ALONE else range(len(lesson.material.scenes)), BATCH)
    pixels, maps = lesson.material.batch(chosen, rng)
    scenes = [lesson.material.scenes[number] for number in chosen]
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    pixels = interpolate(pixels, (SIDE, SIDE), mode="bicubic", antialias=True)
    seen = lesson.model.vision_model((pixels - mean) / std)
    told = lesson.heads.loss(seen.last_hidden_state, seen.pooler_output, maps, scenes)
    if step < looking:
        return told
    return contrast(lesson, lesson.model.visual_projection(seen.pooler_output), scenes, rng) + HEADS_WEIGHT * told


def rate(step: int, looking: int, steps: int) -> float:
    """Part of the full rate, 0..1: a short warm-up of each part, and one cosine over both."""
    since = step if step < looking else step - looking
    return min(1.0, (since + 1) / 60) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(lesson: Lesson, looking: int, steps: int) -> None:
    """AdamW; what is reached is saved in the work folder every minute, and taken up from there."""
    learns = lesson.learns()
    optimizer = torch.optim.AdamW([{"params": learns[name], "full": RATES[name]} for name in RATES],
                                  betas=(0.9, 0.98), weight_decay=0.02)
    losses, saved_at = deque[float](maxlen=50), time.monotonic()
    for step in range(resumed(lesson, optimizer), steps):
        for group in optimizer.param_groups:
            group["lr"] = group["full"] * rate(step, looking, steps)
        value = loss(lesson, step, looking)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_([one for group in learns.values() for one in group], 1.0)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="so many times as many steps")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_folder(MODEL / "tokenizer")
    lesson = Lesson(new_clip(), Heads(HIDDEN, SIDE // PATCH), tokenizer, examples())
    looking, together = round(options.scale * LOOKING), round(options.scale * TOGETHER)
    train(lesson, looking, looking + together)
    publish_clip(lesson.model)


if __name__ == "__main__":
    main()
