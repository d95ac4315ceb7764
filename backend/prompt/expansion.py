"""Texts out of a text with wildcards and variants: one at random, all of them, or how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, permutations, product
from random import Random

from backend.prompt.possibilities import (
    EVERY,
    Lookup,
    Possibilities,
    Work,
    check_reading,
    check_trail,
    numbers,
    possible,
)
from backend.prompt.random_text import DrawnText
from backend.prompt.variants import (
    Access,
    Assign,
    Choice,
    Option,
    Part,
    Parts,
    Scope,
    VariantError,
    Wildcard,
    is_plain,
)

LOTS = 10**12               # counts stop here
MAX_ALL = 10_000_000        # the letters and parts that all texts together may cost
MAX_VARIABLES = 100         # of one text, those that it gets from outside with them
DRAWN: Parts = ()           # in the place of a value that is drawn with the picture


@dataclass(frozen=True, slots=True)
class Known:
    """What counts where a part stands.

    `listed`: each possibility of what has no sign of its own is wanted, and not one of them. `variables` are those that
    are set, `reading` those whose value the part belongs to.
    """

    listed: bool
    variables: tuple[tuple[str, Parts], ...] = ()
    reading: tuple[str, ...] = ()

    def lists(self, part: Wildcard | Choice) -> bool:
        return part.how == EVERY or (self.listed and not part.how)

    def within(self, part: Wildcard | Choice) -> Known:
        """Inside a part, for which its sign holds too."""
        return replace(self, listed=True) if part.how == EVERY else self

    def sets(self, part: Assign) -> bool:
        return not part.if_free or part.name not in dict(self.variables)

    def assigned(self, name: str, value: Parts) -> Known:
        others = tuple(pair for pair in self.variables if pair[0] != name)
        if len(others) >= MAX_VARIABLES:
            raise VariantError(f"sets more than {MAX_VARIABLES} variables")
        return replace(self, variables=(*others, (name, value)))

    def value(self, part: Access) -> Parts | None:
        """What a variable stands for; None for one without a value. VariantError for one within itself."""
        check_reading(part, self.reading)
        return dict(self.variables).get(part.name, part.default)

    def inside(self, part: Access) -> Known:
        """In the value of a variable."""
        return replace(self, reading=(*self.reading, part.name))


class Expansion:
    """What texts stand for, with the wildcards that `lookup` knows.

    `combinatorial`: what has no sign of its own is listed, not drawn.
    """

    def __init__(self, lookup: Lookup, combinatorial: bool = False) -> None:
        self.possibilities, self._start = Possibilities(lookup), Known(combinatorial)
        self._counts: dict[tuple[Part, Known], int] = {}

    def count(self, parts: Parts) -> int:
        """How many `variants` there are, at most `LOTS`.

        Raises VariantError for a wildcard that is unknown, empty or within itself, wherever one is listed.
        """
        return self._count(parts, self._start, ())

    def variants(self, parts: Parts) -> list[Parts]:
        """The parts with each choice that is listed made, the last one changing fastest; ask `count` before.

        What is drawn from picture to picture stays in them. VariantError as there.
        """
        return _All(self).variants(parts, self._start)

    def draw(self, parts: Parts, random: Random, number: int = 0) -> str:
        """One text; only `random.random()` is asked, so that equal seeds give equal texts.

        `number`: of the picture, for what is taken in turn. Raises VariantError for what is reached and cannot be
        resolved, and for nothing else.
        """
        text = DrawnText(self.possibilities, random, number).text(parts)
        return text.strip() if any(isinstance(part, Assign) for part in parts) else text

    def named(self, wildcard: Wildcard, known: Known) -> list[Wildcard]:
        """The wildcard by each of the names that the variables in its name make."""
        if not wildcard.path:
            return [wildcard]
        names = _All(self).variants(wildcard.path, known)
        if not all(map(is_plain, names)):
            raise VariantError(f"lists the wildcard __{wildcard.name}__, whose name is drawn with each picture; "
                               "write a choice of whole wildcards in its place")
        return [replace(wildcard, name="".join(map(str, name)), path=()) for name in names]

    # ---- counting ----

    def _count(self, parts: Parts, known: Known, trail: tuple[str, ...]) -> int:
        number = 1
        for part in parts:
            if not isinstance(part, Assign):
                number = min(LOTS, number * self._count_part(part, known, trail))
            elif known.sets(part):
                number = min(LOTS, number * (self._count(part.value, known, trail) if part.at_once else 1))
                known = known.assigned(part.name, part.value if is_plain(part.value) or not part.at_once else DRAWN)
        return number

    def _count_part(self, part: Part, known: Known, trail: tuple[str, ...]) -> int:
        if isinstance(part, str):
            return 1
        if isinstance(part, Wildcard):
            check_trail(part, trail)
        key = part, known
        if key not in self._counts:
            self._counts[key] = min(LOTS, self._count_anew(part, known, trail))
        return self._counts[key]

    def _count_anew(self, part: Part, known: Known, trail: tuple[str, ...]) -> int:
        match part:
            case Choice() if known.lists(part):
                return self._count_choice(part, known.within(part), trail)
            case Wildcard() if known.lists(part):
                return sum(self._count_lines(one, known.within(part), trail) for one in self.named(part, known))
            case Access():
                value = known.value(part)
                return self._count(value, known.inside(part), trail) if value else 1
        return 1

    def _count_lines(self, wildcard: Wildcard, known: Known, trail: tuple[str, ...]) -> int:
        check_trail(wildcard, trail)
        inside = (*trail, wildcard.name)
        return sum(self._count((*wildcard.given, *option.parts), known, inside)
                   for option in possible(self.possibilities.lines(wildcard)))

    def _count_choice(self, choice: Choice, known: Known, trail: tuple[str, ...]) -> int:
        counts = [self._count(option.parts, known, trail) for option in possible(self.possibilities.options(choice))]
        return sum(_arrangements(counts, number) for number in numbers(choice, len(counts)))


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


class _All:
    """Every way to make the choices that are listed."""

    def __init__(self, expansion: Expansion) -> None:
        self._expansion, self._work = expansion, Work(MAX_ALL)

    def variants(self, parts: Parts, known: Known) -> list[Parts]:
        """The ways of parts between two assignments are those of each, as nothing in them changes what is known."""
        ways: list[tuple[Parts, Known]] = [((), known)]
        places = [number for number, part in enumerate(parts) if isinstance(part, Assign)]
        for start, end in zip([0, *(number + 1 for number in places)], [*places, len(parts)], strict=True):
            ways = [((*before, *chain.from_iterable(pieces)), known) for before, known in ways
                    for pieces in product(*(self._part(part, known) for part in parts[start:end]))]
            if end < len(parts):
                ways = [((*before, *way), then) for before, known in ways
                        for way, then in self._assigned(parts[end], known)]
        return [self._whole(way) for way, _ in ways]

    def _whole(self, parts: Parts) -> Parts:
        """Neighbouring texts as one."""
        whole: list[Part] = []
        for part in parts:
            if whole and isinstance(part, str) and isinstance(whole[-1], str):
                whole[-1] += part
            else:
                whole.append(part)
        for part in whole:
            self._work.spend(part if isinstance(part, str) else "")
        return tuple(whole)

    def _part(self, part: Part, known: Known) -> list[Parts]:
        match part:
            case Wildcard() if known.lists(part):
                names, inside = self._expansion.named(part, known), known.within(part)
                return [way for one in names for way in self._lines(one, inside)]
            case Choice() if known.lists(part):
                options = possible(self._expansion.possibilities.options(part))
                counts = numbers(part, len(options))
                return [way for number in counts for way in self._joined(part, options, number, known.within(part))]
            case Access():
                value = known.value(part)
                return self._scoped(value, known.inside(part)) if value else [(part,)]
        return [(part,)]

    def _assigned(self, part: Part, known: Known) -> list[tuple[Parts, Known]]:
        """What an assignment leaves of itself, for what is drawn with the picture, and what is known behind it."""
        if not isinstance(part, Assign) or not known.sets(part):
            return [((), known)]
        if not part.at_once:
            return [((part,), known.assigned(part.name, part.value))]
        return [((replace(part, value=way),), known.assigned(part.name, way if is_plain(way) else DRAWN))
                for way in self.variants(part.value, known)]

    def _lines(self, part: Wildcard, known: Known) -> list[Parts]:
        return [way for option in possible(self._expansion.possibilities.lines(part))
                for way in self._scoped((*part.given, *option.parts), known)]

    def _joined(self, choice: Choice, options: list[Option], number: int, known: Known) -> Iterator[Parts]:
        for taken in permutations(options, number):
            for ways in product(*(self._scoped(option.parts, known) for option in taken)):
                joints = [(choice.joint,)] * len(ways)
                pieces = [piece for pair in zip(joints, ways, strict=True) for piece in pair][1:]
                yield self._whole(tuple(chain.from_iterable(pieces)))

    def _scoped(self, parts: Parts, known: Known) -> list[Parts]:
        """The ways of parts; what they set holds in them alone."""
        ways = self.variants(parts, known)
        return [(Scope(way),) if any(isinstance(part, Assign) for part in way) and not is_plain(rest) else rest
                for way in ways for rest in [tuple(part for part in way if not isinstance(part, Assign))]]
