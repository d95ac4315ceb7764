"""From what somebody asks of a plot to its cells, each a whole request, checked before any of them is queued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from backend.catalog.model_file import ModelFile
from backend.errors import InvalidRequest, Problem
from backend.facade.components import Components
from backend.facade.submission import Order, Submission
from backend.plots.axis import Sources
from backend.plots.axis_table import NOTHING, axis_named
from backend.plots.axis_values import WrongValues, read_values
from backend.plots.cells import (
    MAX_CELLS,
    CellError,
    ChosenAxis,
    Coordinates,
    SeedRules,
    cell_name,
    cell_values,
    coordinates,
    drawn_seeds,
    seed_step,
    with_fixed_seeds,
)
from backend.plots.drawing_order import drawing_order
from backend.plots.estimate import CellCost, cell_costs
from backend.plots.infotext import typed_values
from backend.plots.outline import NUMBERS, idle, stands, tried
from backend.plots.prompt_matrix import MatrixRules, matrix_axes
from backend.plots.prompts_from_file import LineRules, line_axis
from backend.request import cross_field_checks
from backend.request.choices import EXTRAS
from backend.request.face_swap import OF_RESULTS
from backend.request.record import frozen
from backend.request.request import FIELDS, Request
from backend.store.history import stored_request
from backend.store.plot_reading import PlotHead
from backend.store.plots import CellDraft
from backend.store.view_types import User

T = TypeVar("T")
MAX_AXES = 10
FEW = 200               # cells that a dry run looks at one by one
MANY_PROBLEMS = 20      # are told of the cells
SIZE_FIELDS = ("width", "height", "enable_hr", "hr_scale", "hr_resize_x", "hr_resize_y")
_size = attrgetter(*SIZE_FIELDS, "checkpoint")
_typed = itemgetter("prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt", "styles", "prompt_expansion",
                    "prompt_comments", "detailers", "prompts", "enable_hr", "checkpoint", "process")
"""All that decides whether texts have something to fill in, and whether their networks fit."""
_of_pictures = itemgetter("seed", "variation_seed", "variation_strength", "batch_count", "batch_size",
                          "loopback_loops", "loopback_round", "init_image", *OF_RESULTS)
"""All that decides, beside them, what each picture gets filled in."""


@dataclass(frozen=True, slots=True)
class AxisReading:
    """An axis as it was asked for, what came of it, and what is wrong with it."""

    label: str
    typed: str
    chosen: ChosenAxis | None = None
    error: str = ""
    known: bool = True          # there is such an axis, and it is there once


@dataclass(frozen=True, slots=True)
class PlotStart:
    """A plot that is asked for: what all cells start from, its axes, and how the cells get their seeds."""

    base: Request
    axes: tuple[ChosenAxis, ...]
    seeds: SeedRules


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotOrder:
    """A plot that can be queued: its cells in the order of drawing."""

    base: Request
    axes: tuple[ChosenAxis, ...]
    cells: tuple[CellDraft, ...]


@dataclass(frozen=True, slots=True)
class Outline:
    """What drawing a plot takes, and the numbers of axes that change nothing in any of its cells."""

    costs: Sequence[CellCost]
    idle: Collection[int]


@dataclass(slots=True)
class _Memory:
    """Answers by what they depend on, so that cells that share it ask once."""

    known: dict[Hashable, Any] = field(default_factory=dict)

    def of(self, key: Hashable, answer: Callable[[], T]) -> T:
        if key not in self.known:
            self.known[key] = answer()
        return self.known[key]


class PlotOrders:
    """Makes one user's plots."""

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._submission = components, Submission(components, user)
        library = components.prompt_library.as_(user)
        self.sources = Sources(components.catalog, [style.name for style in library.styles()],
                               *components.prompt_library.known_wildcards())

    def axes(self, asked: Any, seeds: SeedRules) -> list[AxisReading]:
        """Each axis of the request, right or wrong. InvalidRequest for what is no list of axes."""
        if not isinstance(asked, list) or len(asked) > MAX_AXES:
            raise InvalidRequest(f"must be a list of at most {MAX_AXES} axes", field="axes")
        readings, labels = [], set()
        for number, one in enumerate(asked):
            if not isinstance(one, Mapping):
                raise InvalidRequest("must be an object with a label and values", field=f"axes.{number}")
            reading = self._axis(one, labels, seeds)
            labels.add(reading.label)
            readings.append(reading)
        return readings

    def grid(self, values: Mapping[str, Any], axes: Sequence[ChosenAxis], seeds: SeedRules) -> PlotStart:
        """Of these axes. InvalidRequest names the field of the request that is wrong, or `axes`."""
        _counted(axes)
        return PlotStart(self._base_of(axes, values, seeds), tuple(axes), seeds)

    def matrix(self, values: Mapping[str, Any], options: Mapping[str, Any]) -> PlotStart:
        """A prompt matrix. InvalidRequest names the field of the request, or the option."""
        base = self._base(values, SeedRules())
        axes, seeds = matrix_axes(base.values(), MatrixRules.of(options))
        return PlotStart(base, axes, seeds)

    def lines(self, values: Mapping[str, Any], options: Mapping[str, Any]) -> PlotStart:
        """Prompts from a file or textbox. Without a rule for seeds each line has what the request says: -1 is drawn."""
        rules_of_lines = LineRules.of(options)
        seeds = SeedRules(keep_random=not (rules_of_lines.iterate_seed or rules_of_lines.same_seed))
        base = self._base(values, seeds)
        axes = (line_axis(options.get("text", ""), base.values(), rules_of_lines, self.sources),)
        return PlotStart(base, axes, seeds)

    def order(self, start: PlotStart) -> PlotOrder:
        """All cells of a new plot. InvalidRequest names the axis, or the field of the request, that is wrong."""
        cells = self.cells(start.base, start.axes, start.seeds, list(coordinates(start.axes)))
        return PlotOrder(base=start.base, axes=start.axes, cells=cells)

    def outline(self, start: PlotStart) -> Outline:
        """What drawing a plot takes, its cells checked as far as they can differ. InvalidRequest as `order`."""
        base, axes, seeds = start.base, start.axes, start.seeds
        cells = _Cells(self._submission, self._parts, axes)
        if prod(len(chosen.values) for chosen in axes) <= FEW:
            requests = [order.request for _, order in cells.orders(base, seeds, list(coordinates(axes)))]
            return Outline(cell_costs(requests), idle(axes, requests))
        found = list(stands(base.values(), axes, seeds))
        wanted = dict.fromkeys([*(stand.cell for stand in found), *tried(axes)])
        made = {cell: order.request for cell, order in cells.orders(base, seeds, list(wanted))}
        costs = [CellCost(made[stand.cell], stand.cells, stand.first_passes) for stand in found]
        return Outline(costs, idle(axes, list(made.values())))

    def cells(self, base: Request, axes: Sequence[ChosenAxis], seeds: SeedRules,
              wanted: Sequence[Coordinates]) -> tuple[CellDraft, ...]:
        """These cells of a plot in the order of drawing. InvalidRequest as in `order`."""
        return _Cells(self._submission, self._parts, axes).drafts(base, seeds, wanted)

    def _base(self, values: Mapping[str, Any], seeds: SeedRules) -> Request:
        """What all cells start from. InvalidRequest names every wrong field."""
        _check_draws(values)
        return self._submission.base(values, draw_seeds=not seeds.keep_random).request

    def _base_of(self, axes: Sequence[ChosenAxis], values: Mapping[str, Any], seeds: SeedRules) -> Request:
        """The same, where what is wrong with it counts unless the axes mend it."""
        _check_draws(values)
        wrong: list[Problem] = []
        base = self._submission.base(values, draw_seeds=not seeds.keep_random, deferred=wrong).request
        ends = ([0] * len(axes), [len(chosen.values) - 1 for chosen in axes]) if wrong else ()
        for cell in ends:
            with suppress(CellError):       # told where all cells are made
                there = self._wrong(cell_values(base.values(), axes, tuple(cell)))
                wrong = [problem for problem in wrong if problem in there]
        if wrong:
            raise InvalidRequest(problems=wrong)
        return base

    def _wrong(self, values: Mapping[str, Any]) -> Sequence[Problem]:
        """What is wrong with clean values only together, or with files and pictures."""
        if problems := cross_field_checks.together(values):
            return problems
        try:
            self._submission.with_files(Request.of(values))
        except InvalidRequest as error:
            return error.problems
        return ()

    def extended(
        self, head: PlotHead, number: int, typed: Any, seeds: SeedRules
    ) -> tuple[list[ChosenAxis], tuple[CellDraft, ...]]:
        """The axes of a plot with more values on one of them, and the cells that come with these.

        Values that are there already are passed over. InvalidRequest names `axis` or `values`.
        """
        axes = [self._kept(one) for one in head.axes]
        if not 0 <= number < len(axes):
            raise InvalidRequest("is not an axis of this plot", field="axis")
        old = axes[number]
        reading = self._axis({"label": old.axis.label, "values": typed}, set(), seeds)
        if reading.chosen is None:
            raise InvalidRequest(reading.error, field="values")
        new = tuple(value for value in reading.chosen.values if value not in old.values)
        if not new:
            raise InvalidRequest("has no value that is not there already", field="values")
        axes[number] = ChosenAxis(old.axis, ", ".join(filter(None, (old.typed, reading.typed))), (*old.values, *new))
        _counted(axes)
        wanted = [cell for cell in coordinates(axes) if cell[number] >= len(old.values)]
        return axes, self.cells(stored_request(head.request), axes, seeds, wanted)

    def _kept(self, stored: Mapping[str, Any]) -> ChosenAxis:
        """An axis of a plot's row. InvalidRequest where there is no such axis any more."""
        try:
            axis = axis_named(str(stored.get("label", "")))
        except KeyError:
            raise InvalidRequest("is not an axis that Easel knows any more", field="axis") from None
        return ChosenAxis(axis, str(stored.get("values", "")), frozen(stored.get("parsed", [])))

    def _axis(self, asked: Mapping[str, Any], labels: set[str], seeds: SeedRules) -> AxisReading:
        label, typed = str(asked.get("label", "")), asked.get("values", "")
        text = typed if isinstance(typed, str) else typed_values(typed) if isinstance(typed, list) else ""
        try:
            axis = axis_named(label)
        except KeyError:
            return AxisReading(label, text, error="is not an axis that Easel knows", known=False)
        if axis.label in labels and axis is not NOTHING:
            return AxisReading(axis.label, text, error="is there twice", known=False)
        if not isinstance(typed, str | list):
            return AxisReading(axis.label, text, error="must be text or a list of values")
        try:
            values = with_fixed_seeds(axis, read_values(axis, typed, self.sources), seeds)
        except WrongValues as error:
            return AxisReading(axis.label, text, error=str(error))
        return AxisReading(axis.label, text, ChosenAxis(axis, text, values))


@dataclass(frozen=True, slots=True)
class _Files:
    """The exact names of the files that a request names, by field where they are others, and its checkpoint."""

    changes: Mapping[str, Any]
    checkpoint: ModelFile


class _Cells:
    """The requests of a plot's cells. What only depends on a few fields is asked once for each of their values."""

    def __init__(self, submission: Submission, parts: Components, axes: Sequence[ChosenAxis]) -> None:
        self._submission, self._parts, self._axes = submission, parts, axes
        self._memory, self._problems = _Memory(), dict[Problem, None]()
        self._choosing = itemgetter(*(name for name, field in FIELDS.items() if field.kind not in NUMBERS))

    def drafts(self, base: Request, seeds: SeedRules, wanted: Sequence[Coordinates]) -> tuple[CellDraft, ...]:
        """In the order of drawing. InvalidRequest as `orders`."""
        orders = self.orders(base, seeds, wanted)
        made = [(cell, order.request) for cell, order in orders]
        lengths = [len(axis.values) for axis in self._axes]
        sorted_ones = (orders[number] for number in drawing_order(made, lengths))
        return tuple(CellDraft(cell_name(cell), order.request, order.notes) for cell, order in sorted_ones)

    def orders(self, base: Request, seeds: SeedRules, wanted: Sequence[Coordinates]) -> list[tuple[Coordinates, Order]]:
        """Of each cell that is wanted. InvalidRequest names the axes and fields that are wrong."""
        values, orders = base.values(), []
        for cell in wanted:
            if order := self._cell(values, cell, seeds):
                orders.append((cell, order))
            if len(self._problems) > MANY_PROBLEMS:
                break
        if self._problems:
            raise InvalidRequest(problems=tuple(self._problems))
        return orders

    def _cell(self, base: Mapping[str, Any], cell: Coordinates, seeds: SeedRules) -> Order | None:
        """None where something is wrong with it, which joins the problems."""
        try:
            values = cell_values(base, self._axes, cell)
            return self._order(values | drawn_seeds(values, seed_step(self._axes, cell, seeds)))
        except CellError as error:
            self._problems[Problem(str(error), f"axes.{error.axis}.values")] = None
        except InvalidRequest as error:
            for problem in error.problems:
                self._problems[self._said_of_axis(problem, cell)] = None
        return None

    def _order(self, values: Mapping[str, Any]) -> Order:
        if problems := cross_field_checks.together(values):
            raise InvalidRequest(problems=problems)
        chosen = self._choosing(values)
        files = self._memory.of(("files", chosen), lambda: _caught(lambda: self._files(Request.of(values))))()
        found = {**values, **files.changes}
        drawn = Request.of(found | self._texts(found, files.checkpoint))
        order = self._submission.settled(drawn, files.checkpoint)
        size = _size(order.request)
        self._memory.of(("size", size), lambda: _caught(lambda: self._parts.dispatcher.check(order.request)))()
        return order

    def _files(self, request: Request) -> _Files:
        found = self._submission.with_files(request)
        assert found.checkpoint, "what is drawn has one"
        return _Files(_changes(request, found.request), found.checkpoint)

    def _texts(self, values: Mapping[str, Any], checkpoint: ModelFile) -> Mapping[str, Any]:
        """What styles and wildcards make of a cell's texts, found once for equal texts of equal pictures.

        InvalidRequest also for networks that do not fit.
        """
        typed = _typed(values)
        if ("plain", typed) in self._memory.known:
            return {}
        drawn = _of_pictures(values)
        texts = self._memory.of(("texts", typed, drawn), lambda: _caught(lambda: self._filled_in(values, checkpoint)))()
        if not texts:
            self._memory.known["plain", typed] = True
        return texts

    def _filled_in(self, values: Mapping[str, Any], checkpoint: ModelFile) -> Mapping[str, Any]:
        request = Request.of(values)
        resolved = self._submission.resolved(request, checkpoint)
        return {} if resolved is request else _changes(request, resolved)

    def _said_of_axis(self, problem: Problem, cell: Coordinates) -> Problem:
        """Of the axis that changes the field, where one does."""
        for number, chosen in enumerate(self._axes):
            if problem.field.partition("[")[0] in chosen.axis.fields:
                value = chosen.axis.show(chosen.values[cell[number]])[:60]
                named = problem.message.startswith((value, f"'{value}'")) and value
                return Problem(problem.message if named else f"'{value}' {problem.message}", f"axes.{number}.values")
        return problem


def _check_draws(values: Mapping[str, Any]) -> None:
    if values.get("process") == EXTRAS:
        raise InvalidRequest("cannot be drawn as a plot; it only works on pictures that are there", field="process")


def _changes(before: Request, after: Request) -> Mapping[str, Any]:
    """The values of `after` that are others than before, by field."""
    same = before.values()
    return {name: value for name, value in after.values().items() if value != same[name]}


def _counted(axes: Sequence[ChosenAxis]) -> int:
    """The number of cells. InvalidRequest for none and for too many."""
    if not axes:
        raise InvalidRequest("are missing; a plot needs at least one", field="axes")
    count = prod(len(axis.values) for axis in axes)
    if count > MAX_CELLS:
        raise InvalidRequest(f"make {count:,} cells; a plot has at most {MAX_CELLS:,}", field="axes")
    return count


def _caught(work: Callable[[], T]) -> Callable[[], T]:
    """What `work` gives, or raises, each time it is asked for, without doing it again."""
    try:
        found = work()
    except InvalidRequest as error:
        wrong = error

        def refuse() -> T:
            raise wrong

        return refuse
    return lambda: found
