"""A page for everyone: names for all controls, a phone, the dark, few elements."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Stage
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_axe import SETTLED

NAMELESS = """() => {
  const shown = element => element.checkVisibility({visibilityProperty: true}) && !element.closest('[aria-hidden="true"]');
  const text = id => document.getElementById(id)?.textContent.trim();
  const named = element => element.getAttribute('aria-label')?.trim() || element.getAttribute('aria-labelledby')?.split(' ').some(text)
    || [...(element.labels ?? [])].some(label => label.textContent.trim()) || (!element.matches('input, textarea') && element.textContent.trim())
    || element.querySelector?.('img[alt]:not([alt=""])');
  const controls = [...document.querySelectorAll('input, textarea, select, button, a[href], [role=option]')];
  const images = [...document.querySelectorAll('img')].filter(image => shown(image) && !image.alt.trim());
  return [...controls.filter(control => shown(control) && !named(control)), ...images].map(element => element.outerHTML.slice(0, 200));
}"""

CONTRAST = """() => {
  const rgb = text => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = element => { for (let e = element; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > .99) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const element of document.querySelectorAll('.gradio-container *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest('.unseen, :disabled, .icon, dialog')) continue;
    const a = light(rgb(getComputedStyle(element).color)), b = light(behind(element));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.className} ${element.textContent.trim().slice(0, 40)}`);
  }
  return poor;
}"""


def nameless_or_pale(page: Page) -> list[str]:
    """What has no name, and what is hard to read in the dark or in the light."""
    found = page.evaluate(NAMELESS)
    for light in ("dark", "light"):
        page.emulate_media(color_scheme=light)
        page.wait_for_function(SETTLED, arg=light == "dark")
        found += page.evaluate(CONTRAST)
    return found


def unfold(studio: Studio) -> None:
    for title in ("Extra seed options", "Advanced sampling options"):
        studio.page.get_by_role("button", name=title).click()
    expect(studio.box("ensd")).to_be_visible()


def drawn(studio: Studio) -> None:
    studio.generate(prompt="a picture", steps=2, batch_count=2)
    studio.wait_pictures(2)
    studio.idle()


def test_names_and_contrast(stage: Studio, page: Page) -> None:
    drawn(stage)
    unfold(stage)
    assert nameless_or_pale(page) == []


@pytest.mark.screen(PHONE)
def test_a_phone(stage: Studio, page: Page, tmp_path: Path) -> None:
    drawn(stage)
    unfold(stage)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for place in ("0", "document.body.scrollHeight"):
        page.evaluate(f"window.scrollTo(0, {place})")
        expect(stage.button("generate")).to_be_in_viewport(ratio=1)
        expect(stage.button("interrupt")).to_be_in_viewport(ratio=1)
    page.screenshot(path=tmp_path / "phone.png", full_page=True)


def test_the_page_is_light_and_speaks_to_its_own_server_only(house: Stage, page: Page) -> None:
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]) if request.url.startswith("http") else None)
    Studio(page, house.url).open()
    assert page.evaluate("document.querySelectorAll('*').length") < 900
    assert hosts == {"127.0.0.1"}


def test_steps_are_not_shouted(stage: Studio, page: Page) -> None:
    """A screen reader hears of beginnings and ends, not of every step."""
    page.evaluate("window.said = []; new MutationObserver(() => said.push(document.querySelector('#say').textContent))"
                  ".observe(document.querySelector('#say'), {childList: true})")
    before = stage.pictures()
    stage.generate(prompt="quietly", steps=20)
    page.wait_for_function("before => easel.results('txt2img').list().length > before", arg=before, timeout=PATIENCE)
    assert page.evaluate("said.length") <= 3
