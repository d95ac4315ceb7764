"""What was just done is shown at the foot of the page, and can be taken back there."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.studio import Studio

OFFER = "text => easel.toast(text, { undo: () => { window.taken = [...(window.taken ?? []), text]; } })"


def test_a_toast_is_seen_heard_dismissed_and_taken_back(stage: Studio) -> None:
    page, toasts = stage.page, stage.page.locator(".toast")
    page.evaluate("easel.toast('Style saved.', { milliseconds: 3000 })")
    expect(toasts).to_be_in_viewport()
    expect(page.locator("#say")).to_have_text("Style saved.")
    expect(toasts).to_have_count(0)
    page.evaluate("easel.note('The disk is full.', 60000); easel.note('The disk is full.', 60000)")
    expect(toasts).to_have_count(1)
    stage.field("prompt").focus()
    toasts.get_by_role("button", name="Dismiss").focus()
    page.keyboard.press("Enter")
    expect(toasts).to_have_count(0)
    expect(stage.field("prompt")).to_be_focused()
    page.evaluate(OFFER, "first")
    toasts.get_by_role("button", name="Undo").click()
    page.evaluate(OFFER, "second")
    page.keyboard.press("Control+z")        # somebody types: the text box's own undo
    expect(toasts).to_have_count(1)
    stage.button("generate").focus()
    page.keyboard.press("Control+z")
    expect(toasts).to_have_count(0)
    assert page.evaluate("window.taken") == ["first", "second"]


def test_over_a_dialog_a_toast_can_be_used(stage: Studio) -> None:
    page = stage.page
    page.evaluate("document.querySelector('.styles-sheet').showModal()")
    page.evaluate(OFFER, "deleted")
    page.get_by_role("button", name="Undo").click()
    assert page.evaluate("window.taken") == ["deleted"]
    page.evaluate("easel.toast('Copied.')")
    page.keyboard.press("Escape")
    expect(page.locator("body > div > #toasts .toast")).to_be_visible()
