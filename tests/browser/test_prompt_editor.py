"""What the prompt boxes do while somebody writes: brackets, the order of parts, comments, the number of pictures, the list of keys, undo."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.browser.studio import PATIENCE, Studio

UNMATCHED = "async texts => { const { unmatched } = await import('easel/parts/brackets.js'); return texts.map(text => unmatched(text)); }"
MARKED = "box => [...box.querySelectorAll('.bracket-marks i:not([hidden])')].map(mark => Number(mark.dataset.at))"


def caret(field: Locator, start: int, end: int) -> None:
    field.evaluate("(area, [start, end]) => { area.focus(); area.setSelectionRange(start, end); }", [start, end])


def selected(field: Locator) -> str:
    return field.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")


def test_brackets_without_a_partner_are_found_and_marked(desk: Studio) -> None:
    page = desk.page
    found = {"(a [b] {c|d})": [], "a (b": [2], "a) b": [1], "(a [b) c]": [3, 8], r"a \(b": [], r"a \\(b": [4], "((a)": [0], "<lora:x:1": [0], "<lora:x:1>": [],
             "a <3 -> b": [], "(a # b)\nc)": [], "# (\n": [], "}{": [0, 1]}
    assert page.evaluate(UNMATCHED, [*found]) == [*found.values()]
    field, box = desk.field("prompt"), page.locator(".prompt-box", has=desk.box("prompt"))
    field.fill("a red fox, " * 40 + "(in the snow")
    told = box.locator(".bracket-told")
    expect(told).to_have_text("( without a partner")
    assert box.evaluate(MARKED) == [440] or field.evaluate("area => area.scrollHeight > area.clientHeight"), "out of sight it has no mark"
    field.evaluate("area => { area.scrollTop = area.scrollHeight; }")
    page.wait_for_function("box => box.querySelector('.bracket-marks i:not([hidden])')", arg=box.element_handle())
    told.click()
    assert selected(field) == "("
    mark, area = box.locator(".bracket-marks i").bounding_box(), field.bounding_box()
    assert mark and area and area["y"] <= mark["y"] + 1 and mark["y"] + mark["height"] <= area["y"] + area["height"] + 1
    field.fill("(in the snow:1.2) # and (this is not drawn")
    expect(told).to_have_count(0)
    expect(box.locator(".comment-told")).to_be_visible()
    counter = page.locator("#txt2img_prompt_tokens")
    field.fill("a red circle")
    expect(counter).to_contain_text("3/75")
    field.fill("a red circle # which nobody counts")
    page.wait_for_timeout(800)
    expect(counter).to_contain_text("3/75")
    desk.fill(prompt="in the snow")
    expect(box.locator(".prompt-told")).to_be_empty()


MOVES = (
    ("a red fox, in snow, night", 4, 4, "Right", "in snow, a red fox, night", ""),
    ("a, b, c, d", 3, 7, "Left", "b, c, a, d", "b, c"),
    ("x, (one, two:1.2), y", 9, 9, "Left", "x, (two, one:1.2), y", ""),
    ("x, (one, two:1.2), y", 17, 17, "Right", "x, y, (one, two:1.2)", ""),
    ("x, (one, two:1.2), y", 9, 9, "Right", "x, (one, two:1.2), y", ""),        # there is nothing further inside the brackets
)


def test_parts_change_places(desk: Studio) -> None:
    page, field = desk.page, desk.field("prompt")
    for text, start, end, key, moved, chosen in MOVES:
        field.fill(text)
        caret(field, start, end)
        page.keyboard.press(f"Alt+Arrow{key}")
        expect(field).to_have_value(moved)
        assert selected(field) == chosen
        if moved != text:
            page.keyboard.press(f"Alt+Arrow{'Left' if key == 'Right' else 'Right'}")
            expect(field).to_have_value(text)
            page.keyboard.press("Control+z")
            expect(field).to_have_value(moved)
    page.wait_for_function("text => easel.form('txt2img').values.prompt === text", arg=field.input_value(), timeout=PATIENCE)


def test_pictures_of_all_combinations_are_counted_before(desk: Studio) -> None:
    page = desk.page
    desk.fill(prompt="a {red|blue|green} {cat|dog}", batch_count=2)
    told = page.locator("#txt2img_styles_row ~ .count-told")
    desk.field("prompt_expansion").click()
    desk.offered.filter(has_text="Combinatorial").click()
    expect(told).to_have_text("Generate makes 12 pictures.")
    expect(desk.button("generate")).to_have_attribute("data-pictures", "12")
    desk.fill(prompt="a {red|blue", batch_count=1)
    expect(told).to_be_empty()
    expect(desk.button("generate")).not_to_have_attribute("data-pictures", "12")


def test_what_took_the_place_of_something_is_taken_back(desk: Studio) -> None:
    page = desk.page
    desk.fill(prompt="all my words", steps=33)
    page.wait_for_function("easel.form('txt2img').values.prompt === 'all my words' && easel.form('txt2img').values.steps === 33", timeout=PATIENCE)
    desk.button("clear_prompt").click()
    desk.shows(prompt="")
    page.get_by_role("button", name="Undo").click()
    desk.shows(prompt="all my words", steps=33)
    desk.button("home").click()
    desk.shows(prompt="all my words", steps=20)
    page.keyboard.press("Control+z")
    desk.shows(prompt="all my words", steps=33)


def test_all_keys_are_listed(desk: Studio) -> None:
    page = desk.page
    desk.field("prompt").press("?")
    expect(desk.field("prompt")).to_have_value("?")
    sheet = page.get_by_role("dialog", name="Keys")
    desk.button("generate").focus()
    page.keyboard.press("?")
    for heading in ("Everywhere", "Prompt", "Painter"):
        expect(sheet.get_by_role("heading", name=heading, exact=heading != "Painter")).to_be_visible()
    expect(sheet.get_by_text("Generate", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(desk.button("generate")).to_be_focused()
