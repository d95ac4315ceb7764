"""What axe finds, at rest and with all that opens on the page: it shall be nothing."""

from __future__ import annotations

import json
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from backend.settings import HOME
from tests.browser.conftest import Stage, empty_queue
from tests.browser.house import Past
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_networks import lay_out
from tests.browser.test_plots import axis, cell, unfolded
from tests.pure.test_model_kinds import told

GERMAN = {english: german for english, german in json.loads((HOME / "ui" / "languages" / "de.json").read_text("utf-8")).items() if english != german}
REFUSED = """async () => (await import('easel/scripts/translate.js')).translated(
  "Model edges is made for Stable Diffusion XL and cannot guide demo, which is Stable Diffusion 1.")"""
SEEN = """() => { const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const at = walk.currentNode.parentElement, text = walk.currentNode.data.trim().replace(/\\s+/g, " ");
    if (text && at.checkVisibility() && !at.closest('script, style, [translate="no"], .infotext, [role="option"]')) found.push(text); }
  return found; }"""
AXE = Axe()
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],      # target sizes are wcag22aa's
         "resultTypes": ["violations"]}
COLOURS = "axe.getRules(['cat.color']).filter(rule => rule.tags.some(tag => rules.runOnly.includes(tag))).map(rule => rule.ruleId)"
RUN = f"([within, rules, dark]) => axe.run(within, {{ ...rules, ...(dark ? {{ runOnly: {COLOURS} }} : {{}}) }}).then(({{ violations }}) => violations)"
MENU = "[role=menu], [aria-expanded=true]"
SETTLED = """dark => (!document.querySelector('gradio-app') || document.body.classList.contains('dark') === dark)
  && !document.getAnimations().some(one => one instanceof CSSTransition && one.playState === 'running')"""


def found(page: Page, within: str = "html") -> list[str]:
    """In the light; and in the dark, where nothing but the colours is different.

    `within`: of a page that was looked through before, what has opened on it.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.axe_script)
    violations = []
    for light in ("dark", "light"):
        page.emulate_media(color_scheme=light)
        page.wait_for_function(SETTLED, arg=light == "dark")
        violations += page.evaluate(RUN, [within, RULES, light == "dark"])
    return [f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:160]}" for rule in violations for node in rule["nodes"]]


def test_words_lists_and_dialogs(house: Stage, stage: Studio, page: Page) -> None:
    stage.generate(prompt="look at me", steps=2)
    stage.wait_pictures(1)
    stage.idle()
    stage.fill(prompt="a (red fox # and more")
    stage.field("sampler").click()
    expect(stage.offered.first).to_be_visible()
    expect(page.locator(".bracket-told")).to_be_visible()
    page.wait_for_timeout(300)
    assert found(page) == []
    page.keyboard.press("Escape")
    stage.button("clear_prompt").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    assert found(page, "#toasts, #txt2img_prompt") == []
    for name in ("used", "edit_styles"):
        stage.button(name).click()
        expect(page.locator("dialog:modal")).to_be_visible()
        assert found(page) == []
        page.keyboard.press("Escape")
    for name in ("ControlNet", "Add a guide", "Face swap", "Detailer", "Detailer 1"):
        page.locator("#tab_txt2img").get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_label("Guide 1 is on")).to_be_visible()
    expect(page.locator("#txt2img_detailers_0_fold").get_by_label("Prompt", exact=True)).to_be_visible()
    assert found(page) == []
    folder = lay_out(house)
    told(folder / "Lora" / "broken.safetensors", {})
    page.locator("#txt2img_networks").get_by_role("button", name="LoRA").click()
    panel = page.locator("#txt2img_networks_panel")
    panel.get_by_role("checkbox").check()
    expect(panel.locator(".network-card", has_text="oil")).to_be_visible()     # the list has come in which it is, too
    panel.locator(".network-card", has_text="ink").click()
    expect(panel.locator(".network-chip").first).to_be_visible()
    assert found(page, "#txt2img_networks, #txt2img_networks_panel") == []
    panel.get_by_role("button", name="Details of ink").click()
    expect(page.locator(".network-sheet")).to_be_visible()
    assert found(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    stage.button("generate").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert found(page) == []


def test_the_painter_its_palette_and_a_batch(stage: Studio, page: Page, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(2)]
    for file in files:
        Image.effect_noise((160, 128), 60).convert("RGB").save(file)
    stage.into("img2img")
    page.get_by_label("Picture to start from").set_input_files(files[0])
    page.locator("#img2img_editor_mode").get_by_text("Inpaint sketch", exact=True).click()
    page.wait_for_function("document.querySelector('.painter')?.dataset.kind === 'paint'", timeout=PATIENCE)
    for title in ("Batch: many files", "Inpainting: how"):
        page.get_by_role("button", name=title).click()
    page.locator(".batch-files").first.set_input_files(files)
    expect(page.locator(".armed")).to_be_visible()
    assert found(page) == []
    page.get_by_role("tab", name="Settings").click()
    expect(page.locator("#settings_pins")).to_be_visible()
    assert found(page) == []


def test_the_history_its_menus_and_what_stands_over_it(past: Past, stage: Studio, page: Page) -> None:
    past.fill(6)
    page.reload()
    stage.settled()
    for _ in range(2):
        stage.generate(prompt="wait, please", steps=100)
    expect(stage.rows).to_have_count(2)
    assert found(page) == []
    empty_queue(stage.url)
    stage.idle()
    stage.results.get_by_role("button", name="Send to …").click()
    expect(page.get_by_role("menu")).to_be_visible()
    assert found(page, MENU) == []
    page.keyboard.press("Escape")
    stage.results.get_by_role("button", name="Full screen").click()
    expect(page.locator(".pswp--open")).to_be_visible()
    page.wait_for_timeout(400)
    assert found(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="History").click()
    page.locator(".shot-open").nth(1).click()
    expect(page.locator("dialog.details")).to_be_visible()
    assert found(page) == []
    page.keyboard.press("b")
    expect(page.get_by_role("menu", name="Boards")).to_be_visible()
    assert found(page, MENU) == []
    page.keyboard.press("Enter")
    expect(page.locator(".board-name")).to_be_visible()
    assert found(page) == []
    page.keyboard.press("Escape")
    page.locator("[data-details=close]").click()
    page.get_by_role("button", name="Select", exact=True).click()
    for number in (0, 2):
        page.locator(".shot-open").nth(number).click()
    assert found(page) == []
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("dialog.compare")).to_be_visible()
    assert found(page) == []


def test_the_fold_of_scripts_and_a_plot(stage: Studio, page: Page) -> None:
    fold = unfolded(stage.ready())
    stage.fill(prompt="a fox", steps=1)
    axis(fold, "X", "Sampler", "Euler a, nothing")
    axis(fold, "Y", "Prompt S/R", "fox, fail")
    expect(fold.locator(".problem:visible")).to_have_count(1)
    fold.get_by_role("button", name="Choose…").click()
    expect(page.get_by_role("dialog", name="Sampler")).to_be_visible()
    assert found(page) == []
    page.keyboard.press("Escape")
    assert found(page) == []
    fold.get_by_label("Values of axis X", exact=True).fill("Euler a, DDIM")
    expect(fold.locator(".plot-cost")).to_contain_text("4 pictures")
    fold.get_by_role("button", name="Draw plot").click()
    expect(page.locator(".plot-state")).to_contain_text("2 failed", timeout=PATIENCE)
    page.get_by_role("button", name="Scores").click()
    assert found(page) == []
    cell(page, "0,0").focus()
    page.keyboard.press("m")
    expect(page.get_by_role("menu", name="This cell")).to_be_visible()
    assert found(page, MENU) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Export…").click()
    assert found(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="All plots").click()
    expect(page.locator(".plot-card").first).to_be_visible()
    assert found(page) == []


def test_every_tab_in_german_on_a_phone(house: Stage, chromium: Browser, tmp_path: Path) -> None:
    """Nothing for axe to find, no word that has a German one, nothing wider than the screen but what scrolls."""
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "plain.png")
    context = chromium.new_context(locale="de", viewport={"width": 390, "height": 844}, has_touch=True)
    phone = Studio(context.new_page(), house.url).open().page
    assert phone.evaluate(REFUSED) == "Modell: edges ist für Stable Diffusion XL gemacht und kann demo (Stable Diffusion 1) nicht führen."
    for tab in ("txt2img", "img2img", "extras", "png_info", "history", "plots", "settings"):
        phone.locator(f"#tab_{tab}-button").click()
        if tab == "img2img":
            phone.locator("#tab_img2img input[type=file]").first.set_input_files(tmp_path / "plain.png")
            phone.locator("#img2img_editor_mode label").nth(3).click()
            expect(phone.locator(".painter-swatch").first).to_be_visible()
        if tab == "png_info":
            phone.locator(".info-file").set_input_files(tmp_path / "plain.png")
            expect(phone.locator(".info-none")).to_be_visible()
        phone.wait_for_timeout(500)
        assert found(phone) == [], tab
        assert [text for text in phone.evaluate(SEEN) if text in GERMAN] == [], tab
        assert phone.evaluate("[...document.querySelectorAll('#tabs .tabitem *')].filter(one => !one.closest('.film') && one.checkVisibility() && one.getBoundingClientRect().right > 391).map(one => one.outerHTML.slice(0, 120))") == [], tab
    context.close()
