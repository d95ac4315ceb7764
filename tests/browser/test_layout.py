"""The frame of the page: what is in sight at which size, the address, help, and what belongs together."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, Stage
from tests.browser.studio import Studio

USUAL = ("prompt", "negative_prompt", "sampler", "schedule", "steps", "width", "height", "batch_count", "batch_size", "cfg_scale",
         "seed", "enable_hr", "advanced")
LARGE, SMALL = {"width": 1440, "height": 900}, {"width": 1280, "height": 720}


def in_sight(place: Locator, ratio: float = 1) -> None:
    expect(place).to_be_in_viewport(ratio=ratio)


def open_tab(page: Page) -> str:
    return page.evaluate("document.querySelector('#tabs [role=tab][aria-selected=true]').dataset.tabId")


@pytest.mark.screen(LARGE)
def test_the_usual_settings_fit_one_screen(desk: Studio) -> None:
    page = desk.page
    for name in USUAL:
        in_sight(desk.box(name))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    lines = "name => [...document.querySelectorAll(`#txt2img_${name} :is([data-testid=block-info], .slider, input[type=number])`)]" \
            ".map(one => { const { top, bottom } = one.getBoundingClientRect(); return (top + bottom) / 2; })"
    for name in ("steps", "width", "cfg_scale", "batch_count"):
        middles = page.evaluate(lines, name)
        assert len(middles) == 3 and max(middles) - min(middles) < 4, f"{name} stands on one line"


@pytest.mark.screen(SMALL)
def test_the_picture_and_generate_stay_in_sight(desk: Studio) -> None:
    page, before = desk.page, desk.pictures()
    desk.generate(prompt="a picture", steps=2, batch_count=3)
    desk.wait_pictures(before + 3)
    desk.idle()
    assert page.locator("#bar").bounding_box()["height"] <= 50
    desk.page.get_by_role("button", name="Advanced sampling options").click()
    for down in ("0", "document.body.scrollHeight"):
        page.evaluate(f"window.scrollTo(0, {down})")
        for place in (page.get_by_role("tab", name="History"), desk.button("generate"), desk.results.locator(".stage-picture")):
            in_sight(place)
        in_sight(desk.tiles.first, 0.2)
        assert desk.button("generate").bounding_box()["y"] >= page.locator("#bar").bounding_box()["height"], "nor does the bar lie over it"


def test_hires_fix_is_one_row_that_opens_with_its_switch(desk: Studio) -> None:
    desk.fill(width=128, height=192)
    size = desk.page.locator("#txt2img_hires_size")
    expect(size).to_have_text("128 × 192 → 256 × 384")
    expect(desk.box("hr_scale")).not_to_be_visible()
    switch = desk.box("enable_hr").get_by_role("checkbox")
    switch.check()
    desk.fill(hr_scale=1.5)
    expect(size).to_have_text("128 × 192 → 192 × 288")
    desk.fill(hr_resize_x=300)
    expect(size).to_have_text("128 × 192 → 296 × 448")
    switch.uncheck()
    expect(desk.box("hr_scale")).not_to_be_visible()


def test_sides_keep_their_proportions(desk: Studio) -> None:
    lock = desk.button("proportions")
    desk.fill(width=256, height=128)
    desk.page.wait_for_function("easel.form('txt2img').values.height === 128")
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "true")
    desk.fill(width=512)
    desk.shows(height=256)
    desk.fill(height=384)
    desk.shows(width=768)
    desk.page.get_by_role("button", name="1:1", exact=True).click()
    desk.page.wait_for_function("easel.form('txt2img').values.width === easel.form('txt2img').values.height")
    desk.fill(width=128)
    desk.shows(height=128)
    lock.click()
    desk.fill(width=256)
    desk.page.wait_for_timeout(300)
    desk.shows(height=128)


def test_help_is_behind_an_i(desk: Studio) -> None:
    page = desk.page
    why = desk.box("cfg_scale").get_by_role("button", name="About CFG scale")
    assert min(why.bounding_box()["width"], why.bounding_box()["height"]) >= 24
    desk.field("cfg_scale").focus()
    page.keyboard.press("Tab")
    expect(why).to_be_focused()
    page.keyboard.press("Enter")
    sheet = page.get_by_text("How strictly to follow the prompt.")
    in_sight(sheet)
    page.keyboard.press("Escape")
    expect(sheet).not_to_be_visible()
    expect(why).to_be_focused()


def test_arrows_lead_from_tab_to_tab(desk: Studio) -> None:
    page = desk.page
    page.get_by_role("tab", name="txt2img").focus()
    for key, name in (("ArrowRight", "img2img"), ("ArrowLeft", "txt2img"), ("ArrowLeft", "Settings"), ("Home", "txt2img"), ("End", "Settings")):
        page.keyboard.press(key)
        expect(page.get_by_role("tab", name=name)).to_be_focused()
    assert page.evaluate("document.querySelector('#tab_txt2img-button').ariaSelected") == "true", "arrows open nothing"
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Settings")).to_have_attribute("aria-selected", "true")


def test_the_address_names_the_tab_and_the_picture(stage: Studio, page: Page, house: Stage) -> None:
    house.past.forget()
    first = house.past.fill(70)[-1]
    page.get_by_role("tab", name="Settings").click()
    expect(page).to_have_url(re.compile("#/settings$"))
    page.get_by_role("tab", name="History").click()
    page.locator(".shot-open").nth(2).click()
    expect(page).to_have_url(re.compile("#/history/picture67$"))
    page.reload()
    expect(page.locator("dialog.details[open] .details-name")).to_have_text("00067-67.png")
    assert open_tab(page) == "history"
    page.go_back()
    expect(page.locator("dialog.details[open]")).to_have_count(0)
    page.go_back()
    page.wait_for_function("document.querySelector('#tab_settings-button')?.ariaSelected === 'true'")
    page.goto(f"{stage.url}#/history/{first}")      # one that the first page does not hold
    expect(page.locator("dialog.details[open] .details-name")).to_have_text("00000-0.png")
    page.goto(f"{stage.url}#/nothing")
    page.reload()
    page.wait_for_function("document.querySelector('#tab_txt2img-button')?.ariaSelected === 'true'")
    house.past.forget()


def test_lists_go_down_where_there_is_room(desk: Studio) -> None:
    page = desk.page
    page.set_viewport_size(LARGE)
    desk.field("sampler").click()
    options = page.locator(".wrap > .options")
    expect(options).to_be_visible()
    assert options.bounding_box()["y"] > desk.field("sampler").bounding_box()["y"]
    assert options.evaluate("list => getComputedStyle(list).boxShadow !== 'none' && parseFloat(getComputedStyle(list).borderTopWidth) > 0")


@pytest.mark.screen(PHONE)
def test_a_phone_shows_what_is_drawn(desk: Studio) -> None:
    page, before = desk.page, desk.pictures()
    tabs = page.get_by_role("tablist")
    assert tabs.evaluate("list => list.scrollWidth > list.clientWidth && list.clientHeight < 60"), "the tabs scroll sideways"
    desk.generate(prompt="a picture", steps=2)
    in_sight(desk.results.locator(".stage"), 0.9)
    desk.wait_pictures(before + 1)
    other = desk.into("img2img")
    expect(page.locator("#img2img_bench > .settings")).to_be_visible()
    places = [page.locator(f"#img2img_bench .{name}").bounding_box()["y"] for name in ("prompts", "tools", "source-panel", "results-column", "settings")]
    assert places == sorted(places), "the picture to start from comes before the result"
    expect(other.button("generate")).to_be_in_viewport(ratio=1)


@pytest.mark.screen(PHONE)
def test_the_open_tab_is_in_sight_on_a_phone(desk: Studio) -> None:
    page = desk.page
    tabs = page.get_by_role("tab")
    for number in (*range(tabs.count()), *reversed(range(tabs.count()))):
        tabs.nth(number).evaluate("tab => tab.click()")        # as a tap does, which scrolls nothing by itself
        in_sight(tabs.nth(number), 0.99)
    tabs.last.evaluate("tab => tab.click()")
    for size in (SMALL, PHONE):
        page.set_viewport_size(size)
        in_sight(tabs.last, 0.99)


@pytest.mark.parametrize("mode, hidden, shown", [
    ("img2img", ("inpaint_fold", "mask_fold"), ("outpaint_fold", "sd_upscale_fold")),
    ("Inpaint", ("sd_upscale_fold",), ("inpaint_fold", "mask_fold", "outpaint_fold")),
    ("Sketch", ("inpaint_fold", "mask_fold", "outpaint_fold"), ("sd_upscale_fold",)),
])
def test_img2img_shows_the_folds_of_its_mode(desk: Studio, mode: str, hidden: tuple[str, ...], shown: tuple[str, ...]) -> None:
    desk = desk.into("img2img")
    desk.page.locator("#img2img_editor_mode").get_by_text(mode, exact=True).click()
    for name in hidden:
        expect(desk.box(name)).not_to_be_visible()
    for name in shown:
        expect(desk.box(name)).to_be_visible()
