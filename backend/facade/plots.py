"""What a user can do with plots: check, draw, look, pause, extend, forget. Part of the facade."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backend.errors import InvalidRequest, NotAllowed, NotFound, Problem
from backend.facade.components import Components
from backend.facade.plot_estimates import PlotEstimate
from backend.facade.plot_exports import PlotExports
from backend.facade.plot_requests import AxisReading, PlotOrder, PlotOrders, PlotStart
from backend.facade.plot_scores import PlotScores
from backend.plots.axis import Axis
from backend.plots.axis_table import all_axes, axis_named
from backend.plots.cells import ChosenAxis, SeedRules
from backend.plots.estimate import CellCost
from backend.plots.infotext import SCRIPTS
from backend.request.record import plain
from backend.store.idempotency_keys import IdempotencyKey
from backend.store.job_arrival import MayQueue
from backend.store.plot_reading import Cell
from backend.store.plots import LONGEST_TITLE, CellDraft, PlotDraft, PlotLine
from backend.store.view_types import User

TOLD = 80           # letters of a prompt in a title
VARIED = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class PlotCheck:
    """What would become of a plot that is asked for; without `costs` where something is wrong.

    `costs` are those of its cells, or of a few that stand for the others; `order` only where it is to be drawn. `idle`
    are the numbers of axes that change nothing.
    """

    axes: Sequence[AxisReading]
    problems: tuple[Problem, ...] = ()
    order: PlotOrder | None = None
    costs: Sequence[CellCost] = ()
    idle: Collection[int] = ()
    estimate: PlotEstimate | None = None


@dataclass(frozen=True, slots=True)
class PlotView:
    """A plot, how far it is, its cells, and the cursor after which changes are news."""

    line: PlotLine
    state: Mapping[str, Any]
    cells: Sequence[Cell]
    cursor: int
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)      # by cell and kind


class UserPlots:
    """The plots of one user; someone else's are NotFound."""

    def __init__(self, components: Components, user: User) -> None:
        self._parts, self._user, self._owner = components, user, user.id
        self._plots, self._dispatcher = components.plots, components.dispatcher
        self.scores = PlotScores(components, user)
        self.exports = PlotExports(components, user)

    # ---- axes ----

    def axes(self) -> list[Axis]:
        """All that there are."""
        return list(all_axes().values())

    def choices(self, label: str) -> list[str]:
        """The values from which an axis chooses, [] where they are free. NotFound."""
        try:
            axis = axis_named(label)
        except KeyError:
            raise NotFound("There is no such axis.") from None
        return list(axis.choices(PlotOrders(self._parts, self._user).sources)) if axis.choices else []

    # ---- making ----

    def check(self, asked: Mapping[str, Any]) -> PlotCheck:
        """What would become of a plot, with what drawing it takes; nothing is queued.

        InvalidRequest for what is no plot at all.
        """
        check = self._checked(asked, draws=False)
        if not check.costs:
            return check
        try:
            self._parts.limits.check(self._owner, [cost.request for cost in check.costs], self._parts.uploads)
            self._parts.limits.check_queued(self._owner, sum(cost.cells for cost in check.costs))
        except InvalidRequest as error:
            return PlotCheck(check.axes, error.problems, idle=check.idle)
        return replace(check, estimate=self._parts.plot_estimates.of(check.costs))

    def _checked(self, asked: Mapping[str, Any], *, draws: bool) -> PlotCheck:
        """With its order if it draws one."""
        orders, options = PlotOrders(self._parts, self._user), _options(asked)
        kind, seeds = asked.get("kind", "xyz"), _seed_rules(options)
        if kind not in SCRIPTS:
            raise InvalidRequest(f"must be one of {', '.join(SCRIPTS)}", field="kind")
        if kind != "xyz":
            return _scripted(orders, kind, _request(asked), options, draws=draws)
        readings = orders.axes(asked.get("axes", []), seeds)
        problems = [Problem(one.error, f"axes.{number}.{'values' if one.known else 'label'}")
                    for number, one in enumerate(readings) if one.error]
        if problems:
            return PlotCheck(readings, tuple(problems))
        axes = [one.chosen for one in readings if one.chosen]
        try:
            return _judged(orders, orders.grid(_request(asked), axes, seeds), readings, draws=draws)
        except InvalidRequest as error:
            return PlotCheck(readings, error.problems)

    def create_once(self, asked: Mapping[str, Any], used: IdempotencyKey) -> tuple[str, bool]:
        """As `create`, and whether it is a new one: under a key that was used for this request it is the former plot.

        NotAllowed when that was deleted.
        """
        with self._parts.idempotency.using(used.key, self._owner) as known:
            if known is None:
                return self.create(asked, used), True
            known.check(used)
            if not known.plot:
                raise NotAllowed("The plot of this Idempotency-Key was deleted.")
            return known.plot, False

    def create(self, asked: Mapping[str, Any], used: IdempotencyKey | None = None) -> str:
        """Queue a plot; its id. InvalidRequest names every axis and field that is wrong."""
        check, options = self._checked(asked, draws=True), _options(asked)
        if check.order is None:
            raise InvalidRequest(problems=check.problems)
        title = _title(options.get("title"), str(asked.get("kind", "xyz")), check.order)
        axes = [_axis(one) for one in check.order.axes]
        draft = PlotDraft(title=title, kind=str(asked.get("kind", "xyz")), axes=axes,
                          request=check.order.base.to_json(), options=options)
        self._check_limits(check.order.cells)
        plot = self._plots.create(self._owner, draft, check.order.cells, used, self._admission)
        self._dispatcher.plot_changed(self._owner, plot)
        return plot

    # ---- looking ----

    def list(self, before: str | None = None, limit: int = 50) -> list[PlotLine]:
        """Newest first; `before` is the id of the last one already seen."""
        return self._plots.lines(self._owner, before, limit)

    def state(self, line: PlotLine) -> dict[str, Any]:
        """How far a plot is."""
        return self._dispatcher.plot_state(line)

    def get(self, plot: str, since: int = 0) -> PlotView:
        """The plot with those of its cells that changed after a cursor; 0 gives all of them."""
        cursor, changed = self._dispatcher.plot_changes.since(plot, since)
        line = self._plots.line(plot, self._owner)
        board = self.scores.board(plot, changed)
        return PlotView(line, self.state(line), self._plots.cells(plot, self._owner, changed), cursor,
                        board.values() if board else {})

    # ---- its life ----

    def pause(self, plot: str) -> None:
        """Let no cell start until `resume`; what is drawn is finished."""
        self._dispatcher.recall(self._owner, self._plots.pause(plot, self._owner, on=True))
        self._dispatcher.plot_changed(self._owner, plot)

    def resume(self, plot: str) -> None:
        """Go on; cells that were cancelled wait again."""
        self._plots.again(plot, self._owner, "cancelled", admission=self._admission)
        self._plots.pause(plot, self._owner, on=False)
        self._dispatcher.plot_changed(self._owner, plot)

    def move(self, plot: str, to: str) -> None:
        """Let its cells come before or behind the user's other plots and jobs: "front", "up", "down" or "end".

        NotAllowed where none of them waits.
        """
        self._plots.head(plot, self._owner)
        self._dispatcher.recall(self._owner, self._parts.jobs.move_plot(plot, self._owner, to))

    def cancel(self, plot: str) -> None:
        """End what waits at once, what is drawn within a network call; what is there stays."""
        self._plots.head(plot, self._owner)
        over, running = self._parts.jobs.cancel_all(self._owner, "queued", "running", plot=plot)
        self._dispatcher.taken_back(self._owner, over)
        for job in running:
            self._dispatcher.cancel(job)
        self._dispatcher.plot_changed(self._owner, plot)

    def delete(self, plot: str, *, pictures: bool = False) -> None:
        """Forget a plot, and put its pictures into the bin if that is wanted; else they stay in the history."""
        self.cancel(plot)
        made = self._plots.delete(plot, self._owner)
        if pictures and made:
            self._parts.gallery.bin.put(made, self._owner)
        self._dispatcher.plot_gone(self._owner, plot)

    def rename(self, plot: str, title: str) -> None:
        """InvalidRequest for a title that is none."""
        self._plots.rename(plot, self._owner, title)
        self._dispatcher.plot_changed(self._owner, plot)

    def retry(self, plot: str) -> None:
        """Draw all cells that failed once more."""
        self._plots.again(plot, self._owner, "failed", admission=self._admission)
        self._dispatcher.plot_changed(self._owner, plot)

    def redraw(self, plot: str, cell: str, *, whole: bool) -> None:
        """Draw a cell that has ended once more: what it lacks, or with `whole` all of it. NotFound, NotAllowed."""
        self._plots.redraw(plot, self._owner, cell, whole, self._admission)
        self._dispatcher.plot_changed(self._owner, plot)

    def extend(self, plot: str, axis: int, typed: Any) -> None:
        """Add values to the axis number `axis`; the cells that are there stay. InvalidRequest names what is wrong."""
        head = self._plots.head(plot, self._owner)
        if head.kind != "xyz":
            raise NotAllowed("Only the axes of an X/Y/Z plot can get more values.")
        orders, seeds = PlotOrders(self._parts, self._user), _seed_rules(head.options)
        longer, cells = orders.extended(head, axis, typed, seeds)
        self._check_limits(cells)
        self._plots.extend(plot, self._owner, [_axis(one) for one in longer], cells, self._admission)
        self._dispatcher.plot_changed(self._owner, plot)

    def _check_limits(self, cells: Sequence[CellDraft]) -> None:
        """InvalidRequest where the user may not ask for one of these; how many there may be, `_admission` says."""
        self._parts.limits.check(self._owner, [cell.request for cell in cells], self._parts.uploads)

    @property
    def _admission(self) -> MayQueue | None:
        return self._parts.limits.admission(self._owner)


def _judged(orders: PlotOrders, start: PlotStart, readings: Sequence[AxisReading], *, draws: bool) -> PlotCheck:
    """With its order if it draws one. InvalidRequest."""
    if draws:
        return PlotCheck(readings, order=orders.order(start))
    outline = orders.outline(start)
    return PlotCheck(readings, costs=outline.costs, idle=outline.idle)


def _scripted(orders: PlotOrders, kind: str, request: Mapping[str, Any], options: Mapping[str, Any], *,
              draws: bool) -> PlotCheck:
    """Of a plot whose axes follow from its prompt, or from lines of text."""
    try:
        start = orders.matrix(request, options) if kind == "prompt_matrix" else orders.lines(request, options)
        return _judged(orders, start, [AxisReading(one.axis.label, one.typed, one) for one in start.axes], draws=draws)
    except InvalidRequest as error:
        place = "options.text" if kind == "prompts" else "prompt"
        return PlotCheck((), tuple(Problem(one.message, place if one.field.startswith("axes.") else one.field)
                                   for one in error.problems))


def _options(asked: Mapping[str, Any]) -> dict[str, Any]:
    options = asked.get("options") or {}
    if not isinstance(options, Mapping):
        raise InvalidRequest("must be an object", field="options")
    return dict(options)


def _request(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    request = asked.get("request") or {}
    if not isinstance(request, Mapping):
        raise InvalidRequest("must be an object of settings by name", field="request")
    return request


def _seed_rules(options: Mapping[str, Any]) -> SeedRules:
    vary = options.get("vary_seeds") or []
    if not isinstance(vary, list) or not all(letter in VARIED for letter in vary):
        raise InvalidRequest(f"must be a list of {', '.join(VARIED)}", field="options.vary_seeds")
    return SeedRules(bool(options.get("keep_random_seeds")), frozenset(vary))


def _title(asked: Any, kind: str, order: PlotOrder) -> str:
    axes = " × ".join(one.axis.label for one in order.axes)
    own = {"prompt_matrix": order.base.prompt, "prompts": order.axes[0].typed.strip().split("\n")[0]}.get(kind)
    wanted = " ".join(str(asked or "").split()) or (axes if own is None else f"{SCRIPTS[kind]}: {own[:TOLD]}")
    return wanted[:LONGEST_TITLE] or "Plot"


def _axis(chosen: ChosenAxis) -> dict[str, Any]:
    return {"label": chosen.axis.label, "values": chosen.typed, "parsed": plain(chosen.values), "shown": chosen.shown}
