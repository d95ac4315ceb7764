"""Pictures that are dropped beside all places for them: the page stays, and something sensible happens."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_ways_in import saved, taken, transfer

DROPPED = """([transfer, selector]) => ['dragover', 'drop'].map(type => !document.querySelector(selector).dispatchEvent(
  new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true })))"""


def drop(page: Page, selector: str, content: bytes) -> None:
    prevented = page.evaluate(DROPPED, [transfer(page, "a.png", content), selector])
    assert prevented == [True, True], "the browser would leave the page for the file"


def test_settings_are_offered(desk: Studio, tmp_path: Path) -> None:
    page, before = desk.page, desk.pictures()
    desk.generate(prompt="find me again", steps=2)
    desk.wait_pictures(before + 1)
    desk.idle()
    picture = page.request.get(page.evaluate("new URL(easel.results('txt2img').shown().url, location).href")).body()
    desk.fill(prompt="something else", steps=9)
    sheet = page.get_by_role("dialog", name="The settings of this picture")
    for place in ("#txt2img_prompt textarea", "body", "#bar", "#txt2img_steps"):
        drop(page, place, picture)
        expect(sheet.get_by_role("region")).to_contain_text("find me again", timeout=PATIENCE)
        page.keyboard.press("Escape")
        expect(sheet).to_have_count(0)
    desk.shows(prompt="something else", steps=9)
    drop(page, "body", picture)
    sheet.get_by_role("button", name="Use these settings").press("Enter")
    desk.shows(prompt="find me again", steps=2)
    page.get_by_role("button", name="Undo").click()
    desk.shows(prompt="something else", steps=9)
    drop(page, "body", saved(tmp_path, "b.png").read_bytes())
    expect(sheet).to_contain_text("says nothing of how it was made")
    sheet.get_by_role("button", name="Send to img2img").click()
    taken(Studio(page, desk.url, "img2img"), "160 × 128")


def test_on_img2img_it_becomes_the_picture(desk: Studio, tmp_path: Path) -> None:
    page = desk.page
    studio = desk.into("img2img")
    first = saved(tmp_path, "a.png").read_bytes()
    expect(page.locator("#img2img_init_image .drop-choose")).to_be_visible()
    drop(page, "#img2img_steps", first)
    one = taken(studio, "160 × 128")
    drop(page, "body", saved(tmp_path, "b.png", (64, 96)).read_bytes())
    taken(studio, "64 × 96")
    page.get_by_role("button", name="Undo").last.click()
    assert taken(studio, "160 × 128") == one
    drop(page, "#img2img_prompt textarea", first)
    expect(page.get_by_role("dialog", name="The settings of this picture")).to_be_visible(timeout=PATIENCE)


def test_a_result_is_dragged_onto_the_tab(desk: Studio) -> None:
    page = desk.page
    before = desk.pictures()
    desk.generate(prompt="drag me", steps=2, width=160, height=128)
    desk.wait_pictures(before + 1)
    desk.idle()
    page.wait_for_function("document.querySelector('#txt2img_results .tile:not(.live) img')?.complete")
    desk.tiles.first.locator("img").hover()
    page.mouse.down()
    for _ in range(2):      # the first move begins the drag, the second one passes over the tab
        page.get_by_role("tab", name="img2img").hover()
    page.mouse.up()
    taken(Studio(page, desk.url, "img2img"), "160 × 128")


def test_text_is_still_dropped_into_text(desk: Studio) -> None:
    page = desk.page
    words = page.evaluate_handle("() => { const transfer = new DataTransfer(); transfer.setData('text/plain', 'words'); return transfer; }")
    assert page.evaluate(DROPPED, [words, "#txt2img_prompt textarea"]) == [False, False]
