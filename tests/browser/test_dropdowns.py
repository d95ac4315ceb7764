"""Lists to choose from, by keyboard alone: they open when asked, filter by what is typed, and keep the focus."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.studio import Studio

STYLES = """async () => { for (const name of ['Oil', 'Tall']) await easel.post('/easel/styles', { name, prompt: `{prompt}, ${name}` }); }"""
SELECTED = "box => box.value.slice(box.selectionStart, box.selectionEnd)"
OPEN = 'input[role="combobox"][aria-expanded="true"]'


def chosen(page: Page, name: str) -> object:
    return page.evaluate("name => easel.form('txt2img').values[name]", name)


def holds(page: Page, name: str, value: object) -> None:
    page.wait_for_function("([name, value]) => JSON.stringify(easel.form('txt2img').values[name]) === JSON.stringify(value)", arg=[name, value])


def offered(page: Page) -> list[str]:
    page.wait_for_selector(OPEN)
    page.wait_for_timeout(100)
    return page.evaluate("[...document.querySelectorAll('[role=listbox] > [role=option][data-index]')].map(one => one.getAttribute('aria-label'))")


def test_the_focus_passes_lists_without_opening_them(desk: Studio) -> None:
    page = desk.page
    before = chosen(page, "sampler")
    desk.field("sampler").focus()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(desk.field("schedule")).to_be_focused()
    for key in ("Shift", "Control+a", "F8", "Home", "Escape"):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        expect(page.locator(OPEN)).to_have_count(0)
    assert chosen(page, "sampler") == before


def test_keys_open_choose_and_leave_a_list(desk: Studio) -> None:
    page = desk.page
    field = desk.field("sampler")
    field.focus()
    for before, after in (("DPM++ 2M", "DPM++ SDE"), ("DPM++ SDE", "DPM++ 2M SDE")):      # the focus stays for the next choice
        assert field.evaluate(SELECTED) == before
        page.keyboard.press("ArrowDown")
        assert before in offered(page)
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(100)
        page.keyboard.press("Enter")
        holds(page, "sampler", after)
        expect(field).to_be_focused()
        expect(page.locator(OPEN)).to_have_count(0)
        page.wait_for_timeout(100)
    page.keyboard.press("Enter")
    assert offered(page)
    page.keyboard.press("Tab")
    expect(desk.field("schedule")).to_be_focused()
    expect(page.locator(OPEN)).to_have_count(0)


def test_what_is_typed_filters(desk: Studio) -> None:
    page = desk.page
    field = desk.field("sampler")
    field.focus()
    page.keyboard.type("eul")
    assert offered(page) == ["Euler a", "Euler"]
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(100)
    page.keyboard.press("Enter")
    holds(page, "sampler", "Euler")
    page.wait_for_timeout(100)
    page.keyboard.type("ddi")
    assert offered(page)[0] == "DDIM"
    page.keyboard.press("Tab")
    holds(page, "sampler", "DDIM")
    expect(desk.field("schedule")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("heu")
    assert "Heun" in offered(page)
    page.keyboard.press("Escape")
    expect(field).to_have_value("DDIM")
    expect(field).to_be_focused()
    assert chosen(page, "sampler") == "DDIM"


def test_a_filter_that_was_left_is_no_name(stage: Studio, page: Page) -> None:
    """The list of checkpoints takes names that it does not know, too."""
    field = page.locator("#checkpoint input")
    before = field.input_value()
    field.click()
    assert len(offered(page)) == 2
    page.keyboard.type("pho")
    assert len(offered(page)) == 1
    stage.field("prompt").click()
    expect(field).to_have_value(before)
    field.click()
    page.keyboard.type("photo")
    stage.offered.filter(has_text="photo-v2").click()
    holds(page, "checkpoint", "photo-v2")
    expect(field).to_be_focused()
    page.wait_for_timeout(100)
    page.keyboard.type("my own")
    page.keyboard.press("Enter")
    holds(page, "checkpoint", "my own")


def test_several_are_chosen_one_after_the_other(stage: Studio, page: Page) -> None:
    page.evaluate(STYLES)
    page.reload()
    stage.settled()
    field = stage.field("styles")
    field.focus()
    page.keyboard.type("ta")
    assert offered(page) == ["Tall"]
    page.keyboard.press("Enter")
    holds(page, "styles", ["Tall"])
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(100)
    page.keyboard.press("Enter")
    holds(page, "styles", ["Tall", "Oil"])
    page.keyboard.type("no")
    page.keyboard.press("Tab")
    page.wait_for_timeout(200)
    assert chosen(page, "styles") == ["Tall", "Oil"]
    expect(field).to_have_value("")
