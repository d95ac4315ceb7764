"""Plots on the page: from the fold of scripts to the grid, which fills, is laid out, compared, and drawn further."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Locator, Page, Route, expect

from backend import LOCAL
from tests.browser.conftest import PHONE, Stage
from tests.browser.house import Past
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_extras import png

COLUMNS = ["cell", "job", "state", "image", "thumb", "width", "height", "seed", "message", "scores"]

NOTHING_KEPT = """async tab => { const { keepPlot } = await import('easel/parts/plot_form/form_state.js'), axis = { label: '', values: '' };
  keepPlot(tab, { script: '', axes: [axis, axis], options: {}, text: '' }); }"""


def unfolded(stage: Studio, script: str = "X/Y/Z plot") -> Locator:
    """The fold of scripts with one of them chosen, and nothing else yet."""
    stage.page.evaluate(NOTHING_KEPT, stage.tab)
    stage.box("plot_fold").locator("> button").click()
    fold = stage.box("plot").locator(".plot-fold")
    fold.get_by_label("Script").select_option(script)
    return fold


def axis(fold: Locator, letter: str, label: str, values: str) -> None:
    fold.get_by_label(f"Type of axis {letter}").select_option(label)
    fold.get_by_label(f"Values of axis {letter}", exact=True).fill(values)


def cell(page: Page, key: str) -> Locator:
    return page.locator(f'.plot-cell[data-key="{key}"]')


def done(page: Page, count: int) -> None:
    expect(page.locator(".plot-state")).to_have_text(re.compile(rf"^Done · {count} of {count}"), timeout=PATIENCE)


def heads(page: Page) -> list[str]:
    return page.locator(".plot-column").all_inner_texts()


def sides(page: Page) -> list[str]:
    return page.locator(".plot-side").all_inner_texts()


@pytest.fixture(autouse=True)
def no_plots(house: Stage) -> None:
    plots = house.backend.as_(LOCAL).plots
    for line in plots.list():
        plots.delete(line.head.id)


def test_from_the_form_to_the_grid_and_back(house: Stage, stage: Studio, page: Page) -> None:
    assert not page.evaluate("performance.getEntriesByType('resource').filter(one => one.name.includes('plots.css')).length"), "nothing of it is loaded before"
    stage.ready()
    stage.fill(prompt="a fox", steps=2)
    fold = unfolded(stage)
    fold.get_by_role("button", name="Search what axis X changes").click()
    page.get_by_label("Search the settings").last.fill("cfg scale")
    page.keyboard.press("Enter")
    expect(fold.get_by_label("Type of axis X")).to_have_value("CFG Scale")
    expect(fold.get_by_label("Values of axis X", exact=True)).to_be_focused()
    assert fold.locator(".problem:visible").count() == 0, "nothing is typed yet"
    axis(fold, "X", "Denoising", "0.2, 0.4")
    expect(fold.locator(".axis-idle:visible")).to_have_count(1)
    axis(fold, "X", "CFG Scale", "1-3")
    axis(fold, "Y", "Seed", "1, many")
    expect(fold.locator(".axis", has_text="must be a number").get_by_label("Values of axis Y", exact=True)).to_have_attribute("aria-invalid", "true")
    fold.get_by_label("Values of axis Y", exact=True).fill("1, 60")
    expect(fold.locator(".axis :is(.problem, .axis-idle):visible")).to_have_count(0)
    expect(fold.locator(".plot-cost")).to_contain_text("6 pictures")
    expect(stage.button("generate")).to_have_attribute("data-plot", "plot × 6")
    fold.get_by_role("button", name="Swap Y with the axis above").click()
    expect(fold.get_by_label("Values of axis X", exact=True)).to_have_value("1, 60")
    fold.get_by_role("button", name="Swap Y with the axis above").click()
    page.reload()
    stage.settled()
    expect(stage.button("generate")).to_have_attribute("data-plot", re.compile("plot"))
    stage.field("prompt").focus()
    page.keyboard.press("Control+Enter")
    page.get_by_role("link", name="Show the plot").first.click()
    expect(cell(page, "0,0")).to_have_attribute("data-state", "done", timeout=PATIENCE)
    done(page, 6)
    assert (heads(page), sides(page)) == (["1", "2", "3"], ["1", "60"])
    page.get_by_role("button", name="Add values…").click()
    sheet = page.get_by_role("dialog", name="Add values to an axis")
    sheet.get_by_label("New values").fill("x")
    page.keyboard.press("Enter")
    expect(sheet.get_by_role("alert")).to_contain_text("must be a number")
    sheet.get_by_label("New values").fill("9")
    page.keyboard.press("Enter")
    done(page, 8)
    assert heads(page) == ["1", "2", "3", "9"]
    cell(page, "2,1").focus()
    page.locator('.cell-bar [data-act="reuse"]').click()
    stage.shows(prompt="a fox", steps=2, cfg_scale=3, seed=60)
    expect(stage.button("generate")).not_to_have_attribute("data-plot", re.compile("."))
    stage.button("generate").click()
    stage.wait_pictures(9)
    again, of_cell = house.requests()[-1], next(one for one in house.requests() if (one.cfg_scale, one.seed) == (3, 60))
    assert again == of_cell, "the cell's own settings draw one picture, not the plot again"
    page.go_back()
    page.get_by_role("button", name="Repeat with changes").click()
    fold = stage.box("plot").locator(".plot-fold")
    expect(fold.get_by_label("Values of axis X", exact=True)).to_have_value("1-3, 9")
    stage.shows(prompt="a fox", steps=2)


def test_pictures_are_an_axis_and_the_list_of_axes_is_short(stage: Studio, page: Page) -> None:
    stage = stage.ready().into("img2img")
    fold = unfolded(stage)
    fold.get_by_role("button", name="Search what axis X changes").click()
    sheet = page.get_by_role("dialog", name="What the axis changes")
    expect(sheet.get_by_role("heading", name="Seed")).to_be_visible()
    assert not sheet.get_by_text("ControlNet").count(), "units that are not in use have nothing to change"
    page.keyboard.type("source")
    expect(sheet.locator(".axis-type b").first).to_have_text("Source picture")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    pictures = fold.get_by_label("Pictures of axis X")
    expect(pictures).to_be_focused()
    pictures.set_input_files([{"name": name, "mimeType": "image/png", "buffer": png((48, height))} for name, height in (("a, red.png", 32), ("blue.png", 40), ("green.png", 48))])
    expect(fold.locator(".axis-pictures li")).to_have_text(["a red", "blue", "green"])
    fold.get_by_role("button", name="Remove green").click()
    fold.get_by_role("button", name="Search what axis Y changes").click()
    assert page.locator(".axis-types section").first.get_by_role("button").all_inner_texts() == ["Source picture\nThe picture to start from."], "used last"
    page.keyboard.press("Escape")
    axis(fold, "Y", "Denoising", "0.4, 0.8")
    fold.get_by_role("button", name="Draw plot").click()
    done(page, 4)
    assert heads(page) == ["a red", "blue"]
    assert len({page.locator(f'.plot-cell[data-key="{x},0"] img').get_attribute("src") for x in (0, 1)}) == 2
    page.get_by_role("button", name="Add values…").click()
    page.get_by_role("dialog").get_by_label("Pictures of axis X").set_input_files({"name": "green.png", "mimeType": "image/png", "buffer": png((48, 48))})
    expect(page.get_by_role("dialog").locator(".axis-pictures li")).to_have_text(["green"])
    page.get_by_role("button", name="Draw them").click()
    done(page, 6)
    assert heads(page) == ["a red", "blue", "green"]
    page.get_by_role("button", name="Repeat with changes").click()
    expect(stage.box("plot").locator(".axis-pictures li")).to_have_text(["a red", "blue", "green"])


def drawn(stage: Studio, prompt: str, *axes: tuple[str, str], script: str = "X/Y/Z plot") -> None:
    """A plot that is shown as soon as it is asked for."""
    stage.ready()
    stage.fill(prompt=prompt, steps=1)
    fold = unfolded(stage, script)
    for letter, (label, values) in zip("XYZ", axes, strict=False):
        if letter == "Z":
            fold.get_by_role("button", name="Add an axis").click()
        axis(fold, letter, label, values)
    fold.get_by_role("button", name="Draw plot").click()
    expect(stage.page.locator(".plot-sheet[role=grid]")).to_be_visible(timeout=PATIENCE)


def test_the_grid_by_keyboard(desk: Studio) -> None:
    page = desk.page
    drawn(desk, "a fox", ("Seed", "1, 60, 120"), ("CFG Scale", "1, 2"), ("Eta", "0, 1"))
    done(page, 12)
    cell(page, "0,0,0").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(cell(page, "1,1,0")).to_be_focused()
    expect(page.locator(".cell-name")).to_have_text("Seed: 60, CFG Scale: 2, Eta: 0")
    page.keyboard.down("Shift")
    page.keyboard.down("ArrowLeft")
    expect(cell(page, "1,1,0").locator(".plot-flip-name")).to_have_text("Seed: 1, CFG Scale: 2, Eta: 0")
    page.keyboard.up("ArrowLeft")
    page.keyboard.up("Shift")
    expect(page.locator(".plot-flip")).to_have_count(0)
    page.keyboard.press("]")
    expect(cell(page, "1,1,1")).to_be_focused()
    page.keyboard.press("x")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("x")
    captions = page.get_by_role("dialog", name="Two cells compared").locator("figcaption")
    expect(captions).to_have_text(["CFG Scale: 2", "CFG Scale: 1"])
    page.keyboard.press("Escape")
    expect(cell(page, "1,0,1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".pswp--open")).to_be_visible()
    expect(page.locator(".lightbox-counter")).to_have_text("2 / 6")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    expect(page.locator(".lightbox .icon-star")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(cell(page, "2,0,1")).to_be_focused()
    expect(page.locator(".cell-bar .icon-star")).to_have_attribute("aria-pressed", "true")
    assert "#/plots/" in page.url
    page.keyboard.press("m")
    page.get_by_role("menuitem", name="Hide this column").click()
    expect(page.locator(".plot-column")).to_have_text(["1", "60"])
    page.get_by_role("button", name="Swap rows and columns").click()
    assert (heads(page), sides(page)) == (["1", "2"], ["1", "60"])
    page.get_by_role("combobox", name="Columns").first.select_option("Z: Eta")
    assert heads(page) == ["0", "1"]
    page.get_by_role("button", name="Show all again (1)").click()
    assert sides(page) == ["1", "60", "120"]
    cell(page, page.locator(".plot-cell").first.get_attribute("data-key") or "").focus()
    page.get_by_role("button", name="Differences").click()
    expect(page.locator(".plot-heat")).to_have_count(5)
    expect(page.locator(".plot-cell .plot-score").last).to_have_text(re.compile(r"[1-9]\d*\.\d%"))
    page.get_by_role("button", name="End the differences").click()
    expect(page.locator(".plot-heat")).to_have_count(0)


def test_a_hole_is_named_and_tried_again_and_a_plot_is_stopped_and_deleted(desk: Studio) -> None:
    page = desk.page
    drawn(desk, "a fox", ("Prompt S/R", "fox, fail"), ("CFG Scale", "1, 2"))
    hole = cell(page, "1,0")
    expect(hole).to_contain_text("does not fit into memory", timeout=PATIENCE)
    expect(page.locator(".plot-state")).to_contain_text("2 failed", timeout=PATIENCE)
    hole.get_by_role("button", name="Try again").click()
    expect(page.locator(".plot-state")).to_contain_text("2 failed", timeout=PATIENCE)
    page.get_by_role("button", name="Scores").click()
    page.get_by_label("CLIP-T", exact=True).check()
    page.get_by_role("button", name="Measure").click()
    expect(page.locator(".plot-scores").get_by_role("alert")).to_contain_text("a CLIP that knows such pictures")
    page.get_by_label("SSIM", exact=True).check()
    page.get_by_role("button", name="Other picture…").click()
    page.get_by_role("dialog").locator("input[type=file]").set_input_files({"name": "own.png", "mimeType": "image/png", "buffer": png()})
    expect(page.locator(".score-told").first).to_contain_text("outside of this plot")
    page.locator(".plot-distances summary").click()
    expect(page.locator(".plot-distances").get_by_role("alert")).to_contain_text("into models/fidelity")
    expect(page.locator(".plot-distances").get_by_role("button", name="Compare")).to_be_disabled()
    page.get_by_role("button", name="Give it another title").click()
    page.get_by_role("textbox", name="Title").fill("Foxes")
    page.keyboard.press("Enter")
    expect(page.locator(".plot-title")).to_have_text("Foxes")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("There are no plots yet.")).to_be_visible()


BOTH_IN_SIGHT = """both => {
  const boxes = both.map(one => one.getBoundingClientRect().toJSON());
  return both.every(one => one.isConnected) && boxes.every(box => box.top >= 0 && box.bottom <= innerHeight) && boxes;
}"""


def drag(stage: Studio, finger: CDPSession, grip: Locator, row: Locator, behind: bool = True) -> None:
    """A finger takes a row at its grip and lets it go on another one's upper or lower half."""
    boxes = None
    while not boxes:        # the rows may be drawn anew at any moment
        stage.queue_stands()
        grip.click(trial=True)      # no message lies over it
        boxes = row.page.evaluate(BOTH_IN_SIGHT, [grip.element_handle(), row.element_handle()])
    start, end = boxes
    x, y = start["x"] + start["width"] / 2, start["y"] + start["height"] / 2
    for kind, points in (("touchStart", [y]), ("touchMove", [y + 5]), ("touchMove", [end["y"] + end["height"] * (0.8 if behind else 0.2)]), ("touchEnd", [])):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": at} for at in points]})


def test_a_plot_is_one_line_of_the_queue(stage: Studio, page: Page) -> None:
    stage.ready()
    stage.fill(prompt="slow foxes", steps=40)
    axis(fold := unfolded(stage), "X", "Seed", "1-9")
    expect(fold.locator(".plot-cost")).to_contain_text("9 pictures")
    page.evaluate("fetch('/easel/queue/pause', { method: 'POST' })")
    stage.button("generate").click()
    line = stage.results.locator(".job.plot")
    expect(line).to_have_count(1)
    fold.get_by_label("Values of axis X", exact=True).fill("1-4")
    stage.button("generate").click()
    expect(line.locator(".job-count")).to_have_text(["0 of 9", "0 of 4"])
    stage.queue_stands()
    line.nth(1).drag_to(line.nth(0), target_position={"x": 90, "y": 3})
    expect(line.locator(".job-count")).to_have_text(["0 of 4", "0 of 9"])
    fold.get_by_label("Script").select_option("None")
    stage.generate(prompt="one owl")
    waiting = stage.results.locator(".queue .job")
    expect(waiting).to_have_count(3)
    expect(waiting.nth(1)).to_contain_text("one owl")       # above the plot that nobody has moved
    owl = waiting.filter(has_text="one owl")
    stage.queue_stands()
    owl.drag_to(waiting.last, target_position={"x": 90, "y": 30})
    expect(waiting.last).to_contain_text("one owl")
    stage.queue_stands()
    owl.drag_to(waiting.nth(1), target_position={"x": 90, "y": 3})
    expect(waiting.nth(1)).to_contain_text("one owl")
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    drag(stage, finger, line.first.locator(".job-state"), waiting.last)
    expect(line.locator(".job-count")).to_have_text(["0 of 9", "0 of 4"])
    drag(stage, finger, owl.locator(".job-state"), waiting.last)
    expect(waiting.last).to_contain_text("one owl")
    drag(stage, finger, line.last.locator(".job-state"), line.first, behind=False)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    waiting.last.get_by_role("button", name=re.compile("^Cancel")).click()
    expect(line.locator(".job-count")).to_have_text(["0 of 4", "0 of 9"])
    line.first.get_by_role("button", name=re.compile("^Cancel")).click()
    expect(line).to_have_count(1)
    page.evaluate("fetch('/easel/queue/resume', { method: 'POST' })")
    expect(line).to_contain_text("Drawing", timeout=PATIENCE)
    expect(line.locator(".job-count")).to_have_text("0 of 9")
    expect(stage.results.locator(".progress-what")).to_have_text("Plot: 0 of 9")
    line.get_by_role("button", name=re.compile("^Pause")).click()
    expect(line.get_by_role("button", name=re.compile("^Go on"))).to_be_visible(timeout=PATIENCE)
    line.get_by_role("button", name=re.compile("^To the front")).click()
    expect(line.get_by_role("button", name=re.compile("^Down"))).to_be_visible()
    line.get_by_role("link", name="Show").click()
    expect(page.locator(".plot-caption")).to_have_text([str(seed) for seed in range(1, 10)])
    expect(page.locator(".plot-column")).to_have_count(0)
    expect(page.locator(".plot-state")).to_contain_text("0 of 9")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.locator(".plot-state")).to_have_text(re.compile("^Cancelled"), timeout=PATIENCE)
    page.get_by_role("button", name="All plots").click()
    expect(page.locator(".plot-card").first).to_contain_text("Cancelled")


def large(ids: list[str], columns: int, rows: int) -> dict[str, Any]:
    """What the server tells of a plot of this size."""
    cells = [[f"{x},{y}", f"job{x}-{y}", "done", f"/easel/image/{ids[(x + y) % len(ids)]}", f"/easel/image/{ids[(x + y) % len(ids)]}/thumb", 512, 512, str(x), "",
              {"sharpness": x * y}] for y in range(rows) for x in range(columns)]
    axes = [{"label": "CFG Scale", "values": [str(x) for x in range(columns)], "typed": ""},
            {"label": "Prompt S/R", "values": [f"number {y}, a label so long that it has to wrap" for y in range(rows)], "typed": ""}]
    return {"id": "large", "title": "Large", "kind": "xyz", "created": "2026-11-28T20:00:00+00:00", "state": "done", "axes": axes, "request": {"width": 512, "height": 512},
            "options": {}, "done": len(cells), "failed": 0, "total": len(cells), "eta": None, "scores": {}, "cursor": 1, "cells": {"columns": COLUMNS, "rows": cells}}


def band(chart: Locator, count: int) -> tuple[list[list[str]], list[list[str]]]:
    """The lower and the upper edge of the first band of a chart, as points."""
    points = [pair.split(",") for pair in (chart.locator(".chart-band").first.get_attribute("points") or "").split()]
    return points[count:], points[:count]


def test_only_cells_near_those_in_sight_are_on_the_page(past: Past, desk: Studio) -> None:
    page = desk.page
    told = json.dumps(large(past.fill(24), 60, 40))

    def answer(route: Route) -> None:
        route.fulfill(body=told, content_type="application/json")

    page.route("**/easel/plots/large", answer)
    page.goto(f"{desk.url}#/plots/large")
    expect(cell(page, "0,0")).to_be_visible()
    room = page.locator(".plot-room")
    assert 20 < page.locator(".plot-cell").count() < 200
    room.evaluate("room => room.scrollTo(room.scrollWidth, room.scrollHeight)")
    expect(cell(page, "59,39")).to_be_in_viewport()
    expect(page.locator(".plot-column").last).to_be_in_viewport()
    expect(page.locator(".plot-side", has_text="number 39")).to_be_in_viewport(ratio=0.5)
    assert page.locator(".plot-cell").count() < 200
    cell(page, "59,39").focus()
    page.keyboard.press("Control+Home")
    expect(cell(page, "0,0")).to_be_focused()
    expect(cell(page, "0,0")).to_be_in_viewport(ratio=0.9)
    page.get_by_role("button", name="Scores").click()
    page.get_by_label("Colour by").select_option("Sharpness")
    expect(cell(page, "1,1").locator(".plot-score")).to_have_text("1.000")
    expect(page.get_by_role("img", name="Sharpness against CFG Scale")).to_be_visible()
    chart, points = page.locator(".score-chart"), page.locator(".score-chart circle")
    expect(points).to_have_count(60)
    expect(points.nth(2).locator("title")).to_have_text("39.00 (0.000 – 78.00)")
    heights = [float(point.get_attribute("cy") or 0) for point in points.all()]
    assert heights == sorted(heights, reverse=True) and heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])
    low, high = (max(float(y) for _, y in edge) - min(float(y) for _, y in edge) for edge in band(chart, 60))
    assert low == 0 and high == pytest.approx(2 * (heights[0] - heights[-1]))
    page.get_by_label("Chart over").select_option("Prompt S/R")
    expect(page.get_by_role("img", name="Sharpness against Prompt S/R")).to_be_visible()
    expect(points.last.locator("title")).to_have_text(re.compile(r"^115[01] \(0\.000 – 2301\)"))
    page.get_by_label("A line for each").select_option("CFG Scale")
    expect(chart.locator(".chart-line")).to_have_count(8)
    expect(chart).to_contain_text("The first 8 of 60 values are shown")
    page.get_by_label("Sort").select_option("Rows by their mean")
    expect(page.locator(".plot-side").first).to_contain_text("number 39")
    page.get_by_role("button", name="To the best cell").click()
    expect(cell(page, "59,39")).to_be_focused()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    expect(cell(page, "59,39")).to_be_attached()
