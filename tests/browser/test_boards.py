"""The history put in order: boards, other orders, kinds, tiles of another size; and a panel that keeps only what is found."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.house import Past
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_history import SETTLED_TILE, TILE, entered


def counted(page: Page, words: str) -> None:
    expect(page.locator(".history-count")).to_have_text(words)


def order(page: Page) -> list[str]:
    return page.locator(".shot").evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")


def test_a_picture_is_dragged_from_the_history_into_a_guide(past: Past, desk: Studio) -> None:
    ids = past.fill(2)
    page = desk.page
    page.locator("#txt2img_guides_fold > button").click()
    page.get_by_role("button", name="Add a guide").first.click()
    entered(page)
    page.locator(f'.shot[data-id="{ids[0]}"]').hover()
    page.mouse.down()
    for _ in range(2):      # the first move begins the drag, the second one passes over the tab, which opens
        page.get_by_role("tab", name="txt2img").hover()
    place = page.locator("#txt2img_guides .unit-place").first
    expect(place).to_be_visible()
    for _ in range(2):
        place.hover()
    page.mouse.up()
    expect(place).to_have_class(re.compile("filled"), timeout=PATIENCE)


def test_boards_by_menu_by_hand_and_by_key(past: Past, desk: Studio) -> None:
    ids = past.fill(12)
    page = entered(desk.page)
    page.locator(f'.shot[data-id="{ids[0]}"] .shot-open').focus()
    page.keyboard.press("b")
    expect(page.get_by_role("menu", name="Boards")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".board-name input")).to_be_focused()
    page.keyboard.type("night")
    page.keyboard.press("Enter")
    board = page.locator(".board", has_text="night")
    expect(board).to_contain_text("1")
    page.locator(f'.shot[data-id="{ids[3]}"]').drag_to(board)
    expect(board).to_contain_text("2")
    board.click()
    counted(page, "2 pictures found")
    assert order(page) == [ids[0], ids[3]]
    page.locator(f'.shot[data-id="{ids[3]}"] .shot-open').click()
    page.locator("[data-details=boards]").click()
    page.get_by_role("menuitemcheckbox", name="night", checked=True).click()
    counted(page, "1 picture found")
    expect(page.locator(".details-name")).to_contain_text("-")
    page.locator("#toasts").get_by_role("button", name="Undo").last.click()
    counted(page, "2 pictures found")
    board.click(button="right")
    page.get_by_role("menuitem", name="Rename…").click()
    page.locator(".board-name input").fill("the night")
    page.keyboard.press("Enter")
    page.locator(".board[data-board='']").click()
    counted(page, "12 pictures")
    page.locator(".history-words").fill('board:"the night"')
    counted(page, "2 pictures found")
    page.locator(".board", has_text="the night").click(button="right")
    page.get_by_role("menuitem", name="Delete the board").click()
    sheet = page.get_by_role("dialog", name="Delete the board")
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_have_count(0)
    page.locator(".board", has_text="the night").click(button="right")
    page.get_by_role("menuitem", name="Delete the board").click()
    sheet.get_by_role("button", name="Delete the board").click()
    expect(page.locator(".board")).to_have_count(0)


def test_orders_tiles_and_a_panel_that_goes_with_its_picture(past: Past, desk: Studio) -> None:
    ids = past.fill(9)
    past.star(ids[5])
    page = entered(desk.page)
    page.locator(f'.shot[data-id="{ids[1]}"] .shot-open').click()
    details = page.locator(".details")
    name = "e" * 120 + ".png"
    page.evaluate("name => { document.querySelector('.details-name').textContent = name; }", name)
    assert details.evaluate("box => box.scrollWidth - box.clientWidth") <= 0
    expect(page.locator('[data-details="close"]')).to_be_in_viewport(ratio=1)
    page.locator('[name="order"]').select_option("oldest")
    expect(page.locator(".shot").first).to_have_attribute("data-id", ids[-1])
    expect(details).to_be_visible()
    page.locator('[name="order"]').select_option("starred")
    expect(page.locator(".shot").first).to_have_attribute("data-id", ids[5])
    page.locator('[name="starred"]').check()
    counted(page, "1 picture found")
    expect(details).to_be_hidden()
    page.locator(f'.shot[data-id="{ids[5]}"] .shot-open').click()
    details.get_by_role("button", name="Star").click()
    counted(page, "0 pictures found")
    expect(details).to_be_hidden()
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    counted(page, "1 picture found")
    page.locator('[name="starred"]').uncheck()
    page.locator('[name="kind"]').select_option("grid")
    counted(page, "0 pictures found")
    page.locator('[name="kind"]').select_option("")
    counted(page, "9 pictures")
    before, size = page.evaluate(SETTLED_TILE), page.locator(".history-tiles input").input_value()
    page.locator(".history-tiles input").fill("300")
    page.wait_for_function(f"{TILE} > {before} * 1.5")
    page.locator(".history-tiles input").fill(size)
    page.wait_for_function(f"{TILE} === {before}")


def test_a_pasted_text_is_read_and_lent(desk: Studio) -> None:
    page = desk.page
    page.get_by_role("tab", name="PNG Info").click()
    page.locator(".info-paste").fill("a cat\nNegative prompt: dogs\nSteps: 33, Sampler: DDIM, CFG scale: 5, Seed: 9, Size: 256x128, Model: gone")
    expect(page.locator(".info-missing")).to_contain_text("gone")
    page.locator(".info-paste").fill("only words")
    expect(page.locator(".info-none")).to_contain_text("taken as a prompt alone")
    page.locator(".info-paste").fill("a cat\nNegative prompt: dogs\nSteps: 33, Sampler: DDIM, CFG scale: 5, Seed: 9, Size: 256x128")
    expect(page.locator(".info-text")).to_contain_text("Steps: 33")
    expect(page.locator("[data-info=extras]")).to_be_hidden()
    page.get_by_role("button", name="Send to txt2img").click()
    desk.shows(prompt="a cat", negative_prompt="dogs", steps=33, width=256, seed=9)
