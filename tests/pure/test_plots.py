"""Plots: cells made from axes, queued as jobs, and told of as one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import InvalidRequest, NotAllowed, NotFound
from tests.guest import Guest
from tests.tiny.house import open_house

BASE = {"prompt": "a red cat", "seed": 5, "variation_seed": 1, "width": 64, "height": 64}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False)
    yield house
    house.close()


def asked(*axes: tuple[str, Any], request: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return {"kind": "xyz", "request": {**BASE, **(request or {})}, "options": options,
            "axes": [{"label": label, "values": values} for label, values in axes]}


def requests(house: Guest, plot: str) -> dict[str, Any]:
    """Cell -> its request."""
    return {cell.cell: house.job(cell.job).request for cell in house.plots.get(plot).cells}


def problems(house: Guest, ask: dict[str, Any]) -> list[tuple[str, str]]:
    found = [(problem.field, problem.message) for problem in house.plots.check(ask).problems]
    if found:
        with pytest.raises(InvalidRequest):
            house.plots.create(ask)
        assert house.plots.list() == [] and house.queue() == []
    return found


def test_each_cell_is_the_base_request_with_its_values(house: Guest) -> None:
    plot = house.plots.create(asked(("CFG Scale", "4, 7.5"), ("Steps", "3-5"), ("Prompt S/R", "cat, dog")))
    made = requests(house, plot)
    assert len(made) == 12
    for cell, request in made.items():
        x, y, z = map(int, cell.split(","))
        assert (request.cfg_scale, request.steps, request.prompt) == ((4, 7.5)[x], 3 + y, ("a red cat", "a red dog")[z])
        assert (request.seed, request.width) == (5, 64)


def test_two_thousand_cells_queue_in_two_seconds_and_are_one_line_of_the_queue(house: Guest) -> None:
    ask = asked(("CFG Scale", "1-20 [50]"), ("Steps", "1-40"))
    began = time.process_time()
    plot = house.plots.create(ask)
    assert time.process_time() - began < 2
    single = house.submit()
    overview = house.overview()
    assert [(line.id, line.plot, line.count, line.position) for line in overview.jobs] == [(plot, True, 2000, 1), (single.id, False, 1, 2)]
    assert overview.total == 2 and house.job(single.id).position == 2


def test_corners_are_drawn_first_and_each_checkpoint_once(house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "1-5"), ("Checkpoint name", "other, demo"), ("CFG Scale", "1-5")))
    order = [cell.cell for cell in house.plots.get(plot).cells]
    assert [cell.split(",")[1] for cell in order] == ["0"] * 25 + ["1"] * 25
    assert order[:4] == ["0,0,0", "4,0,0", "0,0,4", "4,0,4"] and set(order[4:9]) == {"2,0,0", "0,0,2", "2,0,2", "4,0,2", "2,0,4"}


@pytest.mark.parametrize(("ask", "field", "message"), [
    (asked(("Steps", "1-1000"), ("CFG Scale", "1-10 [1000]")), "axes", "1,000,000 cells"),
    (asked(("Steps", " ")), "axes.0.values", "at least one"),
    (asked(("Steps", "3"), ("steps", "4")), "axes.1.label", "twice"),
    (asked(("Stpes", "3")), "axes.0.label", "not an axis"),
    (asked(("Steps", "3, many")), "axes.0.values", "'many' must be a number"),
    (asked(("Steps", "2.5")), "axes.0.values", "whole number"),
    (asked(("Seed", "1"), ("CFG Scale", "7, 1000")), "axes.1.values", "'1000' must be between"),
    (asked(("Sampler", "Euler, Newton")), "axes.0.values", "'Newton' is unknown"),
    (asked(("Checkpoint name", "demo, nowhere")), "axes.0.values", "'nowhere' is not there; there is: demo, other"),
    (asked(("Checkpoint name", "demo, e")), "axes.0.values", "'e' means several: demo, other"),
    (asked(("Prompt S/R", "horse, dog")), "axes.0.values", "'horse' is not in the prompt"),
    (asked(("Steps", "3"), request={"cfg_scale": "much"}), "cfg_scale", "must be a number"),
    (asked(("Schedule min sigma", "0, 5"), request={"sigma_max": 2}), "axes.0.values", "'5' must be below the schedule"),
    (asked(("Steps", "1-5 (+0)")), "axes.0.values", "step of 0"),
    (asked(("Steps", "1-9999999")), "axes.0.values", "9,999,999"),
])
def test_what_is_wrong_is_said_at_the_axis_and_nothing_is_queued(house: Guest, ask: dict[str, Any], field: str, message: str) -> None:
    (found,) = problems(house, ask)
    assert found[0] == field and message in found[1]


def test_random_seeds_are_drawn_once_for_all_cells(house: Guest) -> None:
    made = requests(house, house.plots.create(asked(("Steps", "1-4"), request={"seed": -1})))
    assert len({request.seed for request in made.values()}) == 1 and min(request.seed for request in made.values()) >= 0
    made = requests(house, house.plots.create(asked(("Seed", "-1, 7"), ("Steps", "1-4"))))
    assert len({request.seed for request in made.values()}) == 2
    made = requests(house, house.plots.create(asked(("Steps", "1-4"), request={"seed": -1}, keep_random_seeds=True)))
    assert len({request.seed for request in made.values()}) == 4


def test_seeds_vary_along_the_chosen_axes_as_in_a1111(house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "1-3"), ("CFG Scale", "1-2"), ("Eta", "0, 1"), vary_seeds=["x", "z"]))
    for cell, request in requests(house, plot).items():
        x, _, z = map(int, cell.split(","))
        assert request.seed == 5 + x + 3 * z


def test_pause_cancel_and_resume_a_plot(house: Guest) -> None:
    plot, single = house.plots.create(asked(("Steps", "1-4"))), house.submit()
    house.plots.pause(plot)
    assert house.plots.get(plot).state["state"] == "paused" and house.job(single.id).position == 1
    house.plots.resume(plot)
    assert house.plots.get(plot).state["state"] == "waiting"
    house.plots.cancel(plot)
    assert house.plots.get(plot).state["state"] == "cancelled" and [line.id for line in house.overview().jobs] == [single.id]
    house.plots.resume(plot)
    assert house.plots.get(plot).state == {"id": plot, "title": "Steps", "state": "waiting", "done": 0, "failed": 0, "total": 4, "eta": None}
    with pytest.raises(NotAllowed):
        house.plots.redraw(plot, "0", whole=False)
    with pytest.raises(NotFound):
        house.plots.redraw(plot, "9", whole=False)


def test_more_values_make_only_new_cells(house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "1-2"), ("CFG Scale", "7")))
    before = {cell.cell: cell.job for cell in house.plots.get(plot).cells}
    house.plots.extend(plot, 0, "2, 9")
    house.plots.extend(plot, 1, "3")
    view = house.plots.get(plot)
    assert before.items() < {cell.cell: cell.job for cell in view.cells}.items() and len(view.cells) == 6
    assert requests(house, plot)["2,1"].steps == 9 and requests(house, plot)["2,1"].cfg_scale == 3
    assert [axis["shown"] for axis in view.line.head.axes] == [["1", "2", "9"], ["7", "3"]]
    with pytest.raises(InvalidRequest, match="not there already"):
        house.plots.extend(plot, 0, "9")


def test_other_people_have_other_plots(house: Guest) -> None:
    plot, ann = house.plots.create(asked(("Steps", "1-4"))), Guest(house, "ann")
    assert ann.plots.list() == []
    for call in (ann.plots.get, ann.plots.pause, ann.plots.cancel, ann.plots.resume, ann.plots.delete):
        with pytest.raises(NotFound):
            call(plot)
    assert house.plots.get(plot).state["state"] == "waiting"


def test_a_deleted_plot_leaves_no_job_behind(house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "1-4")))
    house.plots.delete(plot)
    assert house.plots.list() == [] and house.overview().total == 0
    with pytest.raises(NotFound):
        house.plots.get(plot)


def test_only_what_has_changed_is_told(house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "1-4")))
    view = house.plots.get(plot)
    assert len(view.cells) == 4 and house.plots.get(plot, view.cursor).cells == []
    (lease,) = house._components.jobs.lease("gpu", 1)
    change = house._components.jobs.start(lease.job, lease.token) or house._components.jobs.finish(lease.job, lease.token, "done")
    house._components.dispatcher.job_changed(change)
    news = house.plots.get(plot, view.cursor)
    assert [(cell.cell, cell.state) for cell in news.cells] == [(lease.cell, "done")]
    events = [event for event in house.watch(0)[1] if event["type"] == "plot"]
    assert [(event["id"], event["done"], event["total"]) for event in events] == [(plot, 1, 4)]
