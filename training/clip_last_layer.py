"""The second part of the demo CLIP's training: only the picture tower's last layer and the projections learn.

What goes into that layer is computed once for each picture, and so is what the text tower says of its caption and of an
exchanged one. A step then costs a fifth.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel

from backend.prompt.tokenizer import Tokenizer

from .captions import caption
from .clip_heads import Heads
from .clip_pictures import Examples
from .clip_scenes import exchanged
from .publish_clip import normalized
from .scenes import Scene
from .train_text_encoder import trimmed_ids

KEPT, TOGETHER = 10_000, 100    # pictures, and how many at a time go through the towers
BATCH = 128
RATE = 2e-3
MOST_SCALE = math.log(100)
HEADS_WEIGHT = 0.3              # of the heads, beside the captions
SEED = 43


@dataclass
class Kept:
    """For each picture its tokens before the last layer (N, T, H), its maps, and pooled texts (N, D)."""

    scenes: list[Scene]
    tokens: Tensor
    maps: Tensor
    right: Tensor
    wrong: Tensor


Item = TypeVar("Item")


def parts(items: Sequence[Item]) -> list[list[Item]]:
    """Up to `TOGETHER` at a time."""
    return [list(items[start : start + TOGETHER]) for start in range(0, len(items), TOGETHER)]


@torch.no_grad()
def kept(model: CLIPModel, material: Examples, tokenizer: Tokenizer) -> Kept:
    rng = random.Random(SEED)
    chosen = rng.sample(range(len(material.scenes)), min(KEPT, len(material.scenes)))
    scenes = [material.scenes[number] for number in chosen]
    tokens, maps = [], []
    for some in parts(chosen):
        pixels, where = material.batch(some, rng)
        tokens.append(model.vision_model(normalized(pixels), output_hidden_states=True).hidden_states[-2])
        maps.append(where)
    texts = [[caption(scene, rng) for scene in scenes], [caption(exchanged(scene, rng), rng) for scene in scenes]]
    said = [torch.cat([model.text_model(trimmed_ids(tokenizer, some)).pooler_output for some in parts(side)])
            for side in texts]
    return Kept(scenes, torch.cat(tokens), torch.cat(maps), *said)


def finish(model: CLIPModel, heads: Heads, material: Kept, steps: int) -> None:
    """AdamW over the last layer, with a linear fall of the rate."""
    layer, norm = model.vision_model.encoder.layers[-1], model.vision_model.post_layernorm
    learns = nn.ModuleList([layer, norm, model.visual_projection, model.text_projection, heads])
    optimizer = torch.optim.AdamW([*learns.parameters(), model.logit_scale], RATE, betas=(0.9, 0.98), weight_decay=0.02)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 60) * max(1 - step / steps, 0.02)
        rng = random.Random(step)
        chosen = rng.sample(range(len(material.scenes)), BATCH)
        tokens = layer(material.tokens[chosen], None)
        pooled = norm(tokens[:, 0])
        scenes = [material.scenes[number] for number in chosen]
        told = heads.loss(tokens, pooled, material.maps[chosen], scenes)
        agreed = contrast(model, pooled, material.right[chosen], material.wrong[chosen])
        loss = agreed + HEADS_WEIGHT * told
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learns.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"clip: last layer, step {step + 1} of {steps}, loss {agreed:.3f}, heads {told:.3f}", flush=True)


def contrast(model: CLIPModel, pooled: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    """How badly pictures (B, H) are told from their captions, the batch's others, and exchanged ones (all (B, D))."""
    seen = normalize(model.visual_projection(pooled), dim=-1)
    words, others = (normalize(model.text_projection(texts), dim=-1) for texts in (right, wrong))
    scale = model.logit_scale.clamp(max=MOST_SCALE).exp()
    logits, own = scale * seen @ words.T, scale * (seen * others).sum(-1, keepdim=True)
    truth = torch.arange(len(seen))
    pairwise = cross_entropy(torch.stack([logits.diagonal(), own[:, 0]], 1), torch.zeros_like(truth))
    return cross_entropy(torch.cat([logits, own], 1), truth) + cross_entropy(logits.T, truth) + pairwise
