"""Scripts of AUTOMATIC1111 and its relatives that stand for fields here: by their names, arguments and settings keys.

    "alwayson_scripts": {"FreeU Integrated": {"args": [true, 1.3, 1.4, 0.9, 0.2]}}      in JSON
    freeu_enabled: True, freeu_b1: 1.3, ...                                             in a picture's text
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.request.loose_values import is_same, truth
from backend.table import Table


@dataclass(frozen=True, slots=True)
class Argument:
    """What `script-info` tells of an argument. `field`: the field that it becomes; "" where only `value` can be had.

    `keys`: those of pictures' texts under which versions of that program tell it.
    """

    label: str
    value: Any
    field: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: Sequence[str] | None = None
    idle: bool = False                  # whatever is sent means nothing, as a text on AUTOMATIC1111's page
    keys: tuple[str, ...] = ()

    def told(self, params: Mapping[str, Any]) -> Any:
        """Its value in a settings text by key; None where that leaves it out."""
        return next((params[key] for key in self.keys if key in params), None)


@dataclass(frozen=True, slots=True)
class AlwaysOnScript:
    """A script and what stands for it. The first argument says whether it acts; only then the others count.

    `sets` are field values that go with it, `adapt` makes field values of its arguments' values by field.
    """

    name: str
    arguments: tuple[Argument, ...]
    sets: Mapping[str, Any] = field(default_factory=dict)
    adapt: Callable[[dict[str, Any]], dict[str, Any]] = dict

    def values(self, given: Sequence[Any]) -> dict[str, Any]:
        """Field values of all its arguments in their order; {} where the first says no. None is the usual value."""
        if truth(given[0]) is False:
            return {}
        pairs = zip(self.arguments, given, strict=True)
        told = {argument.field: argument.value if value is None else value
                for argument, value in pairs if argument.field}
        return {**self.adapt(told), **self.sets}

    def told(self, params: Mapping[str, Any]) -> list[Any] | None:
        """Its arguments as a settings text has them by key, None for what that leaves out; None where it was off."""
        given = [argument.told(params) for argument in self.arguments]
        if self.arguments[0].keys:
            return given if truth(given[0]) else None
        return [True, *given[1:]] if any(value is not None for value in given) else None


def lacking(arguments: Sequence[Argument], given: Sequence[Any]) -> Iterator[tuple[int, Argument]]:
    """Those, by number, that ask for what cannot be had."""
    for number, (argument, value) in enumerate(zip(arguments, given, strict=True)):
        fixed = not argument.field and not argument.idle
        if fixed and value is not None and not is_same(value, argument.value):
            yield number, argument


def switch(*keys: str, field: str = "") -> Argument:
    """A first argument."""
    return Argument("Enabled", False, field, idle=not field, keys=keys)


ALWAYS_ON: Table[AlwaysOnScript] = Table("always-on scripts")
"""What extensions add."""
