"""Drawing with the demo model, seen from the page."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

from tests.browser.studio import PATIENCE, Studio

QUICK = {"steps": 2, "width": 64, "height": 64}
LONG = {"steps": 400, "width": 128, "height": 128}


def test_a_picture_appears_with_its_text(easel_desk: Studio) -> None:
    before = easel_desk.pictures()
    easel_desk.generate(prompt="a big red circle, white background", **QUICK)
    easel_desk.wait_pictures(before + 1)
    expect(easel_desk.infotext).to_contain_text("a big red circle, white background", timeout=PATIENCE)
    seed = re.search(r"Seed: (\d+)", easel_desk.infotext.inner_text())
    assert seed and "Steps: 2" in easel_desk.infotext.inner_text()
    expect(easel_desk.page.locator(".stage-picture img")).to_have_attribute("alt", re.compile("a big red circle"))
    easel_desk.shows(seed=-1)
    easel_desk.button("reuse_seed").click()
    easel_desk.shows(seed=seed[1])
    with easel_desk.page.expect_download() as download:
        easel_desk.page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_hires_fix_draws_larger_than_the_first_pass(easel_desk: Studio) -> None:
    before = easel_desk.pictures()
    fold = easel_desk.page.get_by_role("button", name="Hires. fix: the second pass")
    fold.click()
    easel_desk.shows(hr_scale=2)
    easel_desk.page.wait_for_timeout(1000)  # Gradio sets what a fold holds once more after it has opened
    easel_desk.box("enable_hr").get_by_role("checkbox").check()
    easel_desk.fill(hr_scale=1.5)
    easel_desk.generate(prompt="a green house", **QUICK)
    easel_desk.wait_pictures(before + 1)
    expect(easel_desk.infotext).to_contain_text("Hires upscale: 1.5", timeout=PATIENCE)
    assert easel_desk.page.evaluate("easel.results('txt2img').list()[0].width") == 96


def test_settings_of_a_picture_are_reused(easel_desk: Studio) -> None:
    before = easel_desk.pictures()
    easel_desk.generate(prompt="a purple heart", negative_prompt="green", **QUICK)
    easel_desk.wait_pictures(before + 1)
    expect(easel_desk.infotext).to_contain_text("a purple heart", timeout=PATIENCE)
    easel_desk.fill(prompt="something else", negative_prompt="", steps=50, width=512)
    easel_desk.page.get_by_role("button", name="Reuse these settings").click()
    easel_desk.shows(prompt="a purple heart", negative_prompt="green", steps=2, width=64)
    assert easel_desk.field("seed").input_value() != "-1"


def test_progress_moves_and_interrupt_stops(easel_desk: Studio) -> None:
    before = easel_desk.pictures()
    expect(easel_desk.button("interrupt")).to_be_disabled()
    easel_desk.generate(prompt="a yellow moon", **LONG)
    easel_desk.steps_done(1)
    easel_desk.page.wait_for_selector(".stage-picture.draft", timeout=PATIENCE)
    bar = easel_desk.page.locator(".progress-bar")
    first = int(bar.get_attribute("aria-valuenow") or 0)
    easel_desk.page.wait_for_function(
        "first => Number(document.querySelector('.progress-bar').getAttribute('aria-valuenow')) > first", arg=first,
        timeout=PATIENCE)
    expect(easel_desk.page.locator(".progress-eta")).to_contain_text("left")
    easel_desk.page.keyboard.press("Escape")
    easel_desk.idle()
    expect(easel_desk.rows.filter(has_text="a yellow moon").first).to_contain_text("Cancelled")
    easel_desk.wait_pictures(before + 1)       # the half-drawn one is shown


def test_skip_goes_on_with_the_next_picture_and_shows_what_there_is_of_this_one(easel_desk: Studio) -> None:
    before = easel_desk.pictures()
    easel_desk.generate(prompt="a tree", batch_count=2, steps=80, width=64, height=64)
    easel_desk.steps_done(1)
    easel_desk.button("skip").click()
    easel_desk.wait_pictures(before + 2)
    easel_desk.idle()


def test_the_queue_and_a_refresh_in_the_middle(studio: Studio) -> None:
    studio.generate(prompt="the first", seed=42, **LONG)
    studio.running()
    studio.generate(prompt="the second")
    studio.field("prompt").fill("the third")
    studio.page.keyboard.press("Control+Enter")
    expect(studio.rows.filter(has_text="Cancel")).to_have_count(3, timeout=PATIENCE)
    expect(studio.rows.filter(has_text="the second")).to_contain_text("No. 1")
    expect(studio.rows.filter(has_text="the third")).to_contain_text("No. 2")
    studio.page.reload()
    studio.settled()
    studio.shows(prompt="the third", seed=42, steps=400)
    studio.running()
    expect(studio.rows.filter(has_text="the third")).to_contain_text("No. 2")
    studio.page.get_by_role("button", name="Cancel: the second").click()
    expect(studio.rows.filter(has_text="the third")).to_contain_text("No. 1", timeout=PATIENCE)
    expect(studio.rows.filter(has_text="the second")).to_contain_text("Cancelled")
    studio.page.get_by_role("button", name="Cancel all").click()
    studio.idle()


def test_two_at_the_same_instant_both_land(easel_desk: Studio) -> None:
    easel_desk.generate(prompt="one of two", **LONG)
    easel_desk.page.evaluate("document.querySelector('#txt2img_generate').click()")
    expect(easel_desk.rows.filter(has_text="one of two")).to_have_count(2, timeout=PATIENCE)


def test_only_with_the_keyboard(studio: Studio) -> None:
    before = studio.pictures()
    studio.fill(**QUICK, batch_count=2)
    studio.field("prompt").focus()
    studio.page.keyboard.type("a blue star on a gray back")
    studio.page.keyboard.press("Control+Enter")
    studio.wait_pictures(before + 2)
    expect(studio.page.get_by_role("listbox", name="Suggestions")).to_have_count(0)      # asked for before, answered after
    studio.idle()
    studio.page.wait_for_selector(".strip", timeout=PATIENCE)
    studio.page.locator(".tile[tabindex='0']").focus()
    studio.page.keyboard.press("ArrowRight")
    second = studio.page.evaluate("easel.results('txt2img').list()[1].id")
    expect(studio.page.locator(".tile[aria-selected='true']")).to_have_attribute("data-id", second)
    on_its_way: list[Route] = []
    studio.page.route("**/photoswipe.esm*", lambda route: on_its_way.append(route))
    with studio.page.expect_request("**/photoswipe.esm*"):
        studio.page.keyboard.press("Enter")
    expect(studio.page.locator(".lightbox")).to_be_visible()
    studio.page.keyboard.press("Escape")
    expect(studio.page.locator(".lightbox")).not_to_be_visible()
    expect(studio.page.locator(".tile[aria-selected='true']")).to_be_focused()
    on_its_way[0].continue_()
