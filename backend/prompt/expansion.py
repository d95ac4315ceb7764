"""Texts out of a text with wildcards and variants: one at random, all of them, or how many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from random import Random

from backend.prompt.variants import (
    MAX_DEPTH,
    Access,
    Assign,
    Choice,
    Option,
    Options,
    Part,
    Parts,
    VariantError,
    Wildcard,
)

LOTS = 10**12               # counts stop here
MAX_DRAW = 200_000          # letters and parts that one text may cost, lest wildcards that double each other never end
MAX_ALL = 10_000_000        # the same for all texts together
REDRAWS = 20
AT_RANDOM, IN_TURN, EVERY = "~", "@", "!"

Lookup = Callable[[str, str], Options]
"""The lines behind a wildcard's name, used in a file of a folder ("" for a prompt); VariantError for an unknown one."""


class Expansion:
    """What texts stand for, with the wildcards that `lookup` knows. Each wildcard is looked up once.

    `combinatorial`: what has no sign of its own is listed, not drawn.
    """

    def __init__(self, lookup: Lookup, combinatorial: bool = False) -> None:
        self._lookup, self._combinatorial = lookup, combinatorial
        self._known: dict[tuple[str, str], Options] = {}
        self._chosen_from: dict[Choice, Options] = {}
        self._counts: dict[Part, int] = {}

    def count(self, parts: Parts) -> int:
        """How many `variants` there are, at most `LOTS`.

        Raises VariantError for a wildcard that is unknown, empty or within itself, wherever one is listed.
        """
        return self._count(parts, ())

    def variants(self, parts: Parts) -> list[Parts]:
        """The parts with each choice that is listed made, the last one changing fastest; ask `count` before.

        What is drawn from picture to picture stays in them. VariantError as there.
        """
        return _All(self).variants(parts)

    def draw(self, parts: Parts, random: Random, number: int = 0) -> str:
        """One text; only `random.random()` is asked, so that equal seeds give equal texts.

        `number`: of the picture, for what is taken in turn. Raises VariantError for what is reached and cannot be
        resolved, and for nothing else.
        """
        text = _Draw(self, random, number).text(parts)
        return text.strip() if any(isinstance(part, Assign) for part in parts) else text

    def is_listed(self, part: Wildcard | Choice) -> bool:
        """Whether each of its possibilities is wanted, and not one of them."""
        return part.how == EVERY or (self._combinatorial and not part.how)

    def lines(self, wildcard: Wildcard) -> Options:
        """What a wildcard stands for."""
        key = wildcard.name, wildcard.folder
        if key not in self._known:
            found = self._lookup(*key)
            if not found.total:
                raise VariantError(f"uses the wildcard __{wildcard.name}__, which has no lines to choose from")
            self._known[key] = found
        return self._known[key]

    def options(self, choice: Choice) -> Options:
        """What a choice is made from; several out of one lone wildcard are different lines of it."""
        if choice not in self._chosen_from:
            self._chosen_from[choice] = self._options(choice)
        return self._chosen_from[choice]

    def _options(self, choice: Choice) -> Options:
        options = choice.options
        lone = options.items[0].parts if len(options.items) == 1 else ()
        if len(lone) == 1 and isinstance(lone[0], Wildcard):
            options = self.lines(lone[0])
        if not options.total:
            raise VariantError("has a choice in which nothing may be chosen: every weight is 0")
        return options if choice.most == choice.least == 1 else Options(tuple(possible(options)))

    # ---- counting ----

    def _count(self, parts: Parts, trail: tuple[str, ...]) -> int:
        number = 1
        for part in parts:
            number = min(LOTS, number * self._count_part(part, trail))
        return number

    def _count_part(self, part: Part, trail: tuple[str, ...]) -> int:
        if isinstance(part, Wildcard):
            check_trail(part, trail)
        if part not in self._counts:
            self._counts[part] = min(LOTS, self._count_anew(part, trail))
        return self._counts[part]

    def _count_anew(self, part: Part, trail: tuple[str, ...]) -> int:
        match part:
            case Choice() if self.is_listed(part):
                return self._count_choice(part, trail)
            case Wildcard() if self.is_listed(part):
                inside = (*trail, part.name)
                lines = sum(self._count(option.parts, inside) for option in possible(self.lines(part)))
                return lines * self._count(part.given, trail)
            case Assign():
                return self._count(part.value, trail)
        return 1

    def _count_choice(self, choice: Choice, trail: tuple[str, ...]) -> int:
        counts = [self._count(option.parts, trail) for option in possible(self.options(choice))]
        return sum(_arrangements(counts, number) for number in _numbers(choice, len(counts)))


def check_trail(wildcard: Wildcard, trail: Sequence[str]) -> None:
    """Raises VariantError for a wildcard within itself, or within too many others."""
    if wildcard.name in trail:
        names = (*trail[trail.index(wildcard.name):], wildcard.name)
        raise VariantError("uses a wildcard that contains itself: " + " -> ".join(f"__{name}__" for name in names))
    if len(trail) >= MAX_DEPTH:
        raise VariantError(f"uses wildcards more than {MAX_DEPTH} deep")


def _arrangements(counts: Sequence[int], number: int) -> int:
    """How many texts `number` of the options make together: ordered picks, each option as often as it has texts."""
    orders = 1
    for step in range(number):
        orders = min(LOTS, orders * (len(counts) - step))
    if orders >= LOTS:
        return LOTS
    sums = [1, *[0] * number]               # sums[k]: over all ways to take k options, the product of their counts
    for count in counts:
        for taken in range(number, 0, -1):
            sums[taken] += sums[taken - 1] * count
    for step in range(number):
        sums[number] *= step + 1
    return min(LOTS, sums[number])


def possible(options: Options) -> list[Option]:
    """Those that can come up, without repetitions."""
    return list({option.parts: option for option in options.items if option.weight}.values())


def _numbers(choice: Choice, available: int) -> range:
    """How many options may be taken together."""
    most = available if choice.most is None else min(choice.most, available)
    return range(min(choice.least, most), most + 1)


class _Work:
    """Counts what texts cost."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spend(self, text: str) -> str:
        self._left -= 1 + len(text)
        if self._left < 0:
            raise VariantError("grows too long when its wildcards are filled in")
        return text


class _Draw:
    """One text being drawn: the variables that are set, and the wildcards that it stands in."""

    def __init__(self, expansion: Expansion, random: Random, number: int) -> None:
        self._expansion, self._random, self._number = expansion, random, number
        self._work = _Work(MAX_DRAW)
        self._variables: dict[str, Parts] = {}
        self._trail: list[str] = []
        self._reading: list[str] = []

    def text(self, parts: Parts) -> str:
        return "".join(map(self._part, parts))

    def _part(self, part: Part) -> str:
        if isinstance(part, str):
            return self._work.spend(part)
        self._work.spend("")
        match part:
            case Wildcard():
                return self._wildcard(part)
            case Choice():
                return self._choice(part)
            case Assign():
                return self._assigned(part)
            case Access():
                return self._accessed(part)

    def _wildcard(self, part: Wildcard) -> str:
        check_trail(part, self._trail)
        lines = self._expansion.lines(part)
        option = self._in_turn(lines, 0) if part.how in (IN_TURN, EVERY) else lines.items[self._index(lines)]
        outside = self._variables
        self._variables = dict(outside)
        self.text(part.given)
        self._trail.append(part.name)
        text = self.text(option.parts)
        self._trail.pop()
        self._variables = outside if part.given else self._variables
        return text

    def _choice(self, part: Choice) -> str:
        options = self._expansion.options(part)
        numbers = _numbers(part, len(options.items))
        if part.how in (IN_TURN, EVERY):
            taken = [self._in_turn(options, step, numbers[-1]) for step in range(numbers[-1])]
        else:
            taken = self._several(options, numbers[int(self._random.random() * len(numbers))])
        return part.joint.join(self.text(option.parts) for option in taken)

    def _assigned(self, part: Assign) -> str:
        if not (part.if_free and part.name in self._variables):
            self._variables[part.name] = (self.text(part.value),) if part.at_once else part.value
        return ""

    def _accessed(self, part: Access) -> str:
        value = self._variables.get(part.name, part.default)
        if value is None:
            raise VariantError(f"uses the variable ${{{part.name}}}, which has no value")
        if part.name in self._reading:
            raise VariantError(f"uses the variable ${{{part.name}}} within itself")
        self._reading.append(part.name)
        text = self.text(value)
        self._reading.pop()
        return text

    def _in_turn(self, options: Options, step: int, taken: int = 1) -> Option:
        """The one whose turn it is in this picture; of several, the `step`-th."""
        there = possible(options)
        return there[(self._number * taken + step) % len(there)]

    def _several(self, options: Options, number: int) -> list[Option]:
        """Different ones, in the order in which they came up."""
        taken: dict[int, Option] = {}
        while len(taken) < number:
            index = next((i for i in (self._index(options) for _ in range(REDRAWS)) if i not in taken), None)
            if index is None:
                left = [i for i in range(len(options.items)) if i not in taken]
                index = left[self._index(Options(tuple(options.items[i] for i in left)))]
            taken[index] = options.items[index]
        return list(taken.values())

    def _index(self, options: Options) -> int:
        return min(bisect_right(options.cumulative, self._random.random() * options.total), len(options.items) - 1)


class _All:
    """Every way to make the choices that are listed."""

    def __init__(self, expansion: Expansion) -> None:
        self._expansion, self._work = expansion, _Work(MAX_ALL)

    def variants(self, parts: Parts) -> list[Parts]:
        return [self._whole(pieces) for pieces in product(*map(self._part, parts))]

    def _whole(self, pieces: Iterable[Parts]) -> Parts:
        """The pieces one after the other, neighbouring texts as one."""
        whole: list[Part] = []
        for part in (part for piece in pieces for part in piece):
            if whole and isinstance(part, str) and isinstance(whole[-1], str):
                whole[-1] += part
            else:
                whole.append(part)
        for part in whole:
            self._work.spend(part if isinstance(part, str) else "")
        return tuple(whole)

    def _part(self, part: Part) -> list[Parts]:
        match part:
            case Wildcard() if self._expansion.is_listed(part):
                return self._lines(part)
            case Choice() if self._expansion.is_listed(part):
                options = possible(self._expansion.options(part))
                numbers = _numbers(part, len(options))
                return [way for number in numbers for way in self._joined(part, options, number)]
            case Assign():
                return [(replace(part, value=value),) for value in self.variants(part.value)]
        return [(part,)]

    def _lines(self, part: Wildcard) -> list[Parts]:
        given = self.variants(part.given)
        options = possible(self._expansion.lines(part))
        return [self._whole((before, line)) for before in given for option in options
                for line in self.variants(option.parts)]

    def _joined(self, choice: Choice, options: list[Option], number: int) -> Iterator[Parts]:
        for taken in permutations(options, number):
            for ways in product(*(self.variants(option.parts) for option in taken)):
                joints = [(choice.joint,)] * len(ways)
                pieces = [piece for pair in zip(joints, ways, strict=True) for piece in pair][1:]
                yield self._whole(pieces)
