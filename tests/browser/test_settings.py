"""The Settings tab in a real browser: saved at once, held on every device, in the person's light and language."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DESKTOP, Easel
from tests.browser.studio import PATIENCE, Studio

pytestmark = pytest.mark.browser
RESET = """async () => easel.post("/easel/preferences",
    Object.fromEntries(Object.keys(await easel.ask("/easel/preferences")).map(name => [name, null])))"""


@pytest.fixture
def desk(studio: Studio) -> Iterator[Studio]:
    """The page, its Settings tab open; afterwards nothing is chosen any more."""
    yield opened(studio)
    studio.page.evaluate(RESET)


@pytest.fixture
def german(chromium: Browser, easel: Easel) -> Iterator[Studio]:
    context = chromium.new_context(viewport=DESKTOP, locale="de-DE")
    yield Studio(context.new_page(), easel.url).open()
    context.close()


def opened(studio: Studio) -> Studio:
    studio.page.locator("#tab_settings-button").click()
    studio.page.wait_for_selector("#settings_about dt", timeout=PATIENCE)
    return replace(studio, tab="settings")


def kept(studio: Studio) -> dict:
    return studio.page.evaluate("easel.ask('/easel/preferences')")


def saved(studio: Studio, word: str = "Saved") -> None:
    expect(studio.page.locator("#settings_state")).to_have_text(word, timeout=PATIENCE)


def fresh(studio: Studio) -> Studio:
    """The same house seen with a browser that was never here."""
    page = studio.page.context.browser.new_context(viewport=DESKTOP).new_page()
    return Studio(page, studio.url).open()


def test_a_pattern_is_saved_shown_and_used(desk: Studio) -> None:
    desk.fill(name_pattern="[prompt_words]-[seed]")
    example = desk.page.locator("#settings_example")
    expect(example).to_contain_text("a lighthouse at dusk", timeout=PATIENCE)
    saved(desk)
    assert kept(desk) == {"name_pattern": "[prompt_words]-[seed]"}
    drawing = desk.into("txt2img")
    before = drawing.pictures()
    drawing.generate(prompt="purple heart, white background", steps=1, seed=77)
    drawing.wait_pictures(before + 1)
    name = drawing.page.evaluate("async () => (await easel.ask('/easel/images?limit=1')).images[0].name")
    assert name.startswith("purple heart white background-77-")


def test_a_wrong_pattern_is_told_at_its_field_and_the_rest_is_saved(desk: Studio) -> None:
    desk.fill(name_pattern="[sed]", image_quality=80)
    expect(desk.box("name_pattern").locator(".problem")).to_contain_text("unknown word [sed]", timeout=PATIENCE)
    saved(desk, "Not saved")
    desk.page.wait_for_function("async () => JSON.stringify(await easel.ask('/easel/preferences')) === '{\"image_quality\":80}'")
    desk.fill(name_pattern="[seed]")
    saved(desk)
    expect(desk.box("name_pattern").locator(".problem")).to_have_count(0)
    guides = {"guides.mine": [{"weight": 0.5}]}
    desk.page.evaluate("async guides => easel.post('/easel/preferences', guides)", guides)
    desk.page.reload()
    again = opened(replace(desk, tab="txt2img").settled())
    again.shows(name_pattern="[seed]", image_quality=80)
    again.page.locator("#settings_reset").click()
    again.page.get_by_role("dialog").get_by_role("button", name="Reset everything here").click()
    again.shows(name_pattern="[time]-[job]-[number]-[seed]", image_quality=95)
    assert kept(again) == guides, "sets of guides are no settings"
    again.page.evaluate("async () => easel.post('/easel/preferences', { 'guides.mine': null })")


def test_the_light_is_there_before_the_page_is(desk: Studio) -> None:
    desk.box("theme").get_by_text("Dark").click()
    expect(desk.page.locator("body.dark")).to_have_count(1)
    saved(desk)
    other = desk.page.context.browser.new_context(viewport=DESKTOP).new_page()
    other.goto(desk.url, wait_until="commit")
    other.wait_for_function("document.body && document.querySelector('gradio-app')")
    light = other.evaluate("[document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]")
    assert light == ["dark", "rgb(23, 22, 20)"]
    Studio(other, desk.url).settled()
    expect(other.locator("body.dark")).to_have_count(1)
    desk.box("theme").get_by_text("Light").click()
    expect(desk.page.locator("body.dark")).to_have_count(0)
    other.context.close()


def test_the_page_speaks_the_browsers_language_and_leaves_what_people_write(german: Studio) -> None:
    page = german.page
    expect(page.get_by_role("tab", name="Einstellungen")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("#txt2img_generate")).to_have_text("Erzeugen")
    box = page.locator("#txt2img_prompt textarea")
    box.fill("Settings")
    assert box.input_value() == "Settings" and page.evaluate("easel.form('txt2img').values.sampler") == "DPM++ 2M"
    for fold in ("face_swap", "detailers"):
        page.locator(f"#txt2img_{fold}_fold").get_by_role("button").first.click()
    expect(page.locator("#txt2img_face_swap_model [data-words]")).to_have_attribute("data-words", "Keine")
    page.locator("#txt2img_face_swap_model input").click()
    expect(german.offered).to_have_text("✓ Keine")
    page.keyboard.press("Escape")
    acting = "name => getComputedStyle(document.querySelector(name), '::after').content"
    page.evaluate("document.querySelector('#txt2img_detailers_fold').classList.add('acting')")
    assert page.evaluate(acting, "#txt2img_detailers_fold > button > span") == '" · an"'
    page.locator("#tab_settings-button").click()
    page.locator("#settings_language").get_by_text("English").click()
    expect(page.locator("#txt2img_generate")).to_have_text("Generate")
    assert page.evaluate(acting, "#txt2img_detailers_fold > button > span") == '" · on"'
    expect(page.get_by_role("tab", name="Settings")).to_be_visible()
    expect(page.locator("#settings_state")).to_have_text("Saved", timeout=PATIENCE)
    page.evaluate(RESET)


def test_a_new_browser_starts_with_the_persons_defaults(desk: Studio) -> None:
    drawing = desk.into("txt2img")
    drawing.fill(steps=33, negative_prompt="blurry", prompt="not kept")
    desk.page.wait_for_function("easel.form('txt2img').values.steps === 33")
    desk.page.locator("#tab_settings-button").click()
    row = desk.page.locator('#settings_defaults [data-tab="txt2img"]')
    row.get_by_role("button", name="Make its present settings").click()
    expect(row.locator(".defaults-own")).to_have_text("Negative prompt, Sampling steps", timeout=PATIENCE)
    new = fresh(desk)
    new.shows(steps=33, negative_prompt="blurry", prompt="")
    new.fill(steps=5, prompt="mine")
    new.page.wait_for_function("easel.form('txt2img').values.steps === 5")
    new.button("home").click()
    new.shows(steps=33, prompt="mine")
    new.page.context.close()
    row.get_by_role("button", name="Forget them").click()
    expect(row.locator(".defaults-own")).to_have_text("Easel's own", timeout=PATIENCE)
    drawing = desk.into("txt2img")
    drawing.button("home").click()
    drawing.shows(steps=20, negative_prompt="")


def test_extensions_are_listed_with_their_switches(desk: Studio) -> None:
    one = desk.page.locator("#settings_extensions .extension", has_text="FreeU")
    switch = one.get_by_role("checkbox")
    expect(switch).to_be_checked()
    expect(one).not_to_contain_text("next start")
    switch.press("Space")
    expect(one).to_contain_text("Off after the next start")
    expect(switch).to_be_focused()
    listed = desk.page.evaluate("easel.ask('/easel/extensions')")["extensions"]
    assert [(each["state"], each["wanted"]) for each in listed if each["name"] == "freeu"] == [("on", False)]
    switch.press("Space")
    expect(one).not_to_contain_text("next start")
