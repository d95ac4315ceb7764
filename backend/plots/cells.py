"""From a base request and its axes to the request of each cell. A cell's coordinates are its values' indices."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from backend.plots.axis import Axis, Point, WrongAxis
from backend.request.request import MAX_SEED, RANDOM_SEEDS

Coordinates = tuple[int, ...]
SEED_FIELDS = ("seed", "variation_seed")
RANDOM_LABELS = ("Seed", "Var. seed")   # axes whose values of -1 are drawn once
LETTERS = "xyz"         # A1111's names of the first three axes
MAX_CELLS = 10_000      # of one plot


@dataclass(frozen=True, slots=True)
class ChosenAxis:
    """An axis of a plot with its values, as typed and as read."""

    axis: Axis
    typed: str
    values: tuple[Any, ...]

    @property
    def shown(self) -> list[str]:
        return [self.axis.show(value) for value in self.values]


@dataclass(frozen=True, slots=True)
class SeedRules:
    """`keep_random`: a seed of -1 is drawn for each cell. `vary`: along these axes (x, y, z) each cell has its own."""

    keep_random: bool = False
    vary: frozenset[str] = field(default_factory=frozenset)


class CellError(ValueError):
    """A value of the axis number `axis` cannot be used in the request."""

    def __init__(self, axis: int, message: str) -> None:
        super().__init__(message)
        self.axis = axis


def cell_name(coordinates: Coordinates) -> str:
    """How a row names a cell: "2,0,1"."""
    return ",".join(map(str, coordinates))


def coordinates(axes: Sequence[ChosenAxis]) -> Iterator[Coordinates]:
    """Of every cell, the first axis quickest, as A1111 counts them."""
    for turned in product(*(range(len(axis.values)) for axis in reversed(axes))):
        yield turned[::-1]


def with_fixed_seeds(axis: Axis, values: Sequence[Any], rules: SeedRules) -> tuple[Any, ...]:
    """The values of an axis of seeds with the random ones drawn, once for all cells."""
    if axis.label not in RANDOM_LABELS or rules.keep_random:
        return tuple(values)
    return tuple(secrets.randbelow(RANDOM_SEEDS) if value == -1 else value for value in values)


def cell_values(base: Mapping[str, Any], axes: Sequence[ChosenAxis], cell: Coordinates) -> dict[str, Any]:
    """The values of a cell's request by field name, seeds apart. Raises CellError."""
    values = dict(base)
    points = {chosen.axis.label: Point(chosen.values[index], chosen.values)
              for chosen, index in zip(axes, cell, strict=True)}
    for number in sorted(range(len(axes)), key=lambda number: axes[number].axis.rank):
        chosen = axes[number]
        try:
            point = Point(chosen.values[cell[number]], chosen.values, points)
            values |= chosen.axis.change(values, point)
        except WrongAxis as error:
            raise CellError(number, str(error)) from None
        except ValueError as error:
            raise CellError(number, f"'{chosen.axis.show(chosen.values[cell[number]])[:60]}' {error}") from None
    return values


def seed_step(axes: Sequence[ChosenAxis], cell: Coordinates, rules: SeedRules) -> int:
    """What is added to a cell's seed, as A1111's switches "vary seeds for X, Y, Z" do it."""
    step, size = 0, 1
    for letter, axis, index in zip(LETTERS, axes, cell, strict=False):
        if letter in rules.vary:
            step += index * size
            size *= len(axis.values)
    return step


def drawn_seeds(values: Mapping[str, Any], step: int) -> dict[str, int]:
    """The seeds of a cell: random ones are drawn, `step` is added to that of the picture."""
    seeds = {name: values[name] if values[name] >= 0 else secrets.randbelow(RANDOM_SEEDS) for name in SEED_FIELDS}
    return seeds | {"seed": (seeds["seed"] + step) % (MAX_SEED + 1)}
