"""Latents whose arithmetic is put off, so that it is done for several pictures in one go.

A sampler's step is a dozen sums and products of a small tensor. Each picture has a sampler of its own, and its own
noise; where several are at the same step they ask for the same sums, and a card then works for all of them as long as
for one. So what samplers combine here only notes what is to be done, and `calculate` does it: pictures whose notes are
the same, number by number, lie in one tensor meanwhile. Every value is the one that the picture would get alone, to the
bit, since each is made from the same numbers by the same operation.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from backend.sampling.protocol import Noise

Operation = Callable[[Any, Any], Any]


@dataclass(slots=True, eq=False)
class _Place:
    """Where a value lies: at `row` of a tensor for several pictures (B, ...), None where it is the tensor itself."""

    tensor: Tensor
    row: int | None = None

    @property
    def value(self) -> Tensor:
        return self.tensor if self.row is None else self.tensor[self.row]

    @property
    def kind(self) -> Hashable:
        """Values of one kind fit into one tensor."""
        shape = self.tensor.shape
        return shape if self.row is None else shape[1:], self.tensor.dtype, self.tensor.device


class LazyLatent:
    """A latent (C, h, w) that is there, or what it will be made from: + - * / of such, and of numbers.

    A tensor that it meets has as many dimensions as it, such as a mask (1, h, w).
    """

    __slots__ = ("_made_from", "_place")

    def __init__(self, value: Tensor) -> None:
        self._place: _Place | None = _Place(value)
        self._made_from: tuple[Operation, Any, Any] | None = None

    @classmethod
    def _of(cls, operation: Operation, left: Any, right: Any) -> LazyLatent:
        made = cls.__new__(cls)
        made._place, made._made_from = None, (operation, _operand(left), _operand(right))
        return made

    def __add__(self, other: Any) -> LazyLatent:
        return self._of(operator.add, self, other)

    def __radd__(self, other: Any) -> LazyLatent:
        return self._of(operator.add, other, self)

    def __sub__(self, other: Any) -> LazyLatent:
        return self._of(operator.sub, self, other)

    def __rsub__(self, other: Any) -> LazyLatent:
        return self._of(operator.sub, other, self)

    def __mul__(self, other: Any) -> LazyLatent:
        return self._of(operator.mul, self, other)

    def __rmul__(self, other: Any) -> LazyLatent:
        return self._of(operator.mul, other, self)

    def __truediv__(self, other: Any) -> LazyLatent:
        return self._of(operator.truediv, self, other)


@dataclass(frozen=True, slots=True, eq=False)
class Calculate:
    """What a picture needs the values of now. Answered by them, in order; they may be rows of larger tensors."""

    latents: tuple[Tensor | LazyLatent | None, ...]


def lazy_noise(noise: Noise) -> Noise:
    """Drawn when it is asked for, as ever; what is made of it is put off."""
    return lambda sigma, sigma_next: LazyLatent(noise(sigma, sigma_next))


def calculated(*latents: Tensor | LazyLatent | None) -> Generator[Calculate, Any, Sequence[Tensor | None]]:
    """The values of latents; asks for them where any was put off."""
    if any(isinstance(latent, LazyLatent) and latent._place is None for latent in latents):
        return (yield Calculate(latents))
    return [_value(latent) for latent in latents]


def calculate(asked: Sequence[Calculate]) -> list[list[Tensor | None]]:
    """The values that each wants, done together where what is to be done is the same."""
    if len(asked) == 1:
        return [[_alone(latent) for latent in asked[0].latents]]
    notes = [_Notes() for _ in asked]
    for each, work in zip(notes, asked, strict=True):
        for latent in work.latents:
            if isinstance(latent, LazyLatent):
                each.slot(latent)
    alike: dict[Hashable, list[_Notes]] = {}
    for each in notes:
        alike.setdefault(each.key, []).append(each)
    for several in alike.values():
        _do(several)
    return [[_value(latent) for latent in work.latents] for work in asked]


def _alone(latent: Any) -> Any:
    """The value of a latent; what else is given, such as a number, as it is."""
    if not isinstance(latent, LazyLatent):
        return latent
    if latent._place is None:
        operation, left, right = latent._made_from
        latent._place, latent._made_from = _Place(operation(_alone(left), _alone(right))), None
    return latent._place.value


def _value(latent: Tensor | LazyLatent | None) -> Tensor | None:
    return latent._place.value if isinstance(latent, LazyLatent) else latent


@dataclass(slots=True, eq=False)
class _Notes:
    """What one picture wants done, line by line: an operation and two operands, each the number of a slot or a number.

    Slots hold the `given` latents as they come up, and the result of each line.
    """

    lines: list[tuple[Operation, tuple[Any, ...], tuple[Any, ...]]] = field(default_factory=list)
    order: list[LazyLatent] = field(default_factory=list)       # slot -> latent
    given: list[int] = field(default_factory=list)              # slots of those that are there
    _slots: dict[int, int] = field(default_factory=dict)        # id of a latent -> slot

    def slot(self, latent: LazyLatent) -> int:
        """Where a latent lies, with lines for all that it is made from."""
        known = self._slots.get(id(latent))
        if known is not None:
            return known
        if latent._place is None:
            operation, *operands = latent._made_from
            self.lines.append((operation, *(self._told(each) for each in operands)))
        else:
            self.given.append(len(self.order))
        self.order.append(latent)
        self._slots[id(latent)] = len(self.order) - 1
        return len(self.order) - 1

    @property
    def key(self) -> Hashable:
        """Equal where the same is done with latents of the same kind."""
        return tuple(self.lines), tuple((slot, self.order[slot]._place.kind) for slot in self.given)

    def _told(self, operand: Any) -> tuple[Any, ...]:
        """A slot; or a number with its sign, which 0 has, too."""
        return (self.slot(operand),) if isinstance(operand, LazyLatent) else (operand, math.copysign(1.0, operand))


def _operand(given: Any) -> LazyLatent | float:
    """A number of Python's stays one, so that it is not rounded before its time."""
    return LazyLatent(given) if isinstance(given, Tensor) else given


def _do(several: Sequence[_Notes]) -> None:
    """Go through the lines of pictures that want the same, and leave each its values."""
    first, together = several[0], len(several) > 1
    values: list[Tensor | None] = [None] * len(first.order)
    for slot in first.given:
        places = [each.order[slot]._place for each in several]
        values[slot] = _stacked(places) if together else places[0].value
    lines = iter(first.lines)
    for slot in range(len(first.order)):
        if values[slot] is None:
            operation, left, right = next(lines)
            values[slot] = operation(*(each[0] if len(each) == 2 else values[each[0]] for each in (left, right)))
    for slot, value in enumerate(values):
        for row, each in enumerate(several):
            latent = each.order[slot]
            if latent._place is None:
                latent._place, latent._made_from = _Place(value, row if together else None), None


def _stacked(places: Sequence[_Place]) -> Tensor:
    """(B, ...): where they lie together already, as they are."""
    tensor = places[0].tensor
    if len(tensor) == len(places) and all(p.tensor is tensor and p.row == row for row, p in enumerate(places)):
        return tensor
    return torch.stack([place.value for place in places])
