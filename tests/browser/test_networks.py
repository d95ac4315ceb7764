"""Cards of networks below the prompt, as a person meets them: found, put into the prompt and out of it, written about."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from backend import LOCAL
from tests.browser.conftest import Stage
from tests.browser.studio import PATIENCE, Studio
from tests.pure.test_model_kinds import told

SD1 = {"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768)}
SDXL = {"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 2048)}
MANY = 300
TEXTS = """async cases => {
  const { withAdded, without, stands } = await import('easel/parts/networks/prompt_text.js');
  return cases.map(([text, network]) => [withAdded(text, network), without(text, network), stands(text, network)]);
}"""


def lay_out(house: Stage, many: int = 0) -> Path:
    """Network files in the models folder of the house, which is told of them."""
    folder = house.backend.as_(LOCAL).networks._catalog.models[0]
    told(folder / "Lora" / "ink.safetensors", SD1, ss_tag_frequency=json.dumps({"a": {"brush strokes": 7, "paper": 3}}))
    (folder / "Lora" / "ink.json").write_text(json.dumps({"activation text": "ink, brush", "preferred weight": 0.7, "negative text": "photo", "sd version": "SD1"}))
    told(folder / "Lora" / "style" / "oil.safetensors", SDXL)
    told(folder / "Lora" / "style" / "old" / "wash (v2).safetensors", SD1, **{"modelspec.trigger_phrase": "wet paper"})
    told(folder / "embeddings" / "easy-negative.safetensors", {"emb_params": (2, 768)})
    for number in range(many):
        told(folder / "Lora" / "many" / f"network {number:03}.safetensors", SD1)
    for kind in ("lora", "embedding"):
        house.backend.as_(LOCAL).networks.refresh(kind)
    return folder


def panel_of(page: Page) -> Locator:
    return page.locator("#txt2img_networks_panel")


def card(panel: Locator, name: str) -> Locator:
    return panel.locator(".network", has=panel.page.locator(".network-name", has_text=name)).locator(".network-card")


def kinds(page: Page, name: str) -> Locator:
    return page.locator("#txt2img_networks").get_by_role("button", name=name)


def test_texts_with_and_without_a_network(desk: Studio) -> None:
    page = desk.page
    ink = {"kind": "lora", "said": "ink", "name": "ink", "alias": "ink_v3", "weight": 0.7}
    lime, words = {"kind": "embedding", "said": "lime"}, {"kind": "words", "said": "ink, brush"}
    hands, strange = {"kind": "embedding", "said": "bad-hands-5"}, {"kind": "lora", "said": "wash (v2) + [x]^$.*?{1}/-"}
    cases = [
        ("", ink, "<lora:ink:0.7>", "", False),
        ("a fox", ink, "a fox <lora:ink:0.7>", "a fox", False),
        ("a fox # not drawn", ink, "a fox # not drawn\n<lora:ink:0.7>", "a fox # not drawn", False),
        ("a fox, <lora:ink:0.35:te=1>", ink, None, "a fox", True),
        ("<lyco: ink_v3 >, a fox", ink, None, "a fox", True),
        ("a <lora:ink> fox, <lora:INK:1>, <lora:inky:1>", ink, None, "a fox, <lora:inky:1>", True),
        ("blurry, bad-hands-5", hands, None, "blurry", True),
        ("(ink), <lora:wash (v2) + [x]^$.*?{1}/-:1>", strange, None, "(ink)", True),
        ("a limerick", lime, "a limerick, lime", "a limerick", False),
        ("a (lime:1.2), bad-lime, Lime", lime, None, "a, bad-lime", True),
        ("a fox,", words, "a fox, ink, brush", "a fox,", False),
        ("a fox, ink,  brush, night", words, None, "a fox, night", True),
    ]
    found = page.evaluate(TEXTS, [[text, network] for text, network, *_ in cases])
    assert [(added if expected is not None else None, rest, there) for (added, rest, there), (_, _, expected, *_) in zip(found, cases, strict=True)] == [
        tuple(wanted) for _, _, *wanted in cases]


def test_found_and_put_into_the_prompt_by_keyboard(stage: Studio, house: Stage, page: Page) -> None:
    lay_out(house, MANY)
    panel = panel_of(page)
    assert not page.evaluate("performance.getEntriesByType('resource').filter(one => one.name.includes('/parts/networks/')).length")
    stage.fill(prompt="a fox")
    stage.field("prompt").focus()
    page.keyboard.press("Alt+n")
    search = panel.get_by_role("searchbox")
    expect(search).to_be_focused()
    expect(panel.locator(".networks-told")).to_have_text("302 cards")
    assert panel.locator(".network").count() < 60, "only what is in sight is there"
    assert panel.locator(".networks-room").evaluate("room => room.scrollWidth <= room.clientWidth"), "no card is cut off"
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("ink brush")
    expect(panel.locator(".networks-told")).to_have_text("1 card")
    card(panel, "ink").focus()
    page.keyboard.press("Enter")
    expect(stage.field("prompt")).to_have_value("a fox <lora:ink:0.7>")
    expect(card(panel, "ink")).to_have_attribute("aria-pressed", "true")
    expect(card(panel, "ink")).to_be_focused()
    panel.get_by_role("button", name="ink, brush", exact=True).click()
    panel.get_by_role("button", name="− photo").click()
    stage.shows(prompt="a fox <lora:ink:0.7>, ink, brush", negative_prompt="photo")
    page.wait_for_function("easel.form('txt2img').values.prompt.endsWith('brush')", timeout=PATIENCE)
    search.fill("")
    expect(panel.locator(".networks-told")).to_have_text("302 cards")
    card(panel, "ink").focus()
    page.keyboard.press("End")
    expect(panel.locator(".network-card:focus")).to_contain_text("wash (v2)")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(panel.locator(".network-card:focus")).to_contain_text("network 000")
    panel.get_by_role("treeitem", name="style").click()
    expect(panel.locator(".networks-told")).to_have_text("1 card")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(kinds(page, "LoRA")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(kinds(page, "Embeddings")).to_be_focused()
    kinds(page, "LoRA").click()
    expect(panel.locator(".networks-told")).to_have_text("1 card")
    expect(panel.get_by_role("treeitem", name="style")).to_have_attribute("aria-selected", "true")
    panel.get_by_role("checkbox").check()
    expect(card(panel, "oil").get_by_text("for SDXL")).to_have_attribute("title", re.compile("the checkpoint is"))


def test_into_the_box_used_last_out_again_and_written_about(desk: Studio, house: Stage) -> None:
    page, panel, before = desk.page, panel_of(desk.page), desk.pictures()
    folder = lay_out(house)
    desk.fill(prompt="a fox", negative_prompt="blurry")
    kinds(page, "Embeddings").click()
    expect(panel.locator(".networks-told")).to_contain_text("negative prompt")
    card(panel, "easy-negative").click()
    desk.shows(negative_prompt="blurry, easy-negative")
    card(panel, "easy-negative").click()
    desk.shows(negative_prompt="blurry")
    page.get_by_role("button", name="Undo").click()
    desk.shows(negative_prompt="blurry, easy-negative")
    desk.field("negative_prompt").focus()
    page.keyboard.press("Control+z")
    expect(desk.field("negative_prompt")).not_to_have_value("blurry, easy-negative")

    desk.generate(prompt="its picture", steps=1)
    desk.wait_pictures(before + 1)
    kinds(page, "LoRA").click()
    card(panel, "ink").focus()
    page.keyboard.press("i")
    sheet = page.locator(".network-sheet")
    sheet.get_by_label("Preferred weight").fill("0.4")
    sheet.get_by_label("Description").fill("Black on white.")
    sheet.get_by_role("button", name="Use the picture shown as its picture").click()
    expect(sheet.locator("img")).to_be_visible()
    sheet.get_by_role("button", name="brush strokes 7").click()
    desk.shows(prompt="its picture, brush strokes")
    page.keyboard.press("Escape")
    expect(card(panel, "ink").locator("img")).to_be_visible()
    kept = json.loads((folder / "Lora" / "ink.json").read_text())
    assert (kept["preferred weight"], kept["description"], kept["sd version"]) == (0.4, "Black on white.", "SD1")
    card(panel, "ink").click()
    expect(desk.field("prompt")).to_have_value("its picture, brush strokes <lora:ink:0.4>")

    told(folder / "Lora" / "fresh.safetensors", SD1)
    panel.get_by_role("button", name="Look for new files").click()
    expect(card(panel, "fresh")).to_be_visible()
    kinds(page, "Checkpoints").click()
    expect(card(panel, "demo")).to_have_attribute("aria-pressed", "true")
    card(panel, "photo-v2").click()
    expect(card(panel, "photo-v2")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("easel.form('txt2img').values.checkpoint === 'photo-v2' && easel.form('txt2img').values.width === 512", timeout=PATIENCE)
    kinds(page, "Hypernetworks").click()
    expect(panel.locator(".networks-empty")).to_contain_text("models/hypernetworks")


def test_what_is_typed_finds_networks_with_their_words(stage: Studio, house: Stage, page: Page) -> None:
    folder = lay_out(house)
    field, list_ = stage.field("prompt"), page.get_by_role("listbox", name="Suggestions")
    field.press_sequentially("a fox <lora:in")
    expect(list_).to_contain_text("Stable Diffusion 1 · ink, brush")
    field.press("Tab")
    expect(list_.get_by_role("option")).to_have_text(["ink, brushTrigger words"])
    field.press("Tab")
    expect(field).to_have_value("a fox <lora:ink:0.7> ink, brush")
    expect(list_).to_have_count(0)
    field.press_sequentially(" <lora:wet pap")
    expect(list_).to_contain_text("wash (v2)")      # found by what its own file calls it by
    field.press("Escape")
    field.fill("")
    faces = told(folder / "hypernetworks" / "faces.safetensors", {f"768.{side}.linear.0.weight": (8, 768) for side in (0, 1)})
    house.backend.as_(LOCAL).networks.refresh("hypernetwork")
    field.press_sequentially("<hyp")
    expect(list_.get_by_role("option")).to_have_text(["faces Stable Diffusion 1Hypernetwork"])
    page.keyboard.insert_text("ernet:fac")      # and Tab before the list knows of it
    page.keyboard.press("Tab")
    expect(field).to_have_value("<hypernet:faces:1>")
    faces.unlink()
    house.backend.as_(LOCAL).networks.refresh("hypernetwork")
