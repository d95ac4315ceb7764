"""The History tab: pictures are found, starred, compared, binned and brought back, by mouse, thumb and key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from backend.image import save
from tests.browser.conftest import PHONE, Stage
from tests.browser.house import Past
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_everyone import CONTRAST, NAMELESS

TILE = "document.querySelector('.shot').getBoundingClientRect().width"
# How wide one is, once it has been so for a while: the tab lays them anew as it comes into sight.
SETTLED_TILE = f"""async () => {{
  for (let was = 0, frames = 0; frames < 10; frames++) {{
    await new Promise(requestAnimationFrame);
    if (was !== {TILE}) [was, frames] = [{TILE}, 0];
  }}
  return {TILE};
}}"""
# As Enter in the search does it; with what comes of it.
ASKED_AGAIN = """async () => {
  document.querySelector(".history-search")?.requestSubmit();
  await new Promise(resolve => setTimeout(resolve, 20));
  for (let left = 500; left && document.querySelector(".shots[aria-busy]"); left--) await new Promise(resolve => setTimeout(resolve, 20));
}"""


def entered(page: Page) -> Page:
    """The History tab with the pictures that a test has made: a page that was open before is not told of them."""
    page.evaluate(ASKED_AGAIN)
    return opened(page)


def opened(page: Page) -> Page:
    page.get_by_role("tab", name="History").click()
    expect(page.locator(".history-count")).not_to_be_empty()
    return page


def tile(page: Page, picture: str) -> Locator:
    return page.locator(f'.shot[data-id="{picture}"]')


def order(page: Page) -> list[str]:
    return page.locator(".shot").evaluate_all("tiles => tiles.map(tile => tile.dataset.id)")


def counted(page: Page, words: str) -> None:
    expect(page.locator(".history-count")).to_have_text(words)


def empty(page: Page, words: str) -> None:
    expect(page.locator(".history-empty")).to_be_visible()
    expect(page.locator(".history-empty p")).to_contain_text(words)


def chosen(page: Page, act: str) -> None:
    page.locator(f'[data-chosen="{act}"]').click()


def test_all_come_while_one_scrolls(past: Past, desk: Studio) -> None:
    ids = past.fill(400)
    asked: set[str] = set()
    desk.page.on("request", lambda request: asked.add(request.url) if request.url.endswith("/thumb") else None)
    page = entered(desk.page)
    counted(page, "400 pictures")
    assert order(page)[:60] == ids[:60]
    assert page.locator(".shot").count() < 300
    assert len(asked) < 300
    assert page.evaluate("document.querySelector('.history-bar').getBoundingClientRect().height % 1") == 0, "of half a pixel the tiles below would shine through"
    page.locator(".shot-open").first.focus()
    while page.locator(".shot").count() < 400:
        page.keyboard.press("End")
        page.wait_for_timeout(50)
    assert order(page) == ids
    page.evaluate("easel.open('txt2img')")      # as when a picture is sent there
    page.wait_for_function("scrollY < 1000")
    opened(page)
    page.wait_for_function("scrollY > 4000")


def test_a_search_narrows_and_is_remembered_with_the_tiles_size(past: Past, stage: Studio) -> None:
    ids = past.fill(60)
    page = opened(stage.page)
    page.locator(".history-words").fill("fox snow")
    counted(page, "10 pictures found")
    page.locator('.history-search [name="checkpoint"]').select_option("photo-v2")
    page.locator('.history-search [name="sampler"]').select_option("DPM++ 2M")
    before = page.evaluate(SETTLED_TILE)
    page.locator(".history-tiles input").fill("300")
    page.reload()
    opened(stage.settled().page)
    expect(page.locator(".history-words")).to_have_value("fox snow")
    expect(page.locator('.history-search [name="sampler"]')).to_have_value("DPM++ 2M")
    counted(page, "10 pictures found")
    page.wait_for_function(f"{TILE} > {before} * 1.5")
    page.locator('.history-acts [data-history="clear"]').click()
    counted(page, "60 pictures")
    assert order(page) == ids
    page.locator('.history-search [name="seed"]').fill("41")
    counted(page, "1 picture found")
    page.locator('.history-search [name="seed"]').fill("41x")
    expect(page.locator(".history-search .problem")).to_have_text("Seed must be a whole number between 0 and 18,446,744,073,709,551,615.")
    assert len(order(page)) == 1    # what was found stays
    page.locator('.history-search [name="seed"]').fill("")
    page.locator('.history-search [name="since"]').fill("2026-05-30")
    page.locator('.history-search [name="until"]').fill("2026-05-30")
    counted(page, "24 pictures found")
    page.locator(".history-words").fill("nobody drew this")
    empty(page, "No picture fits this search.")


def test_what_is_empty_says_so(past: Past, desk: Studio) -> None:
    page = entered(desk.page)
    empty(page, "There are no pictures yet")
    page.locator('[name="starred"]').check()
    empty(page, "No picture has a star yet")
    page.locator('[name="starred"]').uncheck()
    page.locator('[name="binned"]').check()
    empty(page, "The bin is empty.")
    page.locator('[name="binned"]').uncheck()
    board = page.request.post(f"{desk.url}easel/boards", data={"name": "nothing yet"}).json()["id"]
    page.evaluate("dispatchEvent(new Event('focus'))")      # as when somebody comes back from the page that made it
    page.locator(".board", has_text="nothing yet").click()
    empty(page, "No picture lies on this board yet.")
    expect(page.locator(".history-empty button")).to_be_hidden()
    page.locator(".board", has_text="All pictures").click()
    assert page.request.post(f"{desk.url}easel/boards/{board}/delete").ok
    page.route("**/easel/history?**", lambda route: route.abort())
    page.locator(".history-words").fill("x")
    expect(page.locator(".history-trouble p")).to_contain_text("Easel does not answer")
    page.unroute("**/easel/history?**")
    page.locator('[data-history="again"]').click()
    expect(page.locator(".history-trouble")).to_be_hidden()


def test_stars_by_hand_and_by_key(past: Past, desk: Studio) -> None:
    ids = past.fill(12)
    page = entered(desk.page)
    tile(page, ids[2]).locator(".shot-star").click()
    tile(page, ids[0]).locator(".shot-open").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("s")
    expect(tile(page, ids[1]).locator(".shot-star")).to_have_attribute("aria-pressed", "true")
    page.locator('[name="starred"]').check()
    counted(page, "2 pictures found")
    assert past.ids(starred=True) == {ids[1], ids[2]}
    page.route("**/easel/history/star", lambda route: route.fulfill(status=507, json={"problems": [{"field": "", "message": "the disk is full"}]}))
    tile(page, ids[2]).locator(".shot-star").click()
    expect(page.locator(".toast", has_text="The disk is full.")).to_be_visible()
    expect(tile(page, ids[2]).locator(".shot-star")).to_have_attribute("aria-pressed", "true")


def test_several_go_to_the_bin_and_come_back_in_their_places(past: Past, desk: Studio) -> None:
    ids = past.fill(130)
    page = entered(desk.page)
    page.mouse.wheel(0, 4000)
    expect(page.locator(".shot")).to_have_count(130)
    tile(page, ids[1]).locator(".shot-select").check()
    tile(page, ids[4]).locator(".shot-open").click(modifiers=["Shift"])
    expect(page.locator(".history-selected")).to_have_text("4 selected")
    expect(page.locator('[data-chosen="compare"]')).to_be_disabled()
    chosen(page, "bin")
    counted(page, "126 pictures")
    assert order(page) == [ids[0], *ids[5:]]
    assert past.ids(binned=True) == set(ids[1:5])
    assert page.locator(".shots-part").evaluate_all("parts => parts.map(part => part.childElementCount)") == [120, 6]
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    counted(page, "130 pictures")
    assert order(page) == ids
    assert not past.ids(binned=True)
    tile(page, ids[0]).locator(".shot-open").focus()
    page.keyboard.press("Delete")
    counted(page, "129 pictures")
    expect(tile(page, ids[1]).locator(".shot-open")).to_be_focused()
    page.keyboard.press("Control+z")
    counted(page, "130 pictures")
    assert order(page) == ids


def test_an_answer_from_before_a_deletion_does_not_bring_the_picture_back(past: Past, desk: Studio) -> None:
    """Undo asks what there is; who deletes before the answer is there sees what the deletion has left."""
    ids = past.fill(5)
    page = entered(desk.page)
    tile(page, ids[1]).locator(".shot-open").focus()
    page.keyboard.press("Delete")
    counted(page, "4 pictures")
    page.wait_for_timeout(300)      # the question after the deletion is answered
    late: list[tuple[Route, APIResponse]] = []
    page.route("**/easel/history?*limit=60*", lambda route: late.append((route, route.fetch())), times=1)
    page.keyboard.press("Control+z")
    counted(page, "5 pictures")
    while not late:
        page.wait_for_timeout(20)
    tile(page, ids[0]).locator(".shot-open").focus()
    page.keyboard.press("Delete")
    counted(page, "4 pictures")
    assert late[0][1].json()["total"] == 5
    with page.expect_response("**/easel/history?*limit=60*"):
        late[0][0].fulfill(response=late[0][1])
    page.wait_for_timeout(200)
    counted(page, "4 pictures")
    assert order(page) == ids[1:]


def test_the_bin_gives_back_and_asks_before_it_is_emptied(past: Past, desk: Studio) -> None:
    ids = past.fill(6)
    past.bin(*ids[:3])
    page = entered(desk.page)
    counted(page, "3 pictures")
    page.locator('[name="binned"]').check()
    counted(page, "3 pictures in the bin")
    page.locator('[data-history="select"]').click()
    tile(page, ids[1]).click()
    chosen(page, "restore")
    counted(page, "2 pictures in the bin")
    assert past.ids(binned=True) == {ids[0], ids[2]}
    page.locator('[data-history="empty"]').click()
    expect(page.locator(".sure p")).to_contain_text("all 2 pictures")
    page.keyboard.press("Enter")        # the first answer is the careful one
    expect(page.locator(".sure")).to_be_hidden()
    assert len(past.ids()) == 6
    page.locator('[data-history="empty"]').click()
    page.locator('[data-sure="yes"]').click()
    empty(page, "The bin is empty.")
    assert len(past.ids()) == 4


def test_details_follow_the_keys_and_fill_the_screen(past: Past, desk: Studio) -> None:
    ids = past.fill(12)
    page = entered(desk.page)
    tile(page, ids[0]).locator(".shot-open").click()
    details = page.locator(".details")
    expect(details.locator(".infotext-settings")).to_contain_text("Seed: 11")
    page.keyboard.press("ArrowRight")
    expect(details.locator(".infotext-settings")).to_contain_text("Seed: 10")
    details.locator(".details-picture").click()
    lightbox = page.locator(".lightbox:modal .pswp__item[aria-hidden=false] .pswp__img:not(.pswp__img--placeholder)")
    expect(lightbox).to_have_attribute("src", f"/easel/image/{ids[1]}")
    page.keyboard.press("ArrowRight")
    expect(lightbox).to_have_attribute("src", f"/easel/image/{ids[2]}")
    page.keyboard.press("Escape")
    expect(details.locator(".infotext-settings")).to_contain_text("Seed: 9")
    with page.expect_download() as download:
        details.locator('[data-details="download"]').click()
    assert download.value.suggested_filename == "00009-9.png"
    details.locator('[data-details="bin"]').click()
    expect(details.locator(".infotext-settings")).to_contain_text("Seed: 8")
    details.locator('[data-details="star"]').click()
    expect(tile(page, ids[3]).locator(".shot-star")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(details).to_be_hidden()


def test_a_picture_lends_its_settings(past: Past, desk: Studio) -> None:
    ids = past.fill(12)
    page = entered(desk.page)
    assert not page.evaluate("easel.form('img2img').values.init_image || easel.extras.list().length")
    tile(page, ids[1]).locator(".shot-open").click()
    page.locator('.details [data-send="txt2img"]').click()
    desk.shows(seed=10, steps=21)
    opened(page)
    page.locator('.details [data-send="inpaint"]').click()
    page.wait_for_function("easel.tab() === 'img2img' && easel.form('img2img').values.init_image")
    assert page.evaluate("easel.form('img2img').values.seed") == "10"
    expect(page.locator("#img2img_inpaint_fold > button")).to_have_class(re.compile(r"\bopen\b"))
    opened(page)
    page.locator('.details [data-send="extras"]').click()
    page.wait_for_function("easel.tab() === 'extras' && easel.extras.list().some(source => source.name === '00010-10.png')")


def test_two_are_compared(past: Past, desk: Studio) -> None:
    ids = past.fill(12)
    page = entered(desk.page)
    for one in (ids[0], ids[6]):
        tile(page, one).locator(".shot-open").click(modifiers=["Control"])
    chosen(page, "compare")
    compare = page.locator(".compare")
    expect(compare.locator(".compare-count")).to_contain_text("2 settings differ")
    expect(compare.locator("tbody tr")).to_have_text(["Size640x384512x768", "Seed115"])
    cut = "getComputedStyle(document.querySelector('.compare-a')).clipPath"
    before = page.evaluate(cut)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(cut) != before
    box = compare.locator(".compare-stage").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60)
    page.mouse.up()
    assert 88 <= int(compare.get_by_role("slider").input_value()) <= 92
    left, right = (compare.locator(f".compare-{side} img").bounding_box() for side in "ab")
    assert left == right
    compare.locator('[data-compare="beside"]').click()
    left, right = (compare.locator(f".compare-{side}").bounding_box() for side in "ab")
    assert left and right
    assert left["x"] + left["width"] <= right["x"]
    assert left["width"] == pytest.approx(right["width"], abs=1)
    assert page.evaluate(NAMELESS) == []
    page.keyboard.press("Escape")
    expect(compare).to_be_hidden()


def test_files_that_are_gone_are_noticed(past: Past, desk: Studio) -> None:
    ids = past.fill(6)
    past.lose(ids[0], ids[1])
    page = entered(desk.page)
    expect(tile(page, ids[0])).to_contain_text("The file is gone")
    tile(page, ids[0]).locator(".shot-open").click()
    expect(page.locator(".details-gone")).to_be_visible()
    expect(page.locator(".details .infotext-settings")).to_contain_text("Seed: 5")
    expect(page.locator('.details [data-send="img2img"]')).to_be_hidden()
    expect(page.locator('.details [data-send="txt2img"]')).to_be_visible()
    past.lose(ids[2])       # while the page is open
    page.evaluate("id => { document.querySelector(`.shot[data-id='${id}'] img`).src += '?again' }", ids[2])
    expect(tile(page, ids[2])).to_contain_text("The file is gone")


def test_pictures_from_elsewhere(past: Past, desk: Studio, tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "2024-01-01"
    folder.mkdir(parents=True)
    for number in range(5):
        Image.new("RGB", (64, 64), (number * 40, 90, 90)).save(folder / f"{number}.png")
    (folder / "5.png").write_text("no picture")
    (folder / "notes.txt").write_text("left out")
    page = entered(desk.page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator('[data-history="import"]').click()
    page.locator(".import-files").first.set_input_files(tmp_path / "outputs")
    line = page.locator(".import-line")
    expect(line).to_have_text("Imported: 6 of 6, 1 unreadable, 1 other files left out.")
    expect(page.locator(".import-refused li")).to_contain_text("outputs/2024-01-01/5.png: ")
    counted(page, "5 pictures")
    assert len(past.ids()) == 5 and any("name=outputs%2F2024-01-01%2F0.png&" in url for url in sent)
    page.locator('[data-import="close"]').click()
    page.locator('[data-history="import"]').click()
    page.locator(".import-files").last.set_input_files([folder / "0.png", folder / "1.png"])
    expect(line).to_have_text("Imported: 2 of 2, 2 known already.")
    page.locator('[data-import="close"]').click()
    page.route("**/easel/history/import?**", lambda route: route.abort())
    page.locator('[data-history="import"]').click()
    page.locator(".import-files").last.set_input_files(sorted(folder.glob("*.png"))[:5])
    expect(line).to_have_text("Stopped: 0 of 5. Easel does not answer.")
    page.unroute("**/easel/history/import?**")
    page.locator('[data-import="resume"]').click()
    expect(line).to_have_text("Imported: 5 of 5, 5 known already.")


def test_a_new_picture_appears_unless_a_search_hides_it(past: Past, desk: Studio) -> None:
    past.fill(6)
    page = entered(desk.page)
    first = order(page)
    desk = desk.into("txt2img")
    desk.generate(prompt="a kite", steps=1)
    opened(page)
    counted(page, "7 pictures")
    assert order(page)[1:] == first
    page.locator(".history-words").fill("fox")
    counted(page, "1 picture found")
    desk.into("txt2img").generate(prompt="another kite", steps=1)
    desk.idle()
    desk.generate(prompt="a fox", steps=1)
    opened(page)
    counted(page, "2 pictures found")


def in_both_lights(page: Page) -> None:
    for _ in range(2):
        page.evaluate("document.body.classList.toggle('dark')")
        page.wait_for_timeout(300)      # colours change softly
        assert page.evaluate(CONTRAST) == []


def test_names_and_contrast(past: Past, desk: Studio) -> None:
    ids = past.fill(12)
    past.star(ids[3])
    past.lose(ids[4])
    page = entered(desk.page)
    tile(page, ids[4]).locator(".shot-open").click()
    page.locator('[data-history="import"]').click()
    assert page.evaluate(NAMELESS) == []
    in_both_lights(page)
    tile(page, ids[1]).locator(".shot-select").check()
    chosen(page, "bin")
    page.locator('[data-history="select"]').click()
    in_both_lights(page)


def test_a_phone(past: Past, desk: Studio) -> None:
    page = desk.page
    page.set_viewport_size(PHONE)
    ids = past.fill(12)
    entered(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.locator(".history-fold").click()
    page.locator('.history-search [name="seed"]').fill("4")
    counted(page, "1 picture found")
    page.locator('.history-acts [data-history="clear"]').click()
    counted(page, "12 pictures")
    tile(page, ids[1]).locator(".shot-open").click()
    expect(page.locator(".details:modal")).to_be_visible()
    expect(page.locator(".details .infotext-settings")).to_contain_text("Seed: 10")
    page.locator('.details [data-send="txt2img"]').click()
    desk.shows(seed=10)
    expect(page.locator("#tab_txt2img-button")).to_be_in_viewport()
    opened(page)
    page.locator('[data-history="select"]').click()
    for one in ids[:2]:
        tile(page, one).locator(".shot-open").click()
    chosen(page, "compare")
    expect(page.locator(".compare-count")).to_contain_text("differ")
    assert page.evaluate("document.querySelector('.compare').scrollWidth") <= PHONE["width"]
    page.locator('[data-compare="close"]').click()
    chosen(page, "bin")
    expect(page.locator("#toasts").get_by_role("button", name="Undo").last).to_be_in_viewport()


@pytest.mark.parametrize("act", ["reuse", "send to img2img", "send to Extras"])
def test_on_a_phone_the_sheet_goes_when_its_picture_leads_to_another_tab(past: Past, desk: Studio, act: str) -> None:
    page = desk.page
    page.set_viewport_size(PHONE)
    ids = past.fill(12)
    entered(page)
    tile(page, ids[1]).locator(".shot-open").click()
    page.locator(".details:modal .details-picture").click()
    bar = page.locator(".lightbox:modal .lightbox-acts")
    if act == "reuse":
        bar.locator('[data-act="reuse"]').click()
    else:
        bar.locator('[data-act="send"]').click()
        page.get_by_role("menuitem", name=act, exact=False).click()
    page.wait_for_function("easel.tab() !== 'history'")
    expect(page.locator(":modal")).to_have_count(0)
    page.get_by_role("tab", name="Settings").click()
    page.wait_for_function("easel.tab() === 'settings'")


def test_the_real_house(studio: Studio) -> None:
    page = studio.page
    studio.generate(prompt="a large red circle, opus", seed=7, steps=2, batch_count=2)
    studio.wait_pictures(2)
    studio.idle()
    opened(page)
    page.locator('.history-search [name="seed"]').fill("7")
    page.locator(".history-words").fill("opu circl")
    counted(page, "1 picture found")
    page.locator('.history-search [name="seed"]').fill("")
    counted(page, "2 pictures found")
    ids = order(page)
    for one in ids[:2]:
        tile(page, one).locator(".shot-open").click(modifiers=["Control"])
    chosen(page, "compare")
    expect(page.locator(".compare tbody tr", has_text="Seed")).to_contain_text("7")
    page.keyboard.press("Escape")
    chosen(page, "star")
    expect(tile(page, ids[1]).locator(".shot-star")).to_have_attribute("aria-pressed", "true")
    chosen(page, "bin")
    expect(tile(page, ids[0])).to_have_count(0)
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    expect(tile(page, ids[0])).to_have_count(1)
    assert order(page) == ids
    tile(page, ids[1]).locator(".shot-open").click()
    expect(page.locator(".details .infotext-settings")).to_contain_text("Seed: 7")
    page.locator('.details [data-send="img2img"]').click()
    page.wait_for_function("easel.form('img2img').values.init_image", timeout=PATIENCE)


def test_a_foreign_picture_is_found_and_lends_its_settings_when_its_file_is_gone(past: Past, desk: Studio, house: Stage, tmp_path: Path) -> None:
    page = desk.page
    text = "a green tree\nNegative prompt: red\nSteps: 9, Sampler: Euler a, CFG scale: 3, Seed: 12, Size: 128x64, Model: absent"
    (tmp_path / "tree.png").write_bytes(save.encode(Image.new("RGB", (128, 64), "green"), "PNG", text))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    entered(page)
    page.locator('[data-history="import"]').click()
    page.locator(".import-files").first.set_input_files(tmp_path)
    expect(page.locator(".import-line")).to_have_text("Imported: 2 of 2, 1 unreadable.")
    page.locator('.history-search [name="checkpoint"]').select_option("absent")
    counted(page, "1 picture found")
    for file in house.backend.settings.outputs.rglob("*.png"):
        if text.encode() in file.read_bytes():
            file.unlink()
    page.locator(".history-words").fill("tree")
    expect(page.locator(".shot-gone")).to_have_text("The file is gone")
    page.locator(".shot-open").click()
    page.locator('.details [data-send="txt2img"]').click()
    desk.shows(prompt="a green tree", seed=12, steps=9)
    opened(page)
    page.locator('.details [data-details="bin"]').click()
    page.locator('[name="binned"]').check()
    counted(page, "1 picture found in the bin")
    page.locator('[data-history="empty"]').click()
    page.locator('[data-sure="yes"]').click()
    empty(page, "Nothing in the bin fits this search.")
