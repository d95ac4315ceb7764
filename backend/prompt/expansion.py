"""Texts out of a text with wildcards and variants: one at random, all of them, or how many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product
from random import Random

from backend.prompt.variants import MAX_DEPTH, Choice, Option, Options, Part, Parts, VariantError, Wildcard

LOTS = 10**12               # counts stop here
MAX_DRAW = 200_000          # letters and parts that one text may cost, lest wildcards that double each other never end
MAX_ALL = 10_000_000        # the same for all texts together
REDRAWS = 20

Lookup = Callable[[str], Options]       # the lines behind a wildcard's name; raises VariantError for an unknown one


class Expansion:
    """What texts stand for, with the wildcards that `lookup` knows. Each wildcard is looked up once."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[str, Options] = {}
        self._chosen_from: dict[Choice, Options] = {}
        self._counts: dict[Wildcard | Choice, int] = {}

    def count(self, parts: Parts) -> int:
        """How many texts there are, at most `LOTS`.

        Raises VariantError for a wildcard that is unknown, empty or within itself, wherever it is reached.
        """
        return self._count(parts, ())

    def draw(self, parts: Parts, random: Random) -> str:
        """One text; only `random.random()` is asked, so that equal seeds give equal texts. VariantError as there."""
        self.count(parts)
        return _Draw(self, random).text(parts)

    def every(self, parts: Parts) -> Iterator[str]:
        """Each text once, the last choice changing fastest; ask `count` before. VariantError as there."""
        self.count(parts)
        return iter(_All(self).texts(parts))

    def lines(self, name: str) -> Options:
        """What a wildcard stands for."""
        if name not in self._known:
            found = self._lookup(name)
            if not found.total:
                raise VariantError(f"uses the wildcard __{name}__, which has no lines to choose from")
            self._known[name] = found
        return self._known[name]

    def options(self, choice: Choice) -> Options:
        """What a choice is made from; several out of one lone wildcard are different lines of it."""
        if choice not in self._chosen_from:
            self._chosen_from[choice] = self._options(choice)
        return self._chosen_from[choice]

    def _options(self, choice: Choice) -> Options:
        options = choice.options
        lone = options.items[0].parts if len(options.items) == 1 else ()
        if len(lone) == 1 and isinstance(lone[0], Wildcard):
            options = self.lines(lone[0].name)
        if not options.total:
            raise VariantError("has a choice in which nothing may be chosen: every weight is 0")
        return options if choice.most == choice.least == 1 else Options(tuple(_possible(options)))

    # ---- counting ----

    def _count(self, parts: Parts, trail: tuple[str, ...]) -> int:
        number = 1
        for part in parts:
            number = min(LOTS, number * self._count_part(part, trail))
        return number

    def _count_part(self, part: Part, trail: tuple[str, ...]) -> int:
        if isinstance(part, str):
            return 1
        if isinstance(part, Wildcard) and part.name in trail:
            path = " -> ".join(f"__{step}__" for step in (*trail[trail.index(part.name):], part.name))
            raise VariantError(f"uses a wildcard that contains itself: {path}")
        if part not in self._counts:
            count = self._count_wildcard if isinstance(part, Wildcard) else self._count_choice
            self._counts[part] = min(LOTS, count(part, trail))
        return self._counts[part]

    def _count_choice(self, choice: Choice, trail: tuple[str, ...]) -> int:
        counts = [self._count(option.parts, trail) for option in _possible(self.options(choice))]
        return sum(_arrangements(counts, number) for number in _numbers(choice, len(counts)))

    def _count_wildcard(self, wildcard: Wildcard, trail: tuple[str, ...]) -> int:
        if len(trail) >= MAX_DEPTH:
            raise VariantError(f"uses wildcards more than {MAX_DEPTH} deep")
        inside = (*trail, wildcard.name)
        return sum(self._count(option.parts, inside) for option in _possible(self.lines(wildcard.name)))


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


def _possible(options: Options) -> list[Option]:
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
    def __init__(self, expansion: Expansion, random: Random) -> None:
        self._expansion, self._random, self._work = expansion, random, _Work(MAX_DRAW)

    def text(self, parts: Parts) -> str:
        return "".join(self._part(part) for part in parts)

    def _part(self, part: Part) -> str:
        if isinstance(part, str):
            return self._work.spend(part)
        self._work.spend("")
        if isinstance(part, Wildcard):
            lines = self._expansion.lines(part.name)
            return self.text(lines.items[self._index(lines)].parts)
        options = self._expansion.options(part)
        numbers = _numbers(part, len(options.items))
        taken = self._several(options, numbers[int(self._random.random() * len(numbers))])
        return part.joint.join(self.text(option.parts) for option in taken)

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
    def __init__(self, expansion: Expansion) -> None:
        self._expansion, self._work = expansion, _Work(MAX_ALL)

    def texts(self, parts: Parts) -> list[str]:
        return [self._work.spend("".join(pieces)) for pieces in product(*map(self._part, parts))]

    def _part(self, part: Part) -> list[str]:
        if isinstance(part, str):
            return [part]
        if isinstance(part, Wildcard):
            return [text for option in _possible(self._expansion.lines(part.name)) for text in self.texts(option.parts)]
        options = _possible(self._expansion.options(part))
        found = (texts for number in _numbers(part, len(options)) for texts in self._joined(part, options, number))
        return list(found)

    def _joined(self, choice: Choice, options: list[Option], number: int) -> Iterator[str]:
        for taken in permutations(options, number):
            yield from map(choice.joint.join, product(*(self.texts(option.parts) for option in taken)))
