"""What may come up where a text has wildcards and variants: the lines of files and the options of choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backend.prompt.variants import MAX_DEPTH, Access, Choice, Option, Options, VariantError, Wildcard

AT_RANDOM, IN_TURN, EVERY = "~", "@", "!"

Lookup = Callable[[str, str], Options]
"""The lines behind a wildcard's name, used in a file of a folder ("" for a prompt); VariantError for an unknown one."""


class Possibilities:
    """The wildcards that `lookup` knows, each looked up once, and what choices are made from."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[tuple[str, str], Options] = {}
        self._chosen_from: dict[Choice, Options] = {}

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


class Work:
    """Counts what texts cost."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spend(self, text: str) -> str:
        self._left -= 1 + len(text)
        if self._left < 0:
            raise VariantError("grows too long when its wildcards are filled in")
        return text


def check_trail(wildcard: Wildcard, trail: Sequence[str]) -> None:
    """Raises VariantError for a wildcard within itself, or within too many others."""
    if wildcard.name in trail:
        names = (*trail[trail.index(wildcard.name):], wildcard.name)
        raise VariantError("uses a wildcard that contains itself: " + " -> ".join(f"__{name}__" for name in names))
    if len(trail) >= MAX_DEPTH:
        raise VariantError(f"uses wildcards more than {MAX_DEPTH} deep")


def check_reading(part: Access, reading: Sequence[str]) -> None:
    """Raises VariantError for a variable within its own value."""
    if part.name in reading:
        raise VariantError(f"uses the variable ${{{part.name}}} within itself")


def possible(options: Options) -> list[Option]:
    """Those that can come up, without repetitions."""
    return list({option.parts: option for option in options.items if option.weight}.values())


def numbers(choice: Choice, available: int) -> range:
    """How many options may be taken together."""
    most = available if choice.most is None else min(choice.most, available)
    return range(min(choice.least, most), most + 1)
