"""/api/plots: many requests along axes, as one thing: dry run, create, look, cancel, export."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Described
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from backend import Door, InvalidRequest, NotFound
from backend.facade.plots import PlotView
from backend.http.api.idempotency import Key, digest
from backend.http.api.schemas import ID, MOMENT, PROBLEMS, FieldProblem, PicturesToo
from backend.http.dependencies import FrontDoor, Place
from backend.http.easel import plot_exports, plots
from backend.store.idempotency_keys import IdempotencyKey

router = APIRouter(prefix="/api/plots", tags=["Plots"], responses=PROBLEMS)


class AxisAsked(BaseModel):
    """An axis: a label of `GET /api/plots/axes`, and its values as one types them."""

    model_config = ConfigDict(extra="forbid")
    label: str = Described(examples=["CFG Scale"])
    values: Any = Described("", description="Text such as `1-10 [4]`, or a list.", examples=["4, 7, 10"])


class PlotAsked(BaseModel):
    """A plot to be drawn."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["xyz", "prompt_matrix", "prompts"] = "xyz"
    request: dict[str, Any] = Described({}, description="Field values by name, for all cells.",
                                        examples=[{"prompt": "a lighthouse at dawn", "steps": 8}])
    axes: list[AxisAsked] = Described([], max_length=10)
    options: dict[str, Any] = Described({}, description="`title`, `keep_random_seeds`, `vary_seeds`, ...")


class AxisTold(BaseModel):
    """An axis that a plot can have."""

    label: str = Described(examples=["CFG Scale"])
    kind: str = Described(examples=["float"])
    group: str
    cost: str = Described(description="What a change of it costs: step, image or checkpoint.")
    help: str
    has_choices: bool = Described(description="Whether it has a list of values.")
    places: int | None = Described(description="Of an axis of one of several guides or the like: how many there may "
                                               "be. Its label is the first one's, and has 2, 3, ... for the others.")


class Axes(BaseModel):
    """All axes, in the order of a menu."""

    axes: list[AxisTold]


class AxisChoices(BaseModel):
    """Values that an axis can be filled with."""

    choices: list[str]


class AxisRead(BaseModel):
    """How an axis was understood."""

    label: str
    values: list[str] = Described(examples=[["4", "7", "10"]])
    error: str = ""
    idle: bool = Described(False, description="It changes nothing.")


class DryRun(BaseModel):
    """What would become of a plot; nothing is queued."""

    axes: list[AxisRead]
    problems: list[FieldProblem]
    cells: int = Described(examples=[9])
    pictures: int = Described(examples=[9])
    calls: int = Described(description="Of networks.", examples=[90])
    loads: int = Described(description="Of checkpoints.", examples=[1])
    seconds: float | None = Described(description="Null where no speed was measured yet.")
    bytes: int = Described(description="Of files, about.")


class PlotLineTold(BaseModel):
    """A plot, and how far it is."""

    id: str = Described(examples=[ID])
    title: str = Described(examples=["CFG Scale"])
    kind: str = Described(examples=["xyz"])
    state: Literal["drawing", "waiting", "paused", "done", "cancelled"]
    done: int
    failed: int
    total: int = Described(examples=[9])
    eta: float | None = Described(description="Seconds left; null where that is not known.")
    created: str = Described(examples=[MOMENT])


class PlotList(BaseModel):
    """Plots, newest first."""

    plots: list[PlotLineTold]
    next_cursor: str | None


class CellTold(BaseModel):
    """A cell: one value of each axis, by number."""

    cell: str = Described(description="The number of its value on each axis.", examples=["0,2"])
    job: str = Described(examples=[ID])
    state: str = Described(examples=["done"])
    image: str | None = Described(description="The id of its picture.", examples=[ID])
    width: int | None
    height: int | None
    seed: int | None
    message: str
    scores: dict[str, float | None]


class Cells(BaseModel):
    """The cells that changed since a cursor."""

    cursor: int = Described(description="For `since` of the next question.")
    cells: list[CellTold]


class PlotTold(PlotLineTold):
    """A plot with its cells."""

    request: dict[str, Any]
    options: dict[str, Any]
    axes: list[AxisRead]
    cells: list[CellTold]
    cursor: int


@router.get("/axes")
def axes(door: FrontDoor) -> Axes:
    """What can be varied."""
    return Axes(axes=[AxisTold(label=axis.label, kind=axis.kind, group=axis.group, cost=axis.cost, help=axis.help,
                               has_choices=axis.choices is not None, places=axis.record and axis.record.places)
                      for axis in door.plots.axes()])


@router.get("/axes/{label:path}/choices")
def choices(door: FrontDoor, label: str) -> AxisChoices:
    """The values that an axis can be filled with; none where they are free."""
    return AxisChoices(choices=door.plots.choices(label))


@router.post("/dry-run")
async def dry_run(door: FrontDoor, asked: Annotated[PlotAsked, Body()]) -> DryRun:
    """What would become of a plot, and what it would cost; nothing is queued."""
    return DryRun(**plots.checked(await run_in_threadpool(door.plots.check, _asked(asked))))


@router.post("", status_code=201, responses={200: {"description": "Known already by its key", "model": PlotTold}})
async def create(
    door: FrontDoor, response: Response, asked: Annotated[PlotAsked, Body()], idempotency_key: Key = None,
) -> PlotTold:
    """Queues a plot: each cell is a job of its own. Every axis and field that is wrong is named."""
    if idempotency_key:
        used = IdempotencyKey(idempotency_key, digest(asked.model_dump()))
        made, is_new = await run_in_threadpool(door.plots.create_once, _asked(asked), used)
        response.status_code = 201 if is_new else 200
    else:
        made = await run_in_threadpool(door.plots.create, _asked(asked))
    response.headers["Location"] = f"/api/plots/{made}"
    return await run_in_threadpool(_told, door, made)


@router.get("")
def list_plots(
    door: FrontDoor, limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> PlotList:
    """The caller's plots, newest first."""
    try:
        lines = door.plots.list(cursor or None, limit + 1)
    except NotFound:
        raise InvalidRequest("is not the cursor of a page", field="cursor") from None
    shown = [PlotLineTold(**door.plots.state(line), kind=line.head.kind, created=line.head.created.isoformat())
             for line in lines[:limit]]
    return PlotList(plots=shown, next_cursor=shown[-1].id if len(lines) > limit else None)


@router.get("/{plot}")
def plot(door: FrontDoor, plot: str) -> PlotTold:
    """A plot with all its cells."""
    return _told(door, plot)


@router.get("/{plot}/cells")
def cells(door: FrontDoor, plot: str, since: Place = 0) -> Cells:
    """The cells that changed since the cursor of an earlier answer; one that changed just before it may come twice."""
    view = door.plots.get(plot, since)
    return Cells(cursor=view.cursor, cells=_cells(view))


@router.post("/{plot}/cancel")
def cancel(door: FrontDoor, plot: str) -> PlotTold:
    """Ends the cells that wait or are drawn; what is there stays."""
    door.plots.cancel(plot)
    return _told(door, plot)


@router.post("/{plot}/resume")
def resume(door: FrontDoor, plot: str) -> PlotTold:
    """Goes on after a cancel: cells that were left out wait again."""
    door.plots.resume(plot)
    return _told(door, plot)


@router.delete("/{plot}", status_code=204)
def delete(door: FrontDoor, plot: str, pictures: PicturesToo = False) -> None:
    """Forgets the plot, and cancels it first. Its pictures stay in the history."""
    door.plots.delete(plot, pictures=pictures)


router.add_api_route("/{plot}/export.{kind}", plot_exports.export, response_class=StreamingResponse,
                     responses={200: {"content": {"application/octet-stream": {}}}})


def _asked(asked: PlotAsked) -> dict[str, Any]:
    return plots.with_own_values(asked.model_dump())


def _told(door: Door, plot: str) -> PlotTold:
    view = door.plots.get(plot)
    head = view.line.head
    drawn = [AxisRead(label=axis.get("label", ""), values=axis.get("shown", [])) for axis in head.axes]
    return PlotTold(**view.state, kind=head.kind, created=head.created.isoformat(), request=head.request,
                    options=head.options, axes=drawn, cells=_cells(view), cursor=view.cursor)


def _cells(view: PlotView) -> list[CellTold]:
    return [CellTold(cell=cell.cell, job=cell.job, state=cell.state, image=cell.image, width=cell.width,
                     height=cell.height, seed=cell.seed, message=cell.message,
                     scores=dict(view.scores.get(cell.cell, {}))) for cell in view.cells]
