"""Results: the picture stays where it is, what can be done with it stands at its edge, and it fills the screen."""

from __future__ import annotations

import io
import re

from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Stage
from tests.browser.studio import PATIENCE, Studio

WATCH = """() => {
  const stage = document.querySelector("#txt2img_results .stage"), image = stage.querySelector("img");
  window.seen = { shown: [], tops: new Set() };
  new MutationObserver(() => window.seen?.shown.push(image.getAttribute("src"))).observe(image, { attributeFilter: ["src"] });
  const look = () => { if (!window.seen) return; seen.tops.add(stage.offsetTop - stage.closest(".results").offsetTop); requestAnimationFrame(look); };
  look();
}"""
TWO = """() => {
  const live = event => easel.tell("live", event);
  const progress = (job, index, step) => live({ type: "progress", job, index, count: 4, step, steps: 20, fraction: step / 20, preview: 0, preview_index: 0, message: "" });
  live({ type: "queue", total: 2, jobs: ["a", "b"].map(id => ({ id, state: "running", position: 0, prompt: `job ${id}`, count: 4, done: 0 })) });
  const told = [[ "a", 0, 3 ], ["b", 0, 9], ["a", 1, 4], ["b", 1, 10]].map(news => {
    progress(...news);
    return [document.querySelector("#txt2img_results .progress-text").innerText, document.querySelector("#worker").innerText];
  });
  live({ type: "queue", total: 0, jobs: [] });
  return told;
}"""


def drawn(desk: Studio, count: int) -> Page:
    before = desk.pictures()
    desk.generate(prompt="a lighthouse", steps=2, batch_count=count, seed=11)
    desk.wait_pictures(before + count)
    desk.idle()
    return desk.page


def action(desk: Studio, name: str) -> Locator:
    return desk.results.locator(".picture-tools").get_by_role("button", name=name)


def newest_on_stage(desk: Studio) -> str:
    """Its address, once it has taken the place of its preview: it is decoded first."""
    newest = desk.page.evaluate("easel.results('txt2img').list()[0].url")
    expect(desk.results.locator(".stage-picture img")).to_have_attribute("src", newest)
    return newest


def test_the_picture_neither_flashes_nor_jumps(desk: Studio) -> None:
    page = drawn(desk, 1)
    had, former = desk.pictures(), newest_on_stage(desk)
    page.evaluate(WATCH)
    desk.generate(prompt="the next", steps=8, batch_count=2, seed=12)
    desk.wait_pictures(had + 2)
    desk.idle()
    newest_on_stage(desk)
    shown, tops = page.evaluate("() => { const { shown, tops } = seen; window.seen = null; return [shown, [...tops]]; }")
    assert any("/easel/preview/" in url for url in shown) and former not in shown
    assert len(tops) == 1


def test_of_two_running_jobs_one_is_told_and_the_other_counted(desk: Studio) -> None:
    told = desk.page.evaluate(TWO)
    assert [text.split(",")[0] for text, _ in told] == ["Picture 1 of 4"] * 2 + ["Picture 2 of 4"] * 2
    assert all("1 more job is being drawn" in text and "Starting" not in text for text, _ in told)
    assert all("Drawing 2 jobs" in worker for _, worker in told)


def test_what_can_be_done_with_a_picture(desk: Studio, house: Stage) -> None:
    page = drawn(desk, 3)
    had, first = desk.pictures(), page.evaluate("easel.results('txt2img').shown().id")
    expect(desk.results.locator(".picture-facts")).to_contain_text("3 pictures in")
    action(desk, "Star").click()
    expect(action(desk, "Star")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("document.querySelector('#say').textContent === 'Starred.'")
    assert first in house.past.ids(starred=True)
    action(desk, "Delete").click()
    page.wait_for_function("had => easel.results('txt2img').list().length === had - 1", arg=had)
    assert first in house.past.ids(binned=True)
    page.keyboard.press("Control+z")
    page.wait_for_function("first => easel.results('txt2img').list()[0].id === first", arg=first)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    action(desk, "Copy the picture").click()
    page.wait_for_function("document.querySelector('#say').textContent === 'Picture copied.'")
    assert page.evaluate("navigator.clipboard.read().then(items => items[0].types)") == ["image/png"]
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("g")
    cells = desk.results.locator(".stage-grid .cell")
    expect(cells).to_have_count(3)
    cells.nth(1).click()
    expect(cells).to_have_count(0)
    expect(desk.results.locator(".stage-picture")).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("easel.results('txt2img').list().map(one => one.index).indexOf(easel.results('txt2img').shown().index)") == 2
    action(desk, "Send to …").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Send to inpaint")).to_be_focused()
    page.keyboard.press("Escape")
    expect(action(desk, "Send to …")).to_be_focused()


def test_full_screen(desk: Studio, house: Stage) -> None:
    page = drawn(desk, 3)
    box = page.locator(".lightbox")

    def seen(picture: str) -> Locator:
        image = box.locator(f".pswp__img[src='/easel/image/{picture}']:not(.pswp__img--placeholder)")
        expect(image).to_be_in_viewport(ratio=0.9, timeout=PATIENCE)
        return image

    ids = page.evaluate("easel.results('txt2img').list().map(one => one.id)")
    page.locator(".tile[tabindex='0']").focus()
    page.keyboard.press("f")
    place = page.evaluate("scrollY")
    seen(ids[0])
    expect(box.locator(".lightbox-counter")).to_have_text(f"1 / {len(ids)}")
    assert page.evaluate("location.hash") == f"#/txt2img/{ids[0]}"
    page.keyboard.press("ArrowRight")
    seen(ids[1])
    whole = seen(ids[1]).bounding_box()["width"]
    page.keyboard.press("1")
    page.wait_for_function("() => Math.abs(document.querySelector('.pswp__item[aria-hidden=false] .pswp__img').getBoundingClientRect().width - 128) < 1")
    page.keyboard.press("0")
    page.wait_for_function("whole => Math.abs(document.querySelector('.pswp__item[aria-hidden=false] .pswp__img').getBoundingClientRect().width - whole) < 1", arg=whole)
    page.keyboard.press("i")
    expect(box.locator(".lightbox-text")).to_contain_text("a lighthouse")
    expect(box.locator(".lightbox-text")).not_to_have_css("max-height", re.compile("^192"))
    page.keyboard.press("?")
    expect(page.locator(".keys-sheet h3").first).to_have_text("Full screen")
    page.keyboard.press("Escape")
    expect(page.locator(".keys-sheet")).to_have_count(0)
    page.keyboard.press("s")
    expect(box.get_by_role("button", name="Star")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Delete")
    seen(ids[2])
    assert ids[1] in house.past.ids(binned=True, starred=True)
    page.locator("#toasts").get_by_role("button", name="Undo").click()
    seen(ids[1])
    for _ in range(20):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('.lightbox')")
    page.mouse.wheel(0, 400)
    page.keyboard.press("End")
    seen(ids[-1])
    page.wait_for_function("!!document.activeElement.closest('.lightbox')")
    page.keyboard.press("Home")
    seen(ids[0])
    page.keyboard.press("ArrowRight")
    seen(ids[1])
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    assert page.evaluate("scrollY") == place
    expect(page.locator(f".strip [data-id='{ids[1]}']")).to_be_focused()
    assert page.evaluate("location.hash") == "#/txt2img"
    page.goto(f"{desk.url}#/txt2img/{ids[2]}")
    page.reload()
    seen(ids[2])
    page.evaluate("history.replaceState(null, '', '#/txt2img'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(box).to_be_hidden(timeout=PATIENCE)


def test_before_and_after(desk: Studio) -> None:
    page, tab = desk.page, desk.into("extras")
    out = io.BytesIO()
    Image.linear_gradient("L").resize((48, 32)).convert("RGB").save(out, "PNG")
    page.locator(".extras-file").set_input_files({"name": "one.png", "mimeType": "image/png", "buffer": out.getvalue()})
    expect(page.locator(".source")).to_have_count(1, timeout=PATIENCE)
    had = tab.pictures()
    tab.button("generate").click()
    tab.wait_pictures(had + 1)
    action(tab, "Before and after").click()
    before, after = (tab.results.locator(f".stage-compare .compare-{side} img") for side in "ab")
    expect(before).to_have_attribute("src", re.compile("/easel/upload/"))
    expect(after).to_have_attribute("src", page.evaluate("easel.results('extras').shown().url"))
    slider = tab.results.get_by_role("slider", name="How much of the left picture is seen")
    slider.focus()
    page.keyboard.press("End")
    assert slider.input_value() == "100"
    box = tab.results.locator(".stage-compare .comparison").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    assert 18 <= int(slider.input_value()) <= 22
    page.keyboard.press("b")
    expect(slider).to_be_hidden()


def test_an_interrupted_picture_is_shown_with_its_note(desk: Studio) -> None:
    page, before = desk.page, desk.pictures()
    desk.generate(prompt="half of it", steps=80)
    desk.steps_done(4)
    page.keyboard.press("Escape")
    desk.wait_pictures(before + 1)
    expect(desk.results.locator(".picture-facts")).to_contain_text(re.compile(r"Interrupted at step \d+ of 80"))
    expect(desk.results.locator(".stage-picture img")).to_have_attribute("src", re.compile(r"/easel/image/\w+\?unfinished"))


def test_the_picture_its_deeds_and_the_strip_fit_a_small_screen(desk: Studio) -> None:
    page = drawn(desk, 2)
    for width, height in ((1280, 720), (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        for part in (".stage-picture", ".picture-tools", ".strip"):
            expect(desk.results.locator(part)).to_be_in_viewport(ratio=1 if part != ".strip" else 0.1)
        sizes = page.evaluate("[...document.querySelectorAll('#txt2img_results :is(button, a, .tile)')].filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect()).map(one => Math.min(one.width, one.height))")
        assert min(sizes) >= 24


def test_a_way_into_another_tab_takes_the_focus_along(desk: Studio) -> None:
    drawn(desk, 1)
    desk.results.get_by_role("button", name="Send to …").focus()
    desk.page.keyboard.press("Enter")
    desk.page.keyboard.press("Enter")
    expect(desk.page.get_by_role("tab", name="img2img")).to_be_focused()
    assert desk.page.url.endswith("#/img2img")
