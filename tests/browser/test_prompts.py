"""Around the prompt: suggestions, styles, wildcards and the prompts used before, as a person meets them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PHONE, Easel
from tests.browser.studio import Studio
from tests.tiny.house import until


@pytest.fixture
def files(easel: Easel) -> Iterator[None]:
    """What a person has laid into the data folder."""
    (easel.data / "wildcards").mkdir(exist_ok=True)
    (easel.data / "wildcards" / "colour.txt").write_text("red\nblue\n", "utf-8")
    (easel.data / "tags.csv").write_text('long_hair,0,4350743,"hair_long"\nlong_skirt,0,90000,\nsaber_(fate),4,30000,artoria\n', "utf-8")
    (easel.data / "styles.csv").write_text('name,prompt,negative_prompt\nOil,"{prompt}, oil",photo\n', "utf-8")
    yield
    (easel.data / "styles.csv").unlink()


def suggestions(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Suggestions")


def typed(studio: Studio, text: str, box: str = "prompt") -> Locator:
    field = studio.field(box)
    field.press("End")
    field.press_sequentially(text)
    return field


def test_suggestions_by_keyboard(files: None, easel_desk: Studio) -> None:
    easel_desk.fill(prompt="")
    field, page = typed(easel_desk, "a girl, long"), easel_desk.page
    expect(suggestions(page).get_by_role("option")).to_have_text(["long hair4.4M", "long skirt90K"])
    expect(field).to_have_attribute("aria-expanded", "true")
    field.press("ArrowDown")
    field.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", "suggestion-1")
    field.press("Enter")
    expect(field).to_have_value("a girl, long skirt, ")
    expect(suggestions(page)).to_have_count(0)
    typed(easel_desk, "artor")
    expect(suggestions(page)).to_contain_text("artoria")
    field.press("Tab")
    expect(field).to_have_value("a girl, long skirt, saber \\(fate\\), ")
    typed(easel_desk, "__col")
    expect(suggestions(page).get_by_role("option")).to_have_text("colourWildcard")
    field.press("Escape")
    expect(suggestions(page)).to_have_count(0)
    expect(field).not_to_have_attribute("role", "combobox")


ANSWERS_WAIT_FOR_LONG = """() => {
  const { fetch } = window;
  const typed = new Promise(done => addEventListener("input", event => { if (event.target.value.endsWith("long")) setTimeout(done); }));
  window.fetch = async (url, ...rest) => {
    const answer = await fetch(url, ...rest);
    if (String(url).endsWith("xyz")) await typed;
    return answer;
  };
  window.hurried = fetch;
}"""


def test_letters_typed_while_an_answer_is_on_its_way_are_looked_up(files: None, easel_desk: Studio) -> None:
    page = easel_desk.page
    page.evaluate(ANSWERS_WAIT_FOR_LONG)
    easel_desk.fill(prompt="")
    with page.expect_response("**/easel/complete*xyz"):
        typed(easel_desk, "xyz")
    typed(easel_desk, ", long")
    expect(suggestions(page)).to_be_visible()
    page.evaluate("window.fetch = hurried")


def test_keys_are_only_taken_while_something_is_chosen(files: None, easel_desk: Studio) -> None:
    easel_desk.fill(negative_prompt="")
    field, page = typed(easel_desk, "long", "negative_prompt"), easel_desk.page
    expect(suggestions(page)).to_be_visible()
    field.press("Enter")
    expect(field).to_have_value("long\n")
    expect(suggestions(page)).to_have_count(0)
    typed(easel_desk, "hair_l", "negative_prompt")
    expect(suggestions(page)).to_be_visible()
    field.press("Control+ArrowUp")
    expect(field).to_have_value("long\n(hair_l:1.1)")
    easel_desk.fill(negative_prompt="")


def test_suggestions_by_finger_on_a_phone(files: None, easel: Easel, chromium: object) -> None:
    context = chromium.new_context(viewport=PHONE, has_touch=True)  # type: ignore[attr-defined]
    studio = Studio(context.new_page(), easel.url).open().ready()
    studio.fill(prompt="many words before the")
    field = typed(studio, " long")
    shown = until(suggestions(studio.page).bounding_box)
    assert shown["x"] >= 0 and shown["x"] + shown["width"] <= PHONE["width"]
    suggestions(studio.page).get_by_role("option").first.tap()
    expect(field).to_have_value("many words before the long hair, ")
    expect(field).to_be_focused()
    context.close()


def test_a_style_is_made_chosen_drawn_with_and_deleted(files: None, easel_desk: Studio, easel: Easel) -> None:
    page, sheet = easel_desk.page, easel_desk.page.locator(".styles-sheet")
    easel_desk.fill(prompt="a __colour__ circle", negative_prompt="", width=64, height=64, steps=1)
    easel_desk.button("edit_styles").click()
    expect(sheet.locator(".styles-prompt")).to_have_value("a __colour__ circle")
    sheet.locator(".styles-name").fill("Oil")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.get_by_role("alert")).to_contain_text("another style")
    sheet.locator(".styles-name").fill("Tall")
    sheet.locator(".styles-prompt").fill("a tall {prompt}")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.locator(".styles-which")).to_have_value("Tall")
    assert "a tall {prompt}" in (easel.data / "styles.csv").read_text("utf-8-sig")
    page.keyboard.press("Escape")
    for name in ("Tall", "Oil"):
        easel_desk.field("styles").click()
        page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_function("easel.form('txt2img').values.styles.join() === 'Tall,Oil'")
    before = easel_desk.pictures()
    easel_desk.generate()
    easel_desk.wait_pictures(before + 1)
    expect(easel_desk.infotext).to_contain_text("circle, oil")
    expect(easel_desk.infotext).to_contain_text('Template: "a tall a __colour__ circle, oil"')
    easel_desk.button("apply_styles").click()
    easel_desk.shows(prompt="a tall a __colour__ circle, oil", negative_prompt="photo")
    assert page.evaluate("easel.form('txt2img').values.styles") == []
    into = easel_desk.into("img2img")
    into.field("styles").click()
    expect(page.get_by_role("option", name="Tall")).to_be_visible()     # it was not open yet when the style was saved
    page.keyboard.press("Escape")
    into.button("edit_styles").click()
    sheet.locator(".styles-which").select_option("Tall")
    sheet.get_by_role("button", name="Delete").click()
    sheet.get_by_role("button", name="Really delete?").click()
    expect(sheet.locator(".styles-which option")).to_have_text(["New style", "Oil"])
    (easel.data / "styles.csv").write_text("my;own;table\n", "utf-8")
    page.reload()
    expect(page.locator(".toast", has_text="The styles in data/styles.csv are left out")).to_be_visible(timeout=20_000)
    into.settled().button("edit_styles").click()         # the tab that the address names
    expect(sheet.get_by_role("alert")).to_contain_text("needs a first line")


def test_what_was_used_comes_back(files: None, easel_desk: Studio) -> None:
    page = easel_desk.page
    for prompt in ("a heart striped like a zebra", "a brown boat"):
        page.evaluate("""prompt => easel.ask('/sdapi/v1/txt2img', {method: 'POST', headers: {'Content-Type': 'application/json'},
            body: JSON.stringify({prompt, negative_prompt: 'fog', steps: 1, width: 64, height: 64, send_images: false})})""", prompt)
    easel_desk.button("used").click()
    rows = page.locator(".used-list button")
    expect(rows.first).to_contain_text("a brown boat")
    page.locator(".used-search").fill("ZEBRA")
    expect(rows).to_have_count(1)
    rows.first.click()
    easel_desk.shows(prompt="a heart striped like a zebra", negative_prompt="fog")


def test_an_unknown_wildcard_is_said_at_the_prompt(files: None, easel_desk: Studio) -> None:
    easel_desk.generate(prompt="a __shape__")
    expect(easel_desk.box("prompt").get_by_role("alert")).to_contain_text("__shape__")
