"""Linear readers that hurry the demo CLIP's picture tower on: what is where, and what the whole scene is.

Learning shapes from captions alone needs more pictures than a CPU has time for. The heads are thrown away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
    unfold,
)

from .new_colour import NAMES as COLOUR_NAMES
from .scenes import SHAPES, SIZES, Scene, resolved_places
from .train_text_encoder import BACKGROUNDS, NOTHING, RESOLVED

THING = {"colour": COLOUR_NAMES, "shape": SHAPES, "size": ("", *SIZES), "place": RESOLVED}
PARTS = 4               # of a patch, each way, whose filling is asked for
SEEN_ORDER = ("left", "top", "centre", "right", "bottom")       # of two things, the first is the left or the upper one


def scene_targets(scene: Scene) -> list[int]:
    """Colour, shape, size and place of up to two things in the order in which they are seen; background; how many."""
    places = resolved_places([thing.place for thing in scene.things])
    things = sorted(zip(scene.things, places, strict=True), key=lambda one: SEEN_ORDER.index(one[1]))
    slots = []
    for thing, place in things:
        values = (thing.colour, thing.shape, thing.size, place)
        slots += [names.index(value) for names, value in zip(THING.values(), values, strict=True)]
    slots += [NOTHING] * (2 * len(THING) - len(slots))
    return [*slots, BACKGROUNDS.index(scene.background), len(scene.things)]


def patch_targets(maps: Tensor, side: int) -> Tensor:
    """(B, 2, side * side) shape and colour of the thing that a patch shows, 0 for none, from maps (B, 2, H, W)."""
    return adaptive_max_pool2d(maps.float(), side).long().flatten(2)


def outline_targets(maps: Tensor, side: int) -> Tensor:
    """(B, side * side, PARTS * PARTS) how far a thing fills each part of a patch, from maps (B, 2, H, W)."""
    filled = adaptive_avg_pool2d((maps[:, :1] > 0).float(), PARTS * side)
    return unfold(filled, PARTS, stride=PARTS).transpose(1, 2)


def balanced(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, in which the few patches with a thing count as much as the many without."""
    losses, filled = cross_entropy(logits, truth, reduction="none"), truth > 0
    return losses[filled].mean() + losses[~filled].mean()


class Heads(nn.Module):
    """Read the states (B, 1 + side * side, hidden) of a picture tower and its pooled state (B, hidden)."""

    def __init__(self, hidden: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.patch = nn.ModuleList([nn.Linear(hidden, 1 + len(SHAPES)), nn.Linear(hidden, 1 + len(COLOUR_NAMES))])
        self.outline = nn.Linear(hidden, PARTS * PARTS)
        sizes = [len(names) for names in THING.values()]
        self.scene = nn.ModuleList(nn.Linear(hidden, size) for size in (*sizes, *sizes, len(BACKGROUNDS), 3))

    def loss(self, states: Tensor, pooled: Tensor, maps: Tensor, scenes: list[Scene]) -> Tensor:
        patches, truth = states[:, 1:], patch_targets(maps, self.side)
        seen = [balanced(head(patches).flatten(0, 1), truth[:, number].flatten())
                for number, head in enumerate(self.patch)]
        seen.append(binary_cross_entropy_with_logits(self.outline(patches), outline_targets(maps, self.side)))
        targets = torch.tensor([scene_targets(scene) for scene in scenes])
        told = [cross_entropy(head(pooled), targets[:, number], ignore_index=NOTHING)
                for number, head in enumerate(self.scene)]
        return torch.stack(seen).sum() + torch.stack(told).nan_to_num().sum()
