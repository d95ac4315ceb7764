"""Plots: cells made from axes, queued as jobs, and told of as one."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from sqlalchemy import update

from backend.catalog import request_files
from backend.errors import InvalidRequest, NotAllowed, NotFound
from backend.facade import plot_requests
from backend.facade.plot_requests import PlotOrders
from backend.image import infotext
from backend.plots.axis import Point, WrongAxis
from backend.plots.axis_values import WrongValues, read_values
from backend.plots.cells import SeedRules, cell_values, coordinates
from backend.plots.estimate import PlotCost
from backend.plots.field_axes import field_axes, field_value, record_axis
from backend.plots.infotext import plot_infotext
from backend.prompt_library.styles_csv import Style
from backend.request.field import MAX_PROMPT, Field, clean
from backend.request.guide_unit import GUIDE_UNIT
from backend.request.record import Record
from backend.request.request import FIELDS, Request
from backend.store.plot_ranks import moved_ranks
from backend.store.tables import JobRow
from backend.table import Table
from tests.guest import Guest
from tests.processor_speed import slowness
from tests.tiny.house import open_house

BASE = {"prompt": "a red cat", "seed": 5, "variation_seed": 1, "width": 64, "height": 64}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False)
    yield house
    house.close()


def picture(colour: str = "teal") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(out, "PNG")
    return out.getvalue()


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
    assert time.process_time() - began < 2 * slowness()
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
    (asked(), "axes", "at least one"),
    (asked(("Steps", "3"), ("steps", "4")), "axes.1.label", "twice"),
    (asked(("Stpes", "3")), "axes.0.label", "not an axis"),
    (asked(("Steps", "3, many")), "axes.0.values", "'many' must be a number"),
    (asked(("Steps", "2.5")), "axes.0.values", "whole number"),
    (asked(("Seed", "1"), ("CFG Scale", "7, 1000")), "axes.1.values", "'1000' must be between"),
    (asked(("Sampler", "Euler, Newton")), "axes.0.values", "'Newton' is unknown"),
    (asked(("Schedule type", "Karas")), "axes.0.values", "'Karas' is unknown; one of"),
    (asked(("Checkpoint name", "demo, nowhere")), "axes.0.values", "'nowhere' is not there; there is: demo, other"),
    (asked(("Checkpoint name", "demo, e")), "axes.0.values", "'e' means several: demo, other"),
    (asked(("Prompt S/R", "horse, dog")), "axes.0.values", "'horse' is not in the prompt"),
    (asked(("Steps", "3"), request={"cfg_scale": "much"}), "cfg_scale", "must be a number"),
    (asked(("Schedule min sigma", "0, 5"), request={"sigma_max": 2}), "axes.0.values", "'5' must be below the schedule"),
    (asked(("Steps", "1-5 (+0)")), "axes.0.values", "step of 0"),
    (asked(("Steps", "5-1")), "axes.0.values", "range without values"),
    (asked(("CFG Scale", "1-5 [0]")), "axes.0.values", "no values"),
    (asked(("ControlNet 1 weight", "0.5")), "axes.0.values", "ControlNet 1 is not in use"),
    (asked(("Steps", "1-9999999")), "axes.0.values", "9,999,999"),
    (asked(("Steps", "1"), request={"process": "Extras"}), "process", "cannot be drawn as a plot"),
])
def test_what_is_wrong_is_said_at_the_axis_and_nothing_is_queued(house: Guest, ask: dict[str, Any], field: str, message: str) -> None:
    (found,) = problems(house, ask)
    assert found[0] == field and message in found[1] and "' '" not in found[1]


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


def test_a_plot_is_moved_before_and_behind_others_also_over_a_restart(tmp_path: Path) -> None:
    house = open_house(tmp_path, start_workers=False)
    first, second = (house.plots.create(asked(("Steps", "1-3"), title=title)) for title in ("first", "second"))
    single = house.submit()
    names = {first: "a", second: "b", None: "s"}

    def order() -> str:
        queue = house._components.jobs._queue
        return "".join(names[queue.plot(job) or None] for job, _ in queue.of(house.user.id))

    assert order() == "absabab"
    house.plots.move(second, "front")
    assert order() == "bbbasaa" and [line.id for line in house.overview().jobs] == [second, first, single.id]
    assert [line.position for line in house.overview().jobs] == [1, 4, 5]
    house.plots.move(first, "end")
    assert order() == "bbbsaaa"
    house.plots.move(second, "down")
    assert order().count("b", 0, 4) == 3 and order().endswith("aaa")
    house.close()
    house = open_house(tmp_path, start_workers=False)
    assert order().endswith("aaa")
    house.plots.move(first, "up")
    house.plots.move(first, "up")
    assert order().startswith("aaa") and house.job(single.id).position > 3
    house.plots.move(first, single.id)
    assert [line.id for line in house.overview().jobs] == [second, first, single.id]
    house.plots.move(second, "end")
    house.plots.move(second, first)
    assert [line.id for line in house.overview().jobs] == [second, first, single.id], "before a plot that takes turns with the jobs"
    house.plots.move(first, first)
    with pytest.raises(NotAllowed, match="must be one of"):
        house.plots.move(first, "sideways")
    house.plots.cancel(first)
    with pytest.raises(NotAllowed, match="No cell"):
        house.plots.move(first, "up")
    with pytest.raises(NotFound):
        Guest(house, "ann").plots.move(second, "up")
    house.close()


def test_a_job_is_moved_before_a_plot_and_all_single_ones_with_it(house: Guest) -> None:
    first, second = (house.plots.create(asked(("Steps", "1-3"))) for _ in range(2))
    one, two, three = (house.submit().id for _ in range(3))
    for plot in (first, second):
        house.plots.move(plot, one)

    def shown() -> list[str]:
        return [line.id for line in house.overview().jobs]

    assert shown() == [first, second, one, two, three]
    house.move(three, second)
    assert shown() == [first, three, one, two, second]
    house.move(two, first)
    assert shown() == [two, three, one, first, second]
    cell = house.plots.get(first).cells[0].job
    for wrong, error in ((cell, NotAllowed), ("nothing", NotFound)):
        with pytest.raises(error):
            house.move(wrong, first)
    with pytest.raises(NotFound):
        Guest(house, "ann").move(one, first)
    assert shown()[3:] == [first, second]


@pytest.mark.parametrize(("ranks", "to", "expected"), [
    ({"a": 0, "b": 0, "c": 0, "": 0}, "b", {"a": -1, "c": 0, "b": 1, "": 1}),
    ({"a": 0, "b": 0, "c": 0, "": 0}, "a", {"c": -1, "a": 0, "b": 0, "": 0}),
    ({"a": 0, "b": 0, "c": 0, "": 0}, "", {"a": -2, "b": -2, "c": -1, "": 0}),
    ({"a": -1, "b": 0, "c": 2, "": 1}, "b", {"a": -3, "c": -2, "b": -1, "": 0}),
])
def test_a_plot_put_before_a_line_stands_behind_all_that_were_before_it(ranks: dict[str, int], to: str, expected: dict[str, int]) -> None:
    order, moved = ["a", "b", "", "c"], moved_ranks(ranks, "c", to, ["a", "b", "", "c"])
    assert sorted(order, key=lambda line: (moved[line], order.index(line))) == sorted(order, key=lambda line: (expected[line], order.index(line)))
    assert moved[""] == 0 and (moved["c"] < moved[to])


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


def test_a_paused_plot_is_still_paused_after_a_restart(tmp_path: Path) -> None:
    house = open_house(tmp_path, start_workers=False)
    plot, single = house.plots.create(asked(("Steps", "1-4"))), house.submit()
    house.plots.pause(plot)
    house.close()
    house = open_house(tmp_path, start_workers=False)
    assert house.plots.get(plot).state["state"] == "paused" and [job.job for job in house._components.jobs.lease("gpu", 8)] == [single.id]
    house.plots.resume(plot)
    assert len(house._components.jobs.lease("gpu", 8)) == 4
    house.close()


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
    cursor, _ = house.watch(0)
    house._components.dispatcher._scored(house.user.id, plot, [lease.cell])
    assert [event["id"] for event in house.watch(cursor, 5)[1] if event["type"] == "plot"] == [plot], "scores arrive without another count"
    cursor, _ = house.watch(0)
    house._components.dispatcher._scored(house.user.id, plot, set())
    assert [event["id"] for event in house.watch(cursor, 5)[1] if event["type"] == "plot"] == [plot], "a distance is no cell's"


@pytest.fixture
def loras(house: Guest) -> Guest:
    """Four files that are LoRAs by their place and their headers, which fit no checkpoint of this house."""
    folder = house.settings.data.parent / "Lora"
    folder.mkdir()
    for name in ("epoch-1", "epoch-2", "epoch-12", "style"):
        save_file({"lora_unet_x.lora_down.weight": np.zeros((2, 4), np.float32), "lora_unet_x.lora_up.weight": np.zeros((4, 2), np.float32)},
                  folder / f"{name}.safetensors")
    return house


def prompts(house: Guest, *axes: tuple[str, Any], **request: Any) -> list[str]:
    """What the cells draw, the first axis quickest, before styles and wildcards. What fits which checkpoint is not asked."""
    orders = PlotOrders(house._components, house.user)
    readings = orders.axes([{"label": label, "values": values} for label, values in axes], SeedRules())
    assert not [one.error for one in readings if one.error]
    chosen = [one.chosen for one in readings]
    return [cell_values({**Request().values(), **BASE, **request}, chosen, cell)["prompt"] for cell in coordinates(chosen)]


def test_loras_by_name_and_strength_are_two_axes_in_any_order(loras: Guest) -> None:
    names, weights = ("LoRA name", "epoch-1, without, epoch-2 + style:0.5"), ("LoRA strength", "0, 0.8")
    grid = ["a red cat <lora:epoch-1:0>", "a red cat", "a red cat <lora:epoch-2:0><lora:style:0.5>",
            "a red cat <lora:epoch-1:0.8>", "a red cat", "a red cat <lora:epoch-2:0.8><lora:style:0.5>"]
    assert prompts(loras, names, weights) == grid
    assert prompts(loras, weights, names) == [grid[at] for at in (0, 3, 1, 4, 2, 5)]


def test_without_is_a_strength_too(loras: Guest) -> None:
    assert prompts(loras, ("LoRA name", "epoch-1, epoch-2"), ("LoRA strength", "without, 0.5")) == [
        "a red cat", "a red cat", "a red cat <lora:epoch-1:0.5>", "a red cat <lora:epoch-2:0.5>"]
    assert prompts(loras, ("LoRA strength", "without, 0-1 [2]"), prompt="a cat <lora:style:0.7>, wide") == [
        "a cat , wide", "a cat <lora:style:0>, wide", "a cat <lora:style:1>, wide"]
    (reading,) = PlotOrders(loras._components, loras.user).axes([{"label": "LoRA strength", "values": "Without, 0"}], SeedRules())
    assert reading.chosen.shown == ["without", "0"]


def test_a_lora_takes_the_place_of_that_in_the_prompt_and_leaves_others(loras: Guest) -> None:
    there = "<lora:style:0.7> a cat <lora:epoch-1:0.3:0.4:start=0.2>, wide"
    assert prompts(loras, ("LoRA name", "epoch-1, epoch-2, without"), prompt=there) == [
        there, there.replace("epoch-1", "epoch-2"), "<lora:style:0.7> a cat , wide"]
    assert prompts(loras, ("LoRA strength", "0.5"), prompt=there) == ["<lora:style:0.5> a cat <lora:epoch-1:0.5:start=0.2>, wide"]
    assert prompts(loras, ("LoRA name", "epoch-2"), ("LoRA strength", "0.5"), prompt=there) == [
        f"{there} <lora:epoch-2:0.5>"]


@pytest.mark.parametrize(("axis", "message"), [
    (("LoRA name", "epoch-1, epoch-3"), "'epoch-3' is not there; there is: epoch-1, epoch-12, epoch-2, style"),
    (("LoRA name", "poch-1"), "'poch-1' means several: epoch-1, epoch-12"),
    (("LoRA name", "epoch-2:much"), "must be a number"),
    (("LoRA strength", "0.5"), "has no LoRA in the prompt"),
    (("LoRA strength", "5, 500"), "'500' must be between -100 and 100"),
])
def test_loras_that_are_not_meant_clearly_are_refused(loras: Guest, axis: tuple[str, str], message: str) -> None:
    ((field, found),) = problems(loras, asked(axis))
    assert field == "axes.0.values" and message in found


def test_prompt_order_wildcards_styles_and_sizes(house: Guest) -> None:
    assert prompts(house, ("Prompt order", "red, cat")) == ["a red cat", "a cat red"]
    (house.settings.data / "wildcards").mkdir()
    (house.settings.data / "wildcards" / "colour.txt").write_text("red\nblue\n2::green")
    for typed in ("colour", "__colour__"):
        assert prompts(house, ("Wildcard", typed), prompt="a __colour__ cat") == ["a red cat", "a blue cat", "a green cat"]
    assert prompts(house, ("Wildcard", '"{a|b}"'), prompt="{a|b} cat") == ["a cat", "b cat"]
    assert house.plots.choices("wildcard") == ["__colour__"]
    house.prompt_library.save_style(Style("ink", "ink drawing of {prompt}", ""))
    made = requests(house, house.plots.create(asked(("Styles", ["None", "Ink"]), ("Size", "64x128, 128 x 64"))))
    assert [(made[cell].prompts, made[cell].width, made[cell].height) for cell in ("0,0", "1,0", "1,1")] == [
        ((), 64, 128), (("ink drawing of a red cat",), 64, 128), (("ink drawing of a red cat",), 128, 64)]
    house.prompt_library.save_style(Style("a, b", "two of {prompt}", ""))
    made = requests(house, house.plots.create(asked(("Styles", '"a, b", "ink,None"'))))
    assert [made[cell].prompts for cell in ("0", "1")] == [("two of a red cat",), ("ink drawing of a red cat",)]
    made = requests(house, house.plots.create(asked(("Hires upscaler", "None, Latent"), request={"enable_hr": True})))
    assert [made[cell].hr_upscaler for cell in ("0", "1")] == ["Lanczos", "Latent"]
    for axis, message in ((("Styles", "oil"), "no style"), (("Size", "64"), "512x768"), (("Wildcard", "shape"), "not there")):
        assert message in house.plots.check(asked(axis)).problems[0].message


def test_words_are_exchanged_before_wildcards_are_filled_in(house: Guest) -> None:
    plot = house.plots.create(asked(("Prompt S/R", '"{x|y}", {p|q}'), request={"prompt": "a {x|y} cat"}))
    made = requests(house, plot)
    assert made["0"].prompts[0] in ("a x cat", "a y cat") and made["1"].prompts[0] in ("a p cat", "a q cat")


A1111_AXES = ["Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale", "Image CFG Scale", "Prompt S/R", "Prompt order",
              "Sampler", "Hires sampler", "Checkpoint name", "Negative Guidance minimum sigma", "Sigma Churn", "Sigma min", "Sigma max",
              "Sigma noise", "Schedule type", "Schedule min sigma", "Schedule max sigma", "Schedule rho", "Beta schedule alpha",
              "Beta schedule beta", "Eta", "Clip skip", "Denoising", "Initial noise multiplier", "Extra noise", "Hires upscaler", "VAE", "Styles",
              "UniPC Order", "Face restore", "Always discard next-to-last sigma", "SGM noise multiplier", "Refiner checkpoint", "Refiner switch at", "RNG source", "Size"]


def test_the_axes_of_a1111_are_there_under_its_labels(house: Guest) -> None:
    axes = {axis.label: axis for axis in house.plots.axes()}
    assert set(A1111_AXES) <= axes.keys()
    for label, axis in axes.items():
        assert axis.kind not in ("choice", "bool") or house.plots.choices(label)


SYNTAX = [
    ("Steps", "1, 2, 3", [1, 2, 3]), ("Steps", "1-5", [1, 2, 3, 4, 5]), ("Steps", "1-10 (+3)", [1, 4, 7, 10]), ("Steps", "10-1 (-3)", [10, 7, 4]),
    ("Steps", "1-5 (+2)", [1, 3, 5]), ("Steps", "1-10 [5]", [1, 3, 5, 7, 10]), ("Steps", "1,,2 ,", [1, 2]), ("Steps", "1\n2", [1, 2]), ("Steps", "1-3, 9", [1, 2, 3, 9]),
    ("CFG Scale", "0.2-1 (+0.2)", [0.2, 0.4, 0.6, 0.8, 1.0]), ("CFG Scale", "1-2 (+0.3)", [1, 1.3, 1.6, 1.9, 2.2]),
    ("CFG Scale", "1-2", [1, 2]), ("CFG Scale", "1-2 [3]", [1, 1.5, 2]), ("CFG Scale", "-1-1 (+1)", [-1, 0, 1]), ("CFG Scale", "5-4 [3]", [5, 4.5, 4]),
    ("CFG Scale", "7, 7.50", [7, 7.5]), ("Seed", "18446744073709551615", [2**64 - 1]), ("Prompt S/R", '"a, b", c', ["a, b", "c"]),
    ("Prompt S/R", "cat, , dog", ["cat", "", "dog"]), ("Tiling", "yes, False", [True, False]), ("Sampler", "euler a, Euler", ["Euler a", "Euler"]),
    ("Steps", [1, "2"], [1, 2]), ("Steps", "3-3", [3]), ("Steps", " 1 - 3 ( +1 ) ", [1, 2, 3]),
]  # fmt: skip


@pytest.mark.parametrize(("label", "typed", "values"), SYNTAX)
def test_values_are_read_as_a1111_reads_them(house: Guest, label: str, typed: Any, values: list[Any]) -> None:
    (reading,) = PlotOrders(house._components, house.user).axes([{"label": label, "values": typed}], SeedRules())
    assert (reading.error, list(reading.chosen.values)) == ("", values)
    if label in ("Steps", "Seed"):
        assert all(type(value) is int for value in reading.chosen.values)


def test_the_dry_run_counts_calls_rows_loads_and_shared_passes(house: Guest) -> None:
    def cost(*axes: tuple[str, Any], **request: Any) -> PlotCost:
        return house.plots.check(asked(*axes, request=request)).estimate.cost

    assert cost(("Steps", "10, 20"), ("CFG Scale", "1, 7"), sampler="Euler") == PlotCost(4, 60, 90, 90 * 64.0, 1, 0)
    assert cost(("Sampler", "Euler, Heun"), steps=10).calls == 10 + 19
    assert cost(("Checkpoint name", "demo, other"), ("Seed", "1-5")).loads == 2
    hires = cost(("Denoising", "0.3, 0.5, 0.7"), sampler="Euler", steps=10, enable_hr=True, hr_scale=2)
    assert hires == PlotCost(3, 40, 80, 2.0 * 10 * 64 + 3 * 2 * 10 * 256, 1, 2)
    assert cost(("Denoising", "0.5, 1"), sampler="Euler", steps=10, init_image=house.upload(picture()).id).calls == 6 + 10


@pytest.mark.parametrize(("axes", "request_", "options"), [
    ((("CFG Scale", "1-7 [9]"), ("Steps", "1-9"), ("Seed", "1-5")), {}, {}),
    ((("CFG Scale", "1-7 [9]"), ("Sampler", "Euler, Heun, DPM++ 2M"), ("Size", "64x64, 128x64"), ("Seed", "1-5")), {}, {}),
    ((("Denoising", "0-1 [6]"), ("Steps", "1-5"), ("Seed", "1-5"), ("Hires steps", "0, 3")), {"enable_hr": True}, {}),
    ((("Denoising", "0.2-1 [15]"), ("Hires CFG scale", "0-5 [15]")), {"enable_hr": True}, {"vary_seeds": ["x"]}),
    ((("Denoising", "0.2-1 [15]"), ("Hires CFG scale", "0-5 [15]")), {"enable_hr": True, "seed": -1}, {"keep_random_seeds": True}),
    ((("Prompt S/R", "cat, dog AND bird, fox"), ("CFG Scale", "0-7 [9]"), ("Seed", "1-9")), {}, {}),
    ((("Checkpoint name", "demo, other"), ("Refiner checkpoint", "None, other"), ("Refiner switch at", "0.2-0.8 [9]"), ("Seed", "1-9")), {}, {}),
])
def test_cells_that_stand_for_others_cost_what_all_of_them_do(house: Guest, monkeypatch: pytest.MonkeyPatch, axes: Any, request_: Any, options: Any) -> None:
    ask = asked(*axes, request=request_, **options)
    short = house.plots.check(ask)
    monkeypatch.setattr(plot_requests, "FEW", 10**6)
    whole = house.plots.check(ask)
    assert len(whole.costs) > 200 > len(short.costs) and sum(cost.cells for cost in short.costs) == len(whole.costs)
    assert short.estimate == whole.estimate


@pytest.mark.parametrize(("axes", "request_", "idle"), [
    ((("Denoising", "0.3, 0.5"), ("Steps", "3, 4")), {}, [0]), ((("Denoising", "0.3, 0.5"),), {"enable_hr": True}, []),
    ((("Hires steps", "3-5"), ("Prompt S/R", "cat, dog"), ("Denoising", "0.3-0.9 [100]")), {}, [0, 2]),
    ((("Refiner switch at", "0.2-0.8 [150]"), ("Refiner checkpoint", "None, other")), {}, []),
    ((("Refiner switch at", "0.2-0.8 [150]"), ("Size", "64x64, 64x128")), {}, [0]),
])
def test_axes_that_change_nothing_are_told(house: Guest, axes: Any, request_: Any, idle: list[int]) -> None:
    assert list(house.plots.check(asked(*axes, request=request_)).idle) == idle


def test_what_is_wrong_in_one_of_thousands_of_cells_is_seen_in_the_dry_run(house: Guest) -> None:
    for ask, field in (
        (asked(("Seed", "1-50"), ("Schedule min sigma", "0-1 [10]"), ("Schedule max sigma", "3, 0.5")), "axes.1.values"),
        (asked(("Seed", "1-300"), ("Prompt S/R", "cat, <lora:nowhere:1>")), "axes.1.values"),
    ):
        ((found, _), *_) = problems(house, ask)
        assert found == field


SIZES = ", ".join(f"{64 + 8 * i}x64" for i in range(50))


@pytest.mark.parametrize(("axes", "prompt", "cells", "seconds"), [
    ((("CFG Scale", "1-20 [50]"), ("Steps", "1-40"), ("Seed", "1-5")), "a cat", 10_000, 0.2),
    ((("Size", SIZES), ("Steps", "1-40")), "a {red|blue} cat", 2_000, 0.3),
])
def test_a_dry_run_of_thousands_of_cells_is_quick(house: Guest, axes: Any, prompt: str, cells: int, seconds: float) -> None:
    ask = asked(*axes, request={"prompt": prompt})
    check, taken = house.plots.check(ask), []
    for _ in range(5):      # the best one: others pay for what a whole test process has to clear away
        began = time.process_time()
        house.plots.check(ask)
        taken.append((time.process_time() - began) / slowness())
    assert min(taken) < seconds and sum(cost.cells for cost in check.costs) == cells


@pytest.mark.parametrize("axes", [[("Prompt S/R", "cat, {1|2|3|4|5|6|7|8|9} dog"), ("Seed", "1-9")], [("Detailer 1 prompt", '"eyes", "{1|2|3|4|5|6|7|8|9} eyes"'), ("Seed", "1-9")]])
def test_wildcards_are_filled_in_wherever_cells_have_them(house: Guest, monkeypatch: pytest.MonkeyPatch, axes: Any) -> None:
    monkeypatch.setattr(request_files, "_object_detector", lambda name, catalog: catalog.known[0])
    made = requests(house, house.plots.create(asked(*axes, request={"detailers": [{"enabled": True, "model": "demo"}]})))
    texts = {cell: (request.prompts or (request.prompt,), request.detailer_texts) for cell, request in made.items()}
    assert len({text for cell, text in texts.items() if cell.startswith("0")}) == 1
    assert len({text for cell, text in texts.items() if cell.startswith("1")}) > 2 and "|" not in str(texts)


def test_seconds_are_those_that_were_measured(house: Guest) -> None:
    ask = asked(("Steps", "10, 20"), request={"sampler": "Euler", "checkpoint": "demo"})
    assert house.plots.check(ask).estimate.seconds is None
    drawn = [house.submit(steps=5, sampler="Euler", cfg_scale=7) for _ in range(2)]
    moments = {drawn[0].id: (100, 104), drawn[1].id: (102, 106)}        # side by side: 6 seconds for 10 steps
    with house._components.database.write() as session:
        for job, (start, end) in moments.items():
            session.execute(update(JobRow).where(JobRow.id == job).values(
                state="done", started=datetime.fromtimestamp(start, UTC), ended=datetime.fromtimestamp(end, UTC)))
    estimate = house.plots.check(ask).estimate
    assert estimate.seconds == pytest.approx(18) and estimate.bytes == round(2 * 64 * 64 * 1.6)


def test_a_plot_is_told_in_the_settings_text_as_a1111_tells_it_and_read_back(house: Guest) -> None:
    axes = (("Seed", "-1, 7"), ("Prompt S/R", '"red cat", dog: big'), ("Steps", "10-30 (+10)"), ("CFG Scale", "7"))
    head = house.plots.get(house.plots.create(asked(*axes, vary_seeds=["x"]))).line.head
    drawn, cell = head.axes[0]["shown"], infotext.write(Request(prompt="a red cat", seed=5))
    text = plot_infotext(cell, "xyz", head.axes, head.options)
    assert text.startswith(cell)
    assert text.removeprefix(cell) == (
        f', Script: X/Y/Z plot, X Type: Seed, X Values: "-1, 7", Fixed X Values: "{drawn[0]}, 7", Y Type: Prompt S/R, '
        r'Y Values: "\"red cat\", dog: big", Z Type: Steps, Z Values: 10-30 (+10), Axis 4 Type: CFG Scale, Axis 4 Values: 7, Vary seeds: x')
    found = house.read_text(text)
    assert found.values["prompt"] == "a red cat" and not found.missing
    assert found.plot == {"kind": "xyz", "options": {"vary_seeds": ["x"]}, "axes": [
        {"label": label, "values": values if label != "Seed" else f"{drawn[0]}, 7"} for label, values in axes]}
    assert house.plots.create({**found.plot, "request": dict(found.values)})
    assert house.read_text(cell).plot is None
    assert "Fixed" not in plot_infotext(cell, "xyz", head.axes, {"keep_random_seeds": True}), "they are drawn for each cell"


def test_a_pick_list_is_kept_as_it_would_be_typed(house: Guest) -> None:
    head = house.plots.get(house.plots.create(asked(("Prompt S/R", ["red", "green, blue", 'a "quoted" one'])))).line.head
    assert head.axes[0]["shown"] == ["red", "green, blue", 'a "quoted" one']
    again = house.plots.get(house.plots.create(asked(("Prompt S/R", head.axes[0]["values"])))).line.head
    assert again.axes[0]["shown"] == head.axes[0]["shown"]


def test_fields_inside_records_are_axes_of_their_own(house: Guest) -> None:
    weight = Field("weight", "Weight", "float", 1.0, "advanced", minimum=0, maximum=2, xyz="weight")
    units = Field("units", "Unit", "records", (), "advanced", maximum=2, record=Table("units", [weight]))
    (first,), second = field_axes({"units": units}), record_axis({"units": units}, "unit 2 WEIGHT")
    assert (first.label, second.label, first.fields) == ("Unit 1 weight", "Unit 2 weight", ("units",))
    values, sources = {"units": (Record({"weight": 1.0}),)}, PlotOrders(house._components, house.user).sources
    assert read_values(first, "0-1 [3]", sources) == [0, 0.5, 1]
    assert first.change(values, Point(0.5, (0.5,)))["units"] == (Record({"weight": 0.5}),) and values["units"][0].weight == 1
    with pytest.raises(WrongAxis, match="Unit 2 is not in use"):
        second.change(values, Point(0.5, (0.5,)))
    assert not any(record_axis({"units": units}, label) for label in ("Unit 3 weight", "Unit 0 weight", "Unit 2 length", "Thing 1 weight"))


def test_a_list_of_texts_is_an_axis_of_one_text_or_none(house: Guest) -> None:
    words = Field("words", "Words", "texts", (), "extensions", xyz="Words")
    ((axis,), sources) = field_axes({"words": words}), PlotOrders(house._components, house.user).sources
    values = read_values(axis, ["red, green", ""], sources)
    assert values == ["red, green", ""]
    changed = [axis.change({"words": ("x",)}, Point(value, (value,)))["words"] for value in values]
    assert changed == [("red, green",), ()] == [clean(words, made) for made in changed]
    with pytest.raises(WrongValues, match="characters"):
        read_values(axis, ["x" * (MAX_PROMPT + 1)], sources)


def test_axes_are_there_for_as_many_units_as_a_request_may_have(house: Guest) -> None:
    unit = {"module": "reference_only", "image": house.upload(picture()).id}
    guides = [{**unit, "enabled": number >= 90} for number in range(100)]
    plot = house.plots.create(asked(("ControlNet 100 weight", "0.2, 0.4"), ("controlnet 91 End", "1, 0.5"), request={"guides": guides}))
    made = requests(house, plot)
    assert [(one.guides[99].weight, one.guides[90].end) for one in made.values()] == [(0.2, 1), (0.4, 1), (0.2, 0.5), (0.4, 0.5)]
    assert "not an axis" in house.plots.check(asked(("ControlNet 101 weight", "1"), request={"guides": guides})).problems[0].message
    assert house.plots.choices("ControlNet 100 control mode") and len(house.plots.axes()) < 300, "a list for people"


def test_pictures_are_values_by_a_name_of_their_own(house: Guest) -> None:
    red, teal = (house.upload(picture(colour)).id for colour in ("red", "teal"))
    plot = house.plots.create(asked(("Source picture", f'"red, old={red}", {teal}'), ("Denoising", "0.5")))
    head = house.plots.get(plot).line.head
    assert head.axes[0]["shown"] == ["red, old", f"picture {teal[:8]}"]
    assert [request.init_image for request in requests(house, plot).values()] == [red, teal]
    house.plots.extend(plot, 0, f"again={red}, more={house.upload(picture('blue')).id}")
    assert len(house.plots.get(plot).cells) == 4
    unit = {"enabled": True, "image": red, "module": "reference_only", "model": "None", "weight": 1}
    region = house.plots.create(asked(("Region 1 picture", f"red={red}, teal={teal}"), request={"prompt": "a AND b", "regions": [{"mask": teal}]}))
    assert [request.regions[0].mask for request in requests(house, region).values()] == [red, teal]
    plot = house.plots.create(asked(("ControlNet 1 picture", f"red={red}, teal={teal}"), request={"guides": [unit]}))
    assert [request.guides[0].image for request in requests(house, plot).values()] == [red, teal]
    plot = house.plots.create(asked(("ControlNet 1 more pictures", f"both={red} + {teal}, {teal}"), request={"guides": [unit]}))
    assert [request.guides[0].more_images for request in requests(house, plot).values()] == [(red, teal), (teal,)]


def test_what_is_wrong_with_the_request_is_no_matter_where_an_axis_mends_it(house: Guest) -> None:
    red, gone = house.upload(picture("red")).id, "0" * 64
    reference = {"enabled": True, "module": "reference_only", "image": red}
    mended = [
        ({"guides": [{**reference, "image": ""}]}, ("ControlNet 1 picture", f"red={red}")), ({"guides": [{**reference, "image": gone}]}, ("ControlNet 1 picture", f"red={red}")),
        ({"guides": [{**reference, "module": "canny"}]}, ("ControlNet 1 preprocessor", "reference_only, reference_adain")),
        ({"guides": [{**reference, "start": 0.5, "end": 0.4}]}, ("ControlNet 1 end", "0.6, 1")), ({"guides": [{**reference, "start": 0.5, "end": 0.4}]}, ("ControlNet 1 start", "0")),
        ({"mask": red}, ("Source picture", f"red={red}")), ({"init_image": gone}, ("Source picture", f"red={red}")), ({"sigma_min": 5, "sigma_max": 4}, ("Schedule max sigma", "6, 7")),
    ]
    for request, axis in mended:
        assert house.plots.check(asked(axis, request=request)).problems == (), (request, axis)
        assert house.plots.create(asked(axis, request=request))


def test_what_no_axis_mends_is_told_of_its_field(house: Guest) -> None:
    red = house.upload(picture("red")).id
    reference = {"enabled": True, "module": "reference_only", "image": red}
    other = {**reference, "image": ""}
    for request, axis, field in [
        ({"guides": [other]}, ("ControlNet 1 weight", "0.5, 1"), "guides[0].image"), ({"guides": [reference, other]}, ("ControlNet 1 picture", f"red={red}"), "guides[1].image"),
        ({"guides": [{**reference, "module": "canny"}]}, ("Seed", "1, 2"), "guides[0].model"), ({"mask": red}, ("Seed", "1"), "init_image"),
    ]:
        assert [one for one, _ in problems(house, asked(axis, request=request))] == [field]
    ((field, told),) = problems(house, asked(("ControlNet 1 preprocessor", "reference_only, canny"), request={"guides": [reference]}))
    assert (field, "'canny'" in told) == ("axes.0.values", True)


def test_no_upscaler_is_none_where_that_switches_off_and_lanczos_in_hires_fix(house: Guest) -> None:
    sources = PlotOrders(house._components, house.user).sources
    meant = {field.name: field_value(field, "none", sources) for field in FIELDS.values() if field.kind == "upscaler" and field.xyz}
    assert meant.pop("hr_upscaler") == "Lanczos" and "face_swap_upscaler" in meant and set(meant.values()) == {"None"}


def test_every_field_of_a_unit_is_an_axis() -> None:
    without = [field.name for field in GUIDE_UNIT.values() if f"ControlNet 1 {field.xyz}" not in {axis.label for axis in field_axes(FIELDS)}]
    assert without == []


@pytest.mark.parametrize(("typed", "message"), [("a red one", "'a red one' must be the id"), (f"x={'0' * 64}", "'x' is no longer there")])
def test_pictures_that_were_never_sent_are_refused_at_their_axis(house: Guest, typed: str, message: str) -> None:
    ((field, told), *_) = problems(house, asked(("Source picture", typed)))
    assert (field, message in told) == ("axes.0.values", True), told
