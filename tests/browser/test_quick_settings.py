"""Fields pinned to the bar, kept per person and one with the field in the form; search in Settings."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.studio import PATIENCE, Studio

PINNED = "() => Object.fromEntries([...document.querySelectorAll('[data-pin]:not([hidden])')].map(box => [box.dataset.pin, (control => control.type === 'checkbox' ? control.checked : control.value)(box.querySelector('input, select'))]))"


def pinned(page: Page, **values: object) -> None:
    page.wait_for_function(f"wanted => JSON.stringify(({PINNED})()) === JSON.stringify(wanted)", arg=values, timeout=PATIENCE)


def to_edge(page: Page, name: str) -> float:
    """Pixels from the middle of a list's arrow to the edge of its box."""
    box, arrow = (page.locator(f"#txt2img_{name} {what}").last.bounding_box() for what in (".wrap:not(.hidden)", ".dropdown-arrow"))
    return box["x"] + box["width"] - arrow["x"] - arrow["width"] / 2


def test_fields_are_pinned_by_keyboard_and_one_with_the_form(stage: Studio, page: Page) -> None:
    stage.into("Settings")
    field = page.locator("#settings_pins input").first
    field.focus()
    page.evaluate("easel.post('/easel/styles', { name: 'pinned ink', prompt: 'ink', negative_prompt: '', was: '' })")
    for words in ("Sampling steps", "Image format", "Hires. fix"):
        page.keyboard.type(words)
        expect(stage.offered.first).to_have_attribute("aria-label", re.compile(words, re.I))
        page.keyboard.press("Enter")
    page.wait_for_function("async () => (await easel.ask('/easel/preferences')).pins?.length === 3", timeout=PATIENCE)
    pinned(page, image_format="png")
    page.locator("[data-pin=image_format] select").select_option("webp")
    expect(page.locator("#settings_image_format input")).to_have_value("webp")
    page.get_by_role("tab", name="txt2img").click()
    pinned(page, steps="20", image_format="webp", enable_hr=False)
    page.locator("[data-pin=steps] input").fill("17")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    stage.shows(steps=17)
    pinned(page, steps="17", image_format="webp", enable_hr=True)
    stage.fill(steps=23)
    pinned(page, steps="23", image_format="webp", enable_hr=True)
    page.evaluate("easel.post('/easel/preferences', { pins: ['steps', 'image_format', 'enable_hr', 'styles'] })")
    page.reload()
    stage.settled()
    styles = page.locator("[data-pin=styles]")
    expect(styles.locator("summary")).to_have_text("None", timeout=PATIENCE)
    page.locator("[data-pin=enable_hr] input").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    styles.get_by_role("checkbox", name="pinned ink").focus()
    page.keyboard.press("Space")
    page.wait_for_function("easel.form('txt2img').values.styles?.[0] === 'pinned ink'", timeout=PATIENCE)
    expect(styles.locator("summary")).to_have_text("pinned ink")
    page.keyboard.press("Escape")
    expect(styles.locator("summary")).to_be_focused()
    page.evaluate("easel.form('txt2img').apply({ styles: [] })")
    expect(page.locator("#txt2img_styles .token")).to_have_count(0)
    assert abs(to_edge(page, "styles") - to_edge(page, "prompt_expansion")) <= 2, "the arrow is where a list of one has it"
    page.evaluate("easel.post('/easel/styles/delete', { name: 'pinned ink' })")
    page.evaluate("easel.post('/easel/preferences', { pins: null, image_format: null })")


def test_settings_are_searched(desk: Studio) -> None:
    page = desk.into("Settings").page
    search, panels = page.get_by_role("searchbox", name="Search in the settings"), page.locator("#settings .setting-sheet")
    expect(page.locator("#settings_image_format")).to_be_visible()
    search.fill("image format")
    expect(page.locator("#settings_theme")).to_be_hidden()
    expect(page.locator("#settings_image_format")).to_be_visible()
    search.fill("defaults")
    expect(page.locator("#settings_defaults")).to_be_visible()
    search.fill("no such words")
    expect(panels.locator("visible=true")).to_have_count(0)
    expect(page.get_by_text("No setting has these words.")).to_be_visible()
    search.fill("")
    expect(page.locator("#settings_theme")).to_be_visible()
