"""Makes the demo's face networks, models/insightface/models/demo-faces, from faces that the project draws.

    python -m training.train_faces [--finder 1200] [--knower 400] [--threads 1]

One finds drawn faces and their points among things that are none, large and small. The other knows people again: two
pictures of one person must be nearer to each other than to those of anybody else in the batch (Khosla et al. 2020),
among whom are some that differ in one colour or in the cut alone.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    affine_grid,
    avg_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
    grid_sample,
    interpolate,
    normalize,
    smooth_l1_loss,
)

from .command_line import parser, started
from .data import PROJECT
from .drawing import draw
from .face_networks import LEVEL, PACK, SHRUNK, Finder, Knower, publish
from .face_pictures import DECODED_EVERY, EACH, Faces, faces, told, upright
from .faces import CUTS, EYES, HAIRS, SKINS
from .scenes import random_scenes
from .train_networks import drawn

FOLDER = PROJECT / "models" / "insightface" / "models" / PACK
FINDER_STEPS, KNOWER_STEPS = 1200, 400
RATE = 3e-3
SEEN = 80                       # pixels of a picture's side at the finder's coarsest level
CELLS = SEEN // LEVEL
FINDER_BATCH, PEOPLE_BATCH = 32, 48
EMPTY = 600                     # pictures without a face
SIZES, CLOSE = (0.5, 1.15), (1.8, 4.0)      # of faces beside those that were drawn, and of those that are too near
CLOSE_SHARE, EMPTY_SHARE, CROWD_SHARE = 0.3, 0.3, 0.25
CROWDS, CROWD = 500, 4          # pictures of several people, and of how many
ABSENT = -99.0                  # where the points of nobody are
FOUND = (8.0, 20.0)             # cells: heights of boxes that count
NEAR = 0.22                     # of a box's height: cells so near to its middle say that a face is there
WARMTH = 0.1
NOISE = 0.03


def train(network: nn.Module, loss: Callable[[int], Tensor], steps: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    losses = deque[float](maxlen=50)
    for step in range(steps):
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 30) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        value = loss(step)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
        if (step + 1) % 50 == 0:
            print(f"{type(network).__name__}: step {step + 1} of {steps}, loss {np.mean(losses):.4f}", flush=True)


def shrunk(pixels: np.ndarray, side: int) -> Tensor:
    """(N, 3, side, side) in -1..1 of uint8 [N, H, W, 3]."""
    whole = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    parts = [interpolate(part.float(), (side, side), mode="bilinear", antialias=True) for part in whole.split(200)]
    return torch.cat(parts) / 127.5 - 1


class FinderLesson:
    """Pictures with a face, with several and without, nearer or farther than they were drawn."""

    def __init__(self, material: Faces, finder: Finder) -> None:
        pixels = np.concatenate([material.pixels, material.decoded])
        owners = [*material.portraits, *material.portraits[::DECODED_EVERY]]
        self.finder, self.pixels = finder, shrunk(pixels, SEEN)
        alone = torch.from_numpy(np.stack([told(one) for one in owners]))                       # (N, 7, 2)
        self.crowds, self.crowds_told = crowds(self.pixels, alone)
        self.told = torch.full((len(alone), CROWD, 7, 2), ABSENT)
        self.told[:, 0] = alone
        self.empty = shrunk(np.stack(list(drawn(random_scenes(72, EMPTY, held_out=False), draw))), SEEN)

    def __call__(self, step: int) -> Tensor:
        rng = random.Random(step)
        bare, many = round(FINDER_BATCH * EMPTY_SHARE), round(FINDER_BATCH * CROWD_SHARE)
        chosen = rng.sample(range(len(self.pixels)), FINDER_BATCH - bare - many)
        crowd = rng.sample(range(CROWDS), many)
        pixels = torch.cat([self.pixels[chosen], self.crowds[crowd], self.empty[rng.sample(range(EMPTY), bare)]])
        points = torch.cat([self.told[chosen], self.crowds_told[crowd], torch.full((bare, CROWD, 7, 2), ABSENT)])
        zoom = torch.tensor([rng.uniform(*CLOSE if rng.random() < CLOSE_SHARE else SIZES) for _ in pixels])
        shift = (torch.rand(len(pixels), 2) - 0.5) * (zoom - 1).abs()[:, None]
        pixels, placed = moved(pixels, points.flatten(1, 2), zoom, shift)
        pixels = pixels + NOISE * torch.rand(len(pixels), 1, 1, 1) * torch.randn(pixels.shape)
        return missed(self.finder.level(pixels), placed.view(points.shape) * CELLS)


def crowds(pixels: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """CROWDS pictures of CROWD people each, (CROWDS, 3, SEEN, SEEN), and their points (CROWDS, CROWD, 7, 2)."""
    rng = random.Random(75)
    chosen = torch.tensor([rng.sample(range(len(pixels)), CROWD) for _ in range(CROWDS)])
    quarters = avg_pool2d(pixels, 2)[chosen]                      # (CROWDS, CROWD, 3, SEEN / 2, SEEN / 2)
    rows = [torch.cat([quarters[:, left], quarters[:, left + 1]], -1) for left in (0, 2)]
    corners = torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]])
    return torch.cat(rows, -2), points[chosen] / 2 + corners[:, None]


def moved(pixels: Tensor, points: Tensor, zoom: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures scaled around their middles and moved, and points (B, n, 2) moved alike, all as parts of the picture."""
    zeros = torch.zeros_like(zoom)
    ways = torch.stack([torch.stack([1 / zoom, zeros, -2 * shift[:, 0] / zoom], 1),
                        torch.stack([zeros, 1 / zoom, -2 * shift[:, 1] / zoom], 1)], 1)
    grid = affine_grid(ways, list(pixels.shape), align_corners=False)
    return (grid_sample(pixels, grid, "bilinear", "border", align_corners=False),
            (points - 0.5) * zoom.view(-1, 1, 1) + 0.5 + shift[:, None])


def missed(said: Tensor, points: Tensor) -> Tensor:
    """The loss of what is said (B, 15, CELLS, CELLS), against corners and points (B, n, 7, 2) of n faces in cells."""
    rows = torch.arange(CELLS).float()
    corners = torch.stack(torch.meshgrid(rows, rows, indexing="xy"), -1)      # (CELLS, CELLS, 2): x, y
    height = (points[:, :, 1, 1] - points[:, :, 0, 1])[..., None, None]                         # (B, n, 1, 1)
    middle = points[:, :, :2].mean(2)[:, :, None, None]
    counts = (height >= FOUND[0]) & (height <= FOUND[1])
    each = ((corners + 0.5 - middle).norm(dim=-1) / height).where(counts, math.inf)             # (B, n, C, C)
    apart, whose = each.min(1)
    inside, unsure = apart < NEAR, (apart >= NEAR) & (apart < 1.6 * NEAR)
    nearest = points[torch.arange(len(points))[:, None, None], whose]                           # (B, C, C, 7, 2)
    there = nearest - corners[:, :, None]
    wanted = torch.cat([-there[..., 0, :], there[..., 1, :], there[..., 2:, :].flatten(-2)], -1)
    score = binary_cross_entropy_with_logits(said[:, 0], inside.float(), reduction="none")
    found = said[:, 1:].permute(0, 2, 3, 1)[inside]
    return score[~unsure].mean() * 20 + smooth_l1_loss(found, wanted[inside])


class KnowerLesson:
    """Upright faces of people, several of each, and people who are nearly the same."""

    def __init__(self, material: Faces, knower: Knower) -> None:
        numbers = np.random.default_rng(73)
        owners = [*material.portraits, *material.portraits[::DECODED_EVERY]]
        pixels = np.concatenate([material.pixels, material.decoded])
        crops = [upright(each, one, numbers) for each, one in zip(pixels, owners, strict=True)]
        self.knower, self.pixels = knower, shrunk(np.stack(crops), SHRUNK)
        self.people = [one.person for one in material.portraits[::EACH]]
        self.of: list[list[int]] = [[] for _ in self.people]
        places = {person: number for number, person in enumerate(self.people)}
        for number, one in enumerate(owners):
            self.of[places[one.person]].append(number)
        looks = {(one.skin, one.hair, one.eyes, one.cut): number for number, one in enumerate(self.people)}
        self.alike = [[looks[look] for look in neighbours(one) if look in looks] for one in looks]

    def __call__(self, step: int) -> Tensor:
        rng = random.Random(step)
        first = rng.sample(range(len(self.people)), PEOPLE_BATCH // 2)
        chosen = list(dict.fromkeys([*first, *(rng.choice(self.alike[one]) for one in first)]))
        pairs = [rng.sample(self.of[one], 2) for one in chosen]
        pixels = self.pixels[[one for one, _ in pairs] + [other for _, other in pairs]]
        gain = 1 + 0.08 * torch.randn(len(pixels), 1, 1, 1)
        tint = 0.04 * torch.randn(len(pixels), 3, 1, 1)
        seen = normalize(self.knower.shrunk(pixels * gain + tint + NOISE * torch.randn(pixels.shape)))
        left, right = seen.chunk(2)
        alike, mine = left @ right.T / WARMTH, torch.arange(len(left))
        return (cross_entropy(alike, mine) + cross_entropy(alike.T, mine)) / 2


def neighbours(look: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All looks that differ in one thing."""
    return [(*look[:place], other, *look[place + 1 :]) for place, names in enumerate((SKINS, HAIRS, EYES, CUTS))
            for other in names if other != look[place]]


def main() -> None:
    options = started(parser(__doc__, finder=FINDER_STEPS, knower=KNOWER_STEPS))
    material, finder, knower = faces(), Finder(), Knower()
    train(knower, KnowerLesson(material, knower), options.knower)
    train(finder, FinderLesson(material, finder), options.finder)
    publish(finder, knower, FOLDER)


if __name__ == "__main__":
    main()
