"""The demo model's text encoder: a small CLIPTextModel, taught what a caption says before anything is drawn.

Teaching binding (which colour belongs to which shape) through the UNet's gradients is slow. Here linear heads read the
final hidden states: a noun's token must know its own colour, shape and size, and the end token and the padding after
it must know the whole scene. Minutes of this replace hours of the other. The heads are thrown away.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import CLIPTextConfig, CLIPTextModel

from backend.prompt.tokenizer import Tokenizer

from .captions import caption
from .data import Clock
from .scenes import COLOURS, LANDSCAPES, PLACES, SHAPES, SIZES, Scene, random_scenes, resolved_places

LENGTH = 77
HIDDEN = 128
BATCH = 64
CAPTIONS = 60_000
PEAK_RATE = 1.5e-3
BACKGROUNDS = (*COLOURS, *LANDSCAPES)
RESOLVED = ("centre", *PLACES)
THING = {"colour": tuple(COLOURS), "shape": SHAPES, "size": ("", *SIZES), "place": RESOLVED}
NOTHING = -100  # cross entropy's "no answer here"
GLOBAL_POSITIONS = 6  # how many of the end and padding tokens are asked about the whole scene


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """(B, 77) ids with start, end and padding, as the app's chunks have them."""
    rows = [[tokenizer.start, *tokenizer.ids(text)[: LENGTH - 2], tokenizer.end] for text in texts]
    return torch.tensor([row + [tokenizer.pad] * (LENGTH - len(row)) for row in rows])


def trimmed_ids(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """Token ids (B, T) as `token_ids` gives them, cut behind the longest text's end: what follows changes nothing."""
    ids = token_ids(tokenizer, texts)
    longest = int((ids == tokenizer.end).int().argmax(1).max()) + 1
    return ids[:, :longest]


def new_text_encoder(tokenizer: Tokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=tokenizer.bpe.get_vocab_size(),
        hidden_size=HIDDEN,
        intermediate_size=4 * HIDDEN,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
        projection_dim=HIDDEN,
        bos_token_id=tokenizer.start,
        eos_token_id=tokenizer.end,
        pad_token_id=tokenizer.pad,
    )
    return CLIPTextModel(config)


def thing_targets(scene: Scene) -> list[list[int]]:
    """For two slots: colour, shape, size and place as numbers; NOTHING for a thing that is not there."""
    places = resolved_places([thing.place for thing in scene.things])
    slots = []
    for thing, place in zip(scene.things, places, strict=True):
        values = (thing.colour, thing.shape, thing.size, place)
        slots.append([names.index(value) for names, value in zip(THING.values(), values, strict=True)])
    return slots + [[NOTHING] * len(THING)] * (2 - len(slots))


class Heads(nn.Module):
    """Linear readers of hidden states (N, HIDDEN): a noun's own traits, and the whole scene."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [len(names) for names in THING.values()]
        self.noun = nn.ModuleList(nn.Linear(HIDDEN, size) for size in sizes[:3])
        self.scene = nn.ModuleList(nn.Linear(HIDDEN, size) for size in (*sizes, *sizes, len(BACKGROUNDS), 3))

    def loss(self, states: Tensor, ids: Tensor, scenes: list[Scene], nouns: dict[int, int], end: int) -> Tensor:
        things = torch.tensor([thing_targets(scene) for scene in scenes])                          # (B, 2, 4)
        rest = torch.tensor([[BACKGROUNDS.index(scene.background), len(scene.things)] for scene in scenes])
        first_end = (ids == end).int().argmax(1)
        total = states.new_zeros(())
        for _ in range(GLOBAL_POSITIONS):
            share = torch.rand(len(ids)) * (torch.rand(len(ids)) < 0.8)
            position = (first_end + share * (LENGTH - 1 - first_end)).long()
            read = states[torch.arange(len(ids)), position]
            targets = torch.cat([things.flatten(1), rest], 1)
            total = total + scene_loss(self.scene, read, targets) / GLOBAL_POSITIONS
        return total + self.noun_loss(states, ids, things, nouns)

    def noun_loss(self, states: Tensor, ids: Tensor, things: Tensor, nouns: dict[int, int]) -> Tensor:
        rows, columns, targets = [], [], []
        for row, line in enumerate(ids.tolist()):
            for slot, column in enumerate([c for c, token in enumerate(line) if token in nouns][:2]):
                rows.append(row)
                columns.append(column)
                targets.append(things[row, slot, :3])
        return scene_loss(self.noun, states[rows, columns], torch.stack(targets))


def scene_loss(heads: nn.ModuleList, states: Tensor, targets: Tensor) -> Tensor:
    losses = [cross_entropy(head(states), targets[:, i], ignore_index=NOTHING) for i, head in enumerate(heads)]
    return torch.stack(losses).sum()


def train_text_encoder(tokenizer: Tokenizer, folder: Path, minutes: float) -> None:
    """Train for `minutes` and save to `folder`."""
    torch.manual_seed(0)
    rng = random.Random(0)
    model, heads = new_text_encoder(tokenizer), Heads()
    nouns = {tokenizer.ids(shape)[0]: number for number, shape in enumerate(SHAPES)}
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, weight_decay=0.01)
    scenes = random_scenes(3, CAPTIONS, held_out=False)
    clock, step = Clock(minutes), 0
    while clock.part < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min(1.0, (step + 1) / 100) * max(1 - clock.part, 0.01)
        batch = rng.sample(scenes, BATCH)
        ids = token_ids(tokenizer, [caption(scene, rng) for scene in batch])
        loss = heads.loss(model(ids).last_hidden_state, ids, batch, nouns, tokenizer.end)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(f"text encoder: step {step}, loss {loss.item():.4f}, {clock.elapsed:.1f} min", flush=True)
    model.save_pretrained(folder)
