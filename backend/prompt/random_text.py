"""One text drawn from a text with wildcards and variants."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice, permutations
from math import perm
from random import Random

from backend.prompt.possibilities import (
    AT_RANDOM,
    EVERY,
    IN_TURN,
    Possibilities,
    Work,
    check_reading,
    check_trail,
    numbers,
    possible,
)
from backend.prompt.variants import (
    Access,
    Assign,
    Choice,
    Option,
    Options,
    Part,
    Parts,
    Scope,
    VariantError,
    Wildcard,
)

MAX_DRAW = 200_000          # letters and parts that one text may cost, lest wildcards that double each other never end
REDRAWS = 20


class DrawnText:
    """One text being drawn: the variables that are set, and the wildcards that it stands in."""

    def __init__(self, possibilities: Possibilities, random: Random, number: int) -> None:
        self._possibilities, self._random, self._number = possibilities, random, number
        self._work = Work(MAX_DRAW)
        self._turning = False               # inside of what is taken in turn
        self._variables: dict[str, Parts] = {}
        self._trail: list[str] = []
        self._reading: list[str] = []

    def text(self, parts: Parts) -> str:
        """What is set in these parts holds in them, and in what they stand for."""
        outside = self._variables
        if any(isinstance(part, Assign) for part in parts):
            self._variables = dict(outside)
        text = "".join(map(self._part, parts))
        self._variables = outside
        return text

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
            case Scope():
                return self.text(part.parts)

    def _wildcard(self, part: Wildcard) -> str:
        if part.path:
            part = replace(part, name=self.text(part.path), path=())
        check_trail(part, self._trail)
        lines = self._possibilities.lines(part)
        turns = self._turns(part)
        option = self._whose_turn(possible(lines)) if turns else lines.items[self._index(lines)]
        self._trail.append(part.name)
        text = self._inside(part, (*part.given, *option.parts), len(possible(lines)) if turns else 0)
        self._trail.pop()
        return text

    def _choice(self, part: Choice) -> str:
        options = self._possibilities.options(part)
        counts = numbers(part, len(options.items))
        if not self._turns(part):
            taken = self._several(options, counts[int(self._random.random() * len(counts))])
            return part.joint.join(self._inside(part, option.parts) for option in taken)
        there = possible(options)
        ways = sum(perm(len(there), number) for number in counts)
        each = chain.from_iterable(permutations(there, number) for number in counts)
        way = next(islice(each, self._number % ways, None))
        return part.joint.join(self._inside(part, option.parts, ways) for option in way)

    def _turns(self, part: Wildcard | Choice) -> bool:
        return part.how in (IN_TURN, EVERY) or (self._turning and not part.how)

    def _whose_turn(self, options: Sequence[Option]) -> Option:
        return options[self._number % len(options)]

    def _inside(self, part: Wildcard | Choice, parts: Parts, turns: int = 0) -> str:
        """The text of what was taken, one of so many `turns`: it is reached once in them, and its turns count so."""
        before = self._turning, self._number
        self._turning = bool(turns) or (self._turning and part.how != AT_RANDOM)
        self._number //= turns or 1
        text = self.text(parts)
        self._turning, self._number = before
        return text

    def _assigned(self, part: Assign) -> str:
        if not (part.if_free and part.name in self._variables):
            self._variables[part.name] = (self.text(part.value),) if part.at_once else part.value
        return ""

    def _accessed(self, part: Access) -> str:
        value = self._variables.get(part.name, part.default)
        if value is None:
            raise VariantError(f"uses the variable ${{{part.name}}}, which has no value")
        check_reading(part, self._reading)
        self._reading.append(part.name)
        text = self.text(value)
        self._reading.pop()
        return text

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
