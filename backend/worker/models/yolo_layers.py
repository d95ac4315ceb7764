"""The layers of YOLOv8 (Jocher et al. 2023), YOLOv9 (Wang et al. 2024) and YOLO11: how their parts are put together.

A part is a module on maps (B, C, H, W); which parts a network has, and how wide they are, is for others to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Gathered(nn.Module):
    """Steps that follow each other, all of which the last part sees (ELAN, CSP with two convolutions, fast SPP).

    `halved`: what the first part gives is seen in two halves, and the steps begin with the second.
    """

    def __init__(self, first: nn.Module, steps: Sequence[nn.Module], last: nn.Module, *, halved: bool) -> None:
        super().__init__()
        self.first, self.steps, self.last, self.halved = first, nn.ModuleList(steps), last, halved

    def forward(self, x: Tensor) -> Tensor:
        seen = list(self.first(x).chunk(2, 1)) if self.halved else [self.first(x)]
        for step in self.steps:
            seen.append(step(seen[-1]))
        return self.last(torch.cat(seen, 1))


class Forked(nn.Module):
    """A longer way beside a shorter one, and what makes one of both (CSP with three convolutions)."""

    def __init__(self, longer: nn.Module, shorter: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.longer, self.shorter, self.last = longer, shorter, last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.longer(x), self.shorter(x)], 1))


class HalfChanged(nn.Module):
    """Only the second half of the channels goes through the inner part."""

    def __init__(self, first: nn.Module, inner: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.first, self.inner, self.last = first, inner, last

    def forward(self, x: Tensor) -> Tensor:
        same, other = self.first(x).chunk(2, 1)
        return self.last(torch.cat([same, self.inner(other)], 1))


class Residual(nn.Module):
    """What the inner part gives is added to what it was given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


class Summed(nn.Module):
    """Several views of the same, added up (a convolution that is re-parametrised)."""

    def __init__(self, views: Sequence[nn.Module], activation: nn.Module) -> None:
        super().__init__()
        self.views, self.activation = nn.ModuleList(views), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(sum(view(x) for view in self.views))


class PositionedAttention(nn.Module):
    """Every cell looks at every other; what it sees is told its place by a convolution over the values."""

    def __init__(self, query_key_value: nn.Module, position: nn.Module, last: nn.Module, heads: int, keys: int) -> None:
        """`keys`: channels of a query and of a key in each head."""
        super().__init__()
        self.query_key_value, self.position, self.last = query_key_value, position, last
        self.heads, self.keys = heads, keys

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        values = channels // self.heads
        told = self.query_key_value(x).reshape(batch, self.heads, 2 * self.keys + values, height * width)
        query, key, value = told.transpose(2, 3).split([self.keys, self.keys, values], 3)
        seen = functional.scaled_dot_product_attention(query, key, value).transpose(2, 3).reshape(x.shape)
        return self.last(seen + self.position(value.transpose(2, 3).reshape(x.shape)))


class Smoothed(nn.Module):
    """Neighbours are averaged before the part sees them."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(functional.avg_pool2d(x, 2, 1))


class HalvedTwice(nn.Module):
    """Neighbours are averaged; then one half of the channels is halved by a part, of the other the greatest stay."""

    def __init__(self, strided: nn.Module, pooled: nn.Module) -> None:
        super().__init__()
        self.strided, self.pooled = strided, pooled

    def forward(self, x: Tensor) -> Tensor:
        first, second = functional.avg_pool2d(x, 2, 1).chunk(2, 1)
        return torch.cat([self.strided(first), self.pooled(functional.max_pool2d(second, 3, 2, 1))], 1)


class Joined(nn.Module):
    """Maps of one size as one."""

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(maps), 1)


class Head(nn.Module):
    """Boxes from maps of several sizes: how far each side is from the middle of a cell, and how sure each class is.

    A distance is told as the probabilities of 0, 1, 2, ... cells (Li et al. 2020), or, where there is one number for
    each side, as itself.
    """

    def __init__(
        self, distances: Sequence[nn.Module], classes: Sequence[nn.Module], strides: Sequence[float],
        shares: Sequence[nn.Module] = (), prototypes: nn.Module | None = None,
    ) -> None:
        """A part for each map, and the pixels of its cells. `prototypes`: of outlines, out of the first map."""
        super().__init__()
        self.distances, self.classes, self.strides = nn.ModuleList(distances), nn.ModuleList(classes), tuple(strides)
        self.shares, self.prototypes = nn.ModuleList(shares), prototypes

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """(B, 4 + classes + k, cells): middle, width, height in pixels, scores, shares; and prototypes (B, k, h, w)."""
        levels = []
        for number, (each, stride) in enumerate(zip(maps, self.strides, strict=True)):
            boxes = _boxes(self.distances[number](each)) * stride
            told = [boxes, self.classes[number](each).sigmoid(), *[shares(each) for shares in self.shares[number:][:1]]]
            levels.append(torch.cat([one.flatten(2) for one in told], 1))
        return torch.cat(levels, 2), None if self.prototypes is None else self.prototypes(maps[0])


def _boxes(distances: Tensor) -> Tensor:
    """(B, 4 * n, H, W) as middle, width and height (B, 4, H, W), in cells."""
    batch, channels, height, width = distances.shape
    bins = channels // 4
    if bins > 1:
        places = torch.arange(bins, dtype=distances.dtype, device=distances.device)
        likely = distances.reshape(batch, 4, bins, height, width).softmax(2)
        distances = torch.einsum("bsnhw,n->bshw", likely, places)
    before, after = distances.chunk(2, 1)
    rows, columns = (torch.arange(size, dtype=distances.dtype, device=distances.device) + 0.5
                     for size in (height, width))
    cells = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    return torch.cat([cells + (after - before) / 2, after + before], 1)


class Chain(nn.Module):
    """Layers, each with the numbers of those whose maps it sees, -1 for the picture; the last is the head."""

    def __init__(self, layers: Sequence[nn.Module], sources: Sequence[int | Sequence[int]]) -> None:
        super().__init__()
        self.layers, self.sources = nn.ModuleList(layers), tuple(sources)
        named = [[source] if isinstance(source, int) else source for source in sources]
        self._last_use = {number: use for use, numbers in enumerate(named) for number in numbers}

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the head says of pictures (B, 3, H, W), 0..1. Raises RuntimeError where layers do not fit."""
        maps, largest = {-1: x}, x.shape[-1]
        for number, (layer, source) in enumerate(zip(self.layers[:-1], self.sources, strict=False)):
            made = layer(maps[source] if isinstance(source, int) else [maps[one] for one in source])
            if made.shape[-1] > largest:
                raise RuntimeError("a map that is larger than the picture")
            maps = {one: each for one, each in maps.items() if self._last_use.get(one, -1) > number} | {number: made}
        return self.layers[-1]([maps[one] for one in self.sources[-1]])
