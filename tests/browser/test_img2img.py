"""Pictures from a picture: choosing one, painting the mask, what reaches the job and what comes back."""

from __future__ import annotations

import io
import re
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from playwright.sync_api import Page, expect

from backend.catalog.model_file import CAPTIONER, ModelFile
from tests.browser.conftest import DESKTOP, PHONE, Stage
from tests.browser.painting import Painting
from tests.browser.studio import PATIENCE, Studio
from tests.browser.test_everyone import nameless_or_pale

SIZE = (160, 128)
BLUE = (0x2f, 0x6f, 0xc1)   # of the palette
REACH = 12      # pixels that a mask blur of 4 can reach


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A noisy picture with a disc: no pixel of it could come back by chance."""
    picture = Image.effect_noise(SIZE, 60).convert("RGB")
    ImageDraw.Draw(picture).ellipse((50, 20, 120, 100), fill=(200, 30, 40))
    path = tmp_path / "drawn.png"
    picture.save(path)
    return path


def choose(studio: Studio, file: Path | dict[str, Any]) -> None:
    studio.page.get_by_label("Picture to start from").set_input_files(file)


def into_mode(studio: Studio, mode: str) -> None:
    studio.page.locator("#img2img_editor_mode").get_by_text(mode, exact=True).click()
    expect(studio.box("init_image")).to_have_attribute("data-mode", mode, timeout=PATIENCE)


def taken(studio: Studio, file: Path, mode: str = "Inpaint") -> Studio:
    """The picture is in the editor, ready for the brush."""
    choose(studio, file)
    expect(studio.page.locator(".start-size")).to_have_text(f"{SIZE[0]} × {SIZE[1]}", timeout=PATIENCE)
    into_mode(studio, mode)
    in_painter(studio, mode)
    return studio


def in_painter(studio: Studio, mode: str = "Inpaint", size: tuple[int, int] = SIZE) -> None:
    Painting(studio).shows(size, mode)


def choose_blue(studio: Studio) -> None:
    Painting(studio).colour("Blue")


def stroke(studio: Studio, down: float = 0.0) -> None:
    """A short stroke across the middle of the picture, or `down` from there in shares of the picture."""
    y = SIZE[1] * (0.5 + down)
    Painting(studio).stroke((70, y), (90, y))


def kept(studio: Studio, name: str) -> str:
    return studio.page.evaluate("name => { const { values, pending } = easel.form('img2img'); return { ...values, ...pending }[name] ?? ''; }", name)


def mask_kept(studio: Studio, but: str = "", name: str = "mask") -> str:
    field = studio.page.locator(f"#img2img_{name}_id").locator("input, textarea")
    expect(field).not_to_have_value("", timeout=PATIENCE)
    expect(field).not_to_have_value(but, timeout=PATIENCE)
    return field.input_value()


def fetched(studio: Studio, path: str, mode: str) -> np.ndarray:
    with urllib.request.urlopen(studio.url.rstrip("/") + path, timeout=60) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert(mode)).astype(int)


def result(studio: Studio, before: int) -> tuple[dict[str, Any], np.ndarray]:
    """The newest picture's stored request and its pixels."""
    studio.wait_pictures(before + 1)
    image = studio.page.evaluate("easel.results('img2img').list()[0]")
    request = studio.page.evaluate("id => easel.ask(`/easel/image/${id}/info`).then(info => info.request)", image["id"])
    return request, fetched(studio, image["url"], "RGB")


def around(mask: np.ndarray) -> np.ndarray:
    """Where a blurred mask may have changed something."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * REACH + 1))) > 0


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_only_the_painted_part_changes(easel_desk: Studio, drawn: Path, screen: dict[str, int]) -> None:
    page = easel_desk.page
    page.set_viewport_size(screen)
    studio = taken(easel_desk.into("img2img"), drawn)
    studio.shows(width=160, height=128)
    before = studio.pictures()
    stroke(studio)
    studio.generate(prompt="a blue star, white background", steps=6)    # at once: before the stroke was kept
    request, pixels = result(studio, before)
    picture = np.asarray(Image.open(drawn)).astype(int)
    assert (fetched(studio, f"/easel/upload/{request['init_image']}", "RGB") == picture).all()
    mask = fetched(studio, f"/easel/upload/{request['mask']}", "L")
    assert mask.shape == picture.shape[:2] and set(np.unique(mask)) == {0, 255}
    assert mask[64, 80] == 255 and 0.01 < (mask > 0).mean() < 0.6
    assert mask[:20].max() == 0 and mask[-20:].max() == 0, "the stroke lies in the middle, where it was drawn"
    changed = (pixels != picture).any(axis=2)
    assert not changed[~around(mask)].any(), "outside the mask every pixel is the input's"
    assert changed[mask > 0].mean() > 0.5


def test_without_a_mask_the_whole_picture_changes(easel_desk: Studio, drawn: Path) -> None:
    studio = taken(easel_desk.into("img2img"), drawn, "img2img")
    before = studio.pictures()
    studio.generate(prompt="a red circle", denoising_strength=0.6, steps=4)
    request, pixels = result(studio, before)
    assert request["mask"] == "" and request["denoising_strength"] == 0.6
    assert (pixels != np.asarray(Image.open(drawn))).any(axis=2).mean() > 0.8


def test_a_refresh_keeps_the_picture_and_the_mask(stage: Studio, page: Page, drawn: Path) -> None:
    studio = taken(stage.into("img2img"), drawn)
    stroke(studio)
    picture, first = kept(studio, "init_image"), mask_kept(studio)
    page.reload()
    studio = stage.settled().into("img2img")
    in_painter(studio)
    assert (kept(studio, "init_image"), kept(studio, "mask")) == (picture, first)
    expect(page.locator(".start-mode")).to_contain_text("With a mask")
    stroke(studio, down=0.2)
    second = mask_kept(studio, but=first)
    old, new = (fetched(studio, f"/easel/upload/{name}.png", "L") > 0 for name in (first, second))

    assert (new & old).sum() == old.sum() and new.sum() > old.sum(), "the new stroke is added to the old ones"
    page.get_by_role("button", name="Remove mask").click()
    expect(page.locator(".start-mode")).to_contain_text("No mask")
    expect(page.locator("#img2img_mask_id").locator("input, textarea")).to_have_value("", timeout=PATIENCE)
    assert kept(studio, "init_image") == picture


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_sketch_becomes_part_of_the_picture(desk: Studio, drawn: Path, screen: dict[str, int]) -> None:
    page = desk.page
    page.set_viewport_size(screen)
    studio = taken(desk.into("img2img"), drawn, "Sketch")
    choose_blue(studio)
    before = studio.pictures()
    stroke(studio)
    studio.generate(prompt="a blue line", steps=2)      # at once: before the stroke was kept
    request, _ = result(studio, before)
    assert request["mask"] == ""
    start, picture = fetched(studio, f"/easel/upload/{request['init_image']}.png", "RGB"), np.asarray(Image.open(drawn)).astype(int)
    changed = (start != picture).any(axis=2)
    assert tuple(start[64, 80]) == BLUE and 0.01 < changed.mean() < 0.6
    assert (start[~changed] == picture[~changed]).all() and not changed[:20].any() and not changed[-20:].any()
    inner = np.asarray(Image.fromarray(changed.astype(np.uint8)).filter(ImageFilter.MinFilter(3))) > 0
    assert inner.sum() > 0.5 * changed.sum() and (start[inner] == BLUE).all(), "whole paint has the very colour; only its edge is smooth"
    assert kept(studio, "init_image") != request["init_image"], "the form keeps the picture apart from the paint"
    page.reload()
    studio = desk.settled().into("img2img")
    in_painter(studio, "Sketch")
    paint = kept(studio, "paint")
    assert kept(studio, "editor_mode") == "Sketch" and paint
    stroke(studio, down=0.2)
    second = mask_kept(studio, but=paint, name="paint")
    old, new = (fetched(studio, f"/easel/upload/{name}.png", "RGBA") for name in (paint, second))
    covered = old[:60, :, 3] == 255     # the second stroke begins below
    assert covered.any() and (new[:60][covered] == old[:60][covered]).all(), "what was painted before the refresh is still there, with its colour"
    assert tuple(new[64, 80]) == (*BLUE, 255) and (new[..., 3] > 0).sum() > (old[..., 3] > 0).sum()


def test_an_inpaint_sketch_is_start_and_mask(easel_desk: Studio, drawn: Path) -> None:
    studio = taken(easel_desk.into("img2img"), drawn, "Inpaint sketch")
    choose_blue(studio)
    before = studio.pictures()
    stroke(studio)
    studio.generate(prompt="a blue star, white background", steps=4, denoising_strength=0.5)
    request, pixels = result(studio, before)
    picture = np.asarray(Image.open(drawn)).astype(int)
    start = fetched(studio, f"/easel/upload/{request['init_image']}", "RGB")
    mask = fetched(studio, f"/easel/upload/{request['mask']}", "L")
    assert set(np.unique(mask)) == {0, 255} and tuple(start[64, 80]) == BLUE and mask[64, 80] == 255
    assert ((start != picture).any(axis=2) <= (mask > 0)).all() and 0.01 < (mask > 0).mean() < 0.6
    assert not (pixels != picture).any(axis=2)[~around(mask)].any(), "outside the paint every pixel is the input's"


def test_each_mode_keeps_its_own_layer(desk: Studio, drawn: Path) -> None:
    page = desk.page
    studio = taken(desk.into("img2img"), drawn)
    stroke(studio)
    mask = mask_kept(studio)
    into_mode(studio, "Sketch")
    in_painter(studio, "Sketch")
    stroke(studio, down=0.2)
    paint = mask_kept(studio, name="paint")
    assert kept(studio, "mask") == mask
    before = studio.pictures()
    into_mode(studio, "img2img")
    expect(page.get_by_role("button", name="Brush (B)")).to_be_hidden()
    studio.generate(prompt="plain", steps=2)
    request, _ = result(studio, before)
    assert request["mask"] == "" and request["init_image"] == kept(studio, "init_image")
    into_mode(studio, "Inpaint")
    page.get_by_role("button", name="Remove mask").click()
    page.wait_for_function("easel.form('img2img').values.mask === ''", timeout=PATIENCE)
    assert kept(studio, "paint") == paint


def test_a_blank_canvas_to_sketch_on(desk: Studio) -> None:
    page = desk.page
    studio = desk.into("img2img")
    studio.fill(width=256, height=192)
    page.get_by_role("button", name="Blank canvas").first.click()
    expect(page.locator(".start-size")).to_have_text("256 × 192", timeout=PATIENCE)
    expect(studio.box("init_image")).to_have_attribute("data-mode", "Sketch")
    assert (fetched(studio, f"/easel/upload/{kept(studio, 'init_image')}.png", "RGB") == 255).all()


def test_undo_takes_a_stroke_back(desk: Studio, drawn: Path) -> None:
    page = desk.page
    studio = taken(desk.into("img2img"), drawn)
    stroke(studio)
    mask_kept(studio)
    page.get_by_role("button", name="Undo (Ctrl+Z)").click()
    page.wait_for_function("easel.form('img2img').values.mask === ''", timeout=PATIENCE)


@pytest.mark.parametrize("content", [b"this is no picture", b""], ids=["text", "empty"])
def test_a_file_that_is_no_picture_is_refused_at_its_place(desk: Studio, drawn: Path, content: bytes) -> None:
    studio = taken(desk.into("img2img"), drawn)
    before = kept(studio, "init_image")
    studio.fill(prompt="keep me")
    choose(studio, {"name": "picture.png", "mimeType": "image/png", "buffer": content})
    expect(studio.box("init_image").locator(".problem")).to_contain_text(re.compile("not a picture|empty"), timeout=PATIENCE)
    studio.shows(prompt="keep me")
    assert kept(studio, "init_image") == before
    choose(studio, drawn)
    expect(studio.box("init_image").locator(".problem")).to_have_count(0)


def test_generate_asks_for_a_picture(desk: Studio) -> None:
    studio = desk.into("img2img")
    studio.generate(prompt="from nothing")
    expect(studio.box("init_image").locator(".problem")).to_contain_text("choose a picture", timeout=PATIENCE)


def test_an_uploaded_mask_keeps_its_grey_levels(desk: Studio, drawn: Path, tmp_path: Path) -> None:
    page = desk.page
    studio = taken(desk.into("img2img"), drawn)
    Image.linear_gradient("L").resize(SIZE).save(tmp_path / "mask.png")
    page.get_by_role("button", name="Upload a mask").click()
    page.locator(".mask-file").set_input_files(tmp_path / "mask.png")
    mask = mask_kept(studio)
    page.wait_for_timeout(1000)
    before = studio.pictures()
    studio.generate(prompt="a gradient", steps=2)
    studio.wait_pictures(before + 1)
    request = page.evaluate("easel.results('img2img').request()")
    assert request["mask"] == mask
    assert len(np.unique(fetched(studio, f"/easel/upload/{mask}.png", "L"))) > 50
    page.locator(".mask-file").set_input_files({"name": "m.png", "mimeType": "image/png", "buffer": b"no mask"})
    expect(studio.box("mask").locator(".problem")).to_contain_text("not a picture", timeout=PATIENCE)


def test_a_result_is_sent_to_img2img_and_each_tab_shows_its_own(desk: Studio) -> None:
    page = desk.page
    before = desk.pictures()
    desk.generate(prompt="send me on", steps=2, width=160, height=128)
    desk.wait_pictures(before + 1)
    expect(desk.infotext).to_contain_text("send me on", timeout=PATIENCE)
    desk.send_to("img2img")
    studio = Studio(page, desk.url, "img2img")
    studio.shows(prompt="send me on", width=160, height=128, steps=2)
    in_painter(studio, "img2img")
    mine = studio.pictures()
    studio.field("prompt").fill("drawn again")
    page.keyboard.press("Control+Enter")
    studio.wait_pictures(mine + 1)
    expect(studio.infotext).to_contain_text("drawn again", timeout=PATIENCE)
    assert desk.pictures() == before + 1
    studio.fill(prompt="something else", denoising_strength=0.3)
    page.get_by_role("tab", name="txt2img").click()
    expect(desk.infotext).to_contain_text("send me on")
    desk.shows(prompt="send me on")
    page.get_by_role("tab", name="img2img").click()
    studio.results.get_by_role("button", name="Reuse these settings").click()
    studio.shows(prompt="drawn again", denoising_strength=0.75)


def test_the_size_button(desk: Studio, drawn: Path) -> None:
    page = desk.page
    studio = taken(desk.into("img2img"), drawn)
    studio.fill(width=512, height=512)
    page.get_by_role("button", name="Size from the picture").click()
    studio.shows(width=160, height=128)


@pytest.mark.screen(PHONE)
def test_names_contrast_and_a_phone(desk: Studio, drawn: Path, tmp_path: Path) -> None:
    page = desk.page
    studio = desk.into("img2img")
    page.screenshot(path=tmp_path / "empty.png", full_page=True)
    assert nameless_or_pale(page) == []
    taken(studio, drawn)
    into_mode(studio, "img2img")
    for title in ("Outpainting: more picture at its sides", "Batch: many files, or a folder", "Loopback: draw again from the result",
                  "SD upscale: larger, drawn again tile by tile", "More img2img options"):
        page.get_by_role("button", name=title).click()
    assert nameless_or_pale(page) == []
    into_mode(studio, "Inpaint")
    for title in ("Upload a mask", "Inpainting: how the mask is used"):
        page.get_by_role("button", name=title).click()
    expect(studio.box("mask_blur")).to_be_visible()
    assert nameless_or_pale(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.screenshot(path=tmp_path / "filled.png", full_page=True)


# ---- the picture in words ----


def interrogate(studio: Studio) -> None:
    studio.page.locator("#img2img_interrogate").click()


def test_without_a_captioner_the_button_says_which_folder_is_missing(desk: Studio, drawn: Path) -> None:
    studio, toast = desk.into("img2img"), desk.page.locator(".toast", has_text="models/BLIP")
    expect(studio.page.locator("#img2img_interrogate")).to_have_attribute("title", re.compile("models/BLIP"))
    interrogate(studio)
    expect(toast).to_be_visible()
    toast.get_by_role("button", name="Dismiss").click()
    taken(studio, drawn, "img2img")
    studio.fill(prompt="mine")
    interrogate(studio)
    expect(toast).to_be_visible()
    studio.shows(prompt="mine")


def test_the_picture_is_described_in_the_prompt_and_that_can_be_undone(
    house: Stage, desk: Studio, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = house.backend._components.catalog
    captioner, usable = ModelFile(CAPTIONER, "blip", str(drawn.parent), "blip"), catalog.usable
    monkeypatch.setattr(catalog, "usable", lambda kind: (captioner,) if kind == CAPTIONER else usable(kind))
    studio = taken(desk.into("img2img"), drawn, "img2img")
    studio.fill(prompt="mine")
    interrogate(studio)
    studio.shows(prompt="a plain square, 48")
    told = studio.page.locator(".toast", has_text="The picture is described in the prompt.")
    expect(told).to_be_visible()
    told.get_by_role("button", name="Undo").click()
    studio.shows(prompt="mine")
