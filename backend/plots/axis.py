"""What an axis of a plot is: how its values are read, what each of them changes in a request, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.catalog.model_catalog import ModelCatalog
from backend.prompt.possibilities import Lookup

AxisKind = Literal["int", "float", "text", "choice", "bool", "file", "order", "picture"]
AxisCost = Literal["checkpoint", "vae", "image", "step", "hires"]
MAX_VALUES = 10_000         # of one axis
TXT2IMG, IMG2IMG = TABS = ("txt2img", "img2img")


@dataclass(frozen=True, slots=True)
class Sources:
    """What the values of an axis may name: model files, and the names of the person's styles and wildcards."""

    catalog: ModelCatalog
    styles: Sequence[str]
    wildcards: Lookup           # the lines behind a wildcard's name
    wildcard_names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Point:
    """One value of an axis, and all values that the axis has, the first of which some axes look for.

    `beside`: the points of the cell on its axes, by label.
    """

    value: Any
    values: Sequence[Any]
    beside: Mapping[str, Point] = field(default_factory=dict)


class WrongAxis(ValueError):
    """None of an axis' values can be used in the request, whichever it is; a sentence for the person."""


Change = Callable[[Mapping[str, Any], Point], dict[str, Any]]


def shown(value: Any) -> str:
    """As AUTOMATIC1111 labels values: numbers to 8 digits, lists with commas."""
    if isinstance(value, float):
        return f"{round(value, 8):.8f}".rstrip("0").rstrip(".")
    return ", ".join(map(shown, value)) if isinstance(value, list | tuple) else str(value)


def as_it_is(value: Any, sources: Sources) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class AxisRecord:
    """One record of a `field` that is a list of at most `places` of them: its `number` from 0, and the word for one."""

    field: str
    name: str
    number: int
    places: int


@dataclass(frozen=True, slots=True)
class Axis:
    """A row of the table of axes.

    `change` gives, of a request's values by field name, those that a value makes otherwise; ValueError says why it
    cannot. `fields` are those that it may change: what is wrong with them is said of the axis. `check` makes a value
    of what was typed, ValueError likewise; `expand` makes more values of all that was typed. Axes of a lower `rank`
    change the request first. `group` is the heading under which a menu has the axis. Values with one `alike` cost the
    same, and what can be wrong with one of them is wrong with all. `record`: which of several it changes; that has to
    be there.
    """

    label: str
    kind: AxisKind
    change: Change
    fields: tuple[str, ...] = ()
    check: Callable[[Any, Sources], Any] = as_it_is
    expand: Callable[[Sequence[Any], Sources], Sequence[Any]] | None = None
    choices: Callable[[Sources], Sequence[str]] | None = None
    show: Callable[[Any], str] = shown
    cost: AxisCost = "step"
    help: str = ""
    tabs: tuple[str, ...] = TABS
    aliases: tuple[str, ...] = ()
    rank: int = 0
    group: str = ""
    alike: Callable[[Any], Hashable] | None = None
    record: AxisRecord | None = None
