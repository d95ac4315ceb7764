"""How pictures come to the img2img tab, one or many, and where results go on from there."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, JSHandle, Page, expect

from tests.browser.conftest import Stage
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_img2img import in_painter, into_mode, kept

TRANSFER = """([name, type, data]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], name, { type }));
  return transfer;
}"""
PASTE = "transfer => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }))"
REQUESTS = "tab => Promise.all(easel.results(tab).list().map(image => easel.ask(`/easel/image/${image.id}/info`).then(info => info.request)))"


def saved(folder: Path, name: str, size: tuple[int, int] = (160, 128)) -> Path:
    Image.effect_noise(size, 60).convert("RGB").save(folder / name)
    return folder / name


def transfer(page: Page, name: str, content: bytes) -> JSHandle:
    return page.evaluate_handle(TRANSFER, [name, "image/png", base64.b64encode(content).decode()])


def taken(studio: Studio, size: str) -> str:
    expect(studio.page.locator(".start-size")).to_have_text(size, timeout=PATIENCE)
    return kept(studio, "init_image")


def test_pictures_are_dropped_and_pasted(desk: Studio, tmp_path: Path) -> None:
    page = desk.page
    studio = desk.into("img2img")
    first, second = saved(tmp_path, "a.png").read_bytes(), saved(tmp_path, "b.png", (64, 96)).read_bytes()
    box = page.locator("#img2img_init_image")
    box.dispatch_event("dragover", {"dataTransfer": transfer(page, "a.png", first)})
    assert "over" in (box.get_attribute("class") or "").split()
    box.dispatch_event("drop", {"dataTransfer": transfer(page, "a.png", first)})
    dropped = taken(studio, "160 × 128")
    page.evaluate(PASTE, transfer(page, "b.png", second))
    pasted = taken(studio, "64 × 96")
    assert pasted != dropped
    box.dispatch_event("drop", {"dataTransfer": transfer(page, "c.png", b"this is no picture")})
    expect(box.locator(".problem")).to_contain_text("not a picture", timeout=PATIENCE)
    page.evaluate(PASTE, transfer(page, "d.png", first[:900]))
    expect(box.locator(".problem")).to_contain_text("damaged", timeout=PATIENCE)
    assert kept(studio, "init_image") == pasted
    page.get_by_role("tab", name="txt2img").click()
    page.evaluate(PASTE, transfer(page, "a.png", first))
    page.get_by_role("tab", name="img2img").click()
    assert kept(studio, "init_image") == pasted, "what is pasted elsewhere is not meant for this tab"


def test_a_batch_keeps_the_files_names(stage: Studio, page: Page, tmp_path: Path) -> None:
    studio = stage.into("img2img")
    before = studio.pictures()
    (tmp_path / "notes.png").write_text("just text")
    files = [saved(tmp_path, "cat one.png"), tmp_path / "notes.png", saved(tmp_path, "dog.v2.png", (200, 72))]
    Image.linear_gradient("L").resize((160, 128)).save(tmp_path / "mask.png")
    page.locator("#img2img_editor_mode").get_by_text("Inpaint", exact=True).click()
    page.get_by_role("button", name="Upload a mask").click()
    page.locator(".mask-file").set_input_files(tmp_path / "mask.png")
    page.wait_for_function("easel.form('img2img').values.mask", timeout=PATIENCE)
    page.get_by_role("button", name="Batch: many files").click()
    page.locator(".batch-files").first.set_input_files(files)
    expect(page.locator(".batch-chosen")).to_contain_text("3 files")
    page.locator(".batch-size").check()
    studio.generate(prompt="each of them", steps=2)
    zipped = page.get_by_role("link", name="Download all as zip")
    expect(zipped).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".batch-left-out li")).to_have_count(2)
    expect(page.locator(".batch-left-out")).to_contain_text("notes.png: This file is not a picture")
    expect(page.locator(".batch-left-out")).to_contain_text("dog.v2.png: drawn without the mask")
    studio.wait_pictures(before + 2)
    made = {request["output_name"]: request for request in page.evaluate(REQUESTS, "img2img")}
    cat, dog = made["cat one"], made["dog.v2"]
    assert (cat["width"], cat["height"], dog["width"], dog["height"]) == (160, 128, 200, 72)
    assert cat["mask"] == kept(studio, "mask") and dog["mask"] == "" and cat["prompt"] == "each of them"
    folder = cat["output_folder"]
    assert folder.startswith("batch-") and folder == dog["output_folder"] and zipped.get_attribute("href") == f"/easel/batch/{folder}.zip"
    page.reload()
    stage.settled().into("img2img")
    page.get_by_role("button", name="Batch: many files").click()
    expect(zipped).to_be_visible(timeout=PATIENCE)


def test_a_batch_is_stopped_and_wrong_settings_end_it(desk: Studio, tmp_path: Path, house: Stage) -> None:
    page = desk.page
    studio = desk.into("img2img")
    files = [saved(tmp_path, f"{number}.png", (64, 64)) for number in range(4)]
    page.get_by_role("button", name="Batch: many files").click()
    page.locator(".batch-files").first.set_input_files(files)
    studio.generate(steps=0)
    expect(studio.box("steps").locator(".problem")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".batch-said")).to_contain_text("Nothing was sent")
    before = len(house.requests())
    studio.generate(prompt="slow", steps=61)
    studio.running()
    assert {request.steps for request in house.requests()[before:]} == {61}, "what was typed a moment ago counts"
    page.get_by_role("button", name="Stop the batch").click()
    studio.idle()
    expect(page.get_by_role("button", name="Stop the batch")).to_be_hidden(timeout=PATIENCE)


def test_hires_fix_on_a_finished_picture(desk: Studio) -> None:
    before = desk.pictures()
    desk.page.get_by_role("button", name="Hires. fix: the second pass").click()
    desk.generate(prompt="larger, please", steps=2, width=128, height=64, hr_scale=1.5)
    desk.wait_pictures(before + 1)
    button = desk.results.get_by_role("button", name="Upscale with hires. fix")
    button.click()
    desk.wait_pictures(before + 2)
    again, first = desk.page.evaluate(REQUESTS, "txt2img")[:2]
    assert again["enable_hr"] and not first["enable_hr"] and again["hr_scale"] == 1.5
    same = ("prompt", "seed", "variation_seed", "width", "height", "steps", "sampler", "cfg_scale")
    assert [again[name] for name in same] == [first[name] for name in same]
    expect(button).to_be_disabled(timeout=PATIENCE)


def test_a_result_is_sent_to_inpaint(desk: Studio) -> None:
    page = desk.page
    before = desk.pictures()
    desk.generate(prompt="mend me", steps=2, width=160, height=128)
    desk.wait_pictures(before + 1)
    desk.send_to("inpaint")
    studio = Studio(page, desk.url, "img2img")
    studio.shows(prompt="mend me", width=160, height=128)
    expect(studio.box("init_image")).to_have_attribute("data-mode", "Inpaint", timeout=PATIENCE)
    expect(studio.box("mask_blur")).to_be_visible(timeout=PATIENCE)


def test_sizes_in_words_and_by_a_factor(desk: Studio, tmp_path: Path) -> None:
    page = desk.page
    studio = desk.into("img2img")
    page.get_by_label("Picture to start from").set_input_files(saved(tmp_path, "a.png"))
    taken(studio, "160 × 128")
    page.get_by_role("button", name="Outpainting").click()
    page.get_by_role("button", name="64 on all sides").click()
    expect(page.locator("#img2img_outcome")).to_contain_text("288 × 256", timeout=PATIENCE)
    expect(page.locator(".start-mode")).to_contain_text("grows at its sides")
    assert "acting" in (page.locator("#img2img_outpaint_fold").get_attribute("class") or "")
    studio.fill(outpaint_left=0)
    expect(page.locator("#img2img_outcome")).to_contain_text("224 × 256", timeout=PATIENCE)
    page.get_by_label("Resize by").fill("1.5")
    studio.shows(width=240, height=192)


@pytest.mark.parametrize("language", ["de"])
def test_the_editor_works_in_another_language(house: Stage, chromium: Browser, tmp_path: Path, language: str) -> None:
    context = chromium.new_context(locale=language)
    studio = Studio(context.new_page(), house.url).open().into("img2img")
    studio.page.locator("#img2img_init_image .drop-file").set_input_files(saved(tmp_path, "a.png"))
    into_mode(studio, "Inpaint")
    in_painter(studio)
    context.close()
