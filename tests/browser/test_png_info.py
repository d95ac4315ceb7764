"""The PNG Info tab: a picture tells its settings, and they go into a form."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from backend.image import save
from tests.browser.studio import PATIENCE, Studio

TEXT = ("a green tree <lora:leaves:0.8>\nNegative prompt: red\n"
        "Steps: 9, Sampler: Euler a, CFG scale: 3, Seed: 12, Size: 128x64, Model hash: 0123456789, Model: absent, Clip skip: 2")


@pytest.fixture
def made_elsewhere(tmp_path: Path) -> Path:
    file = tmp_path / "elsewhere.png"
    file.write_bytes(save.encode(Image.new("RGB", (128, 64), "green"), "PNG", TEXT))
    return file


def read(page: Page, file: Path) -> None:
    page.get_by_role("tab", name="PNG Info").click()
    page.locator(".info-file").set_input_files(file)


def test_a_picture_tells_its_settings_and_lends_them_and_can_be_the_start_of_another(desk: Studio, made_elsewhere: Path) -> None:
    page = desk.page
    read(page, made_elsewhere)
    expect(page.locator(".info-text")).to_have_text(TEXT)
    expect(page.locator(".info-missing")).to_contain_text("absent [0123456789]")
    expect(page.locator(".info-missing")).to_contain_text("leaves")
    page.get_by_role("button", name="Send to txt2img").click()
    desk.shows(prompt="a green tree <lora:leaves:0.8>", negative_prompt="red", steps=9, seed=12, width=128, height=64, cfg_scale=3)
    desk.shows(sampler="Euler a")
    page.get_by_role("tab", name="PNG Info").click()
    expect(page.locator(".info-found")).to_be_visible()
    page.locator(".info [data-info='img2img']").click()
    page.wait_for_function("easel.tab() === 'img2img' && easel.form('img2img').values.init_image", timeout=PATIENCE)
    assert page.evaluate("easel.form('img2img').values.steps") == 9


def test_what_is_no_picture_is_said(desk: Studio, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.png"
    wrong.write_text("just text")
    read(desk.page, wrong)
    expect(desk.page.locator(".info .problem")).to_contain_text("not a picture")
    plain = tmp_path / "plain.png"
    Image.new("RGB", (64, 64)).save(plain)
    desk.page.locator(".info-file").set_input_files(plain)
    expect(desk.page.locator(".info-none")).to_contain_text("says nothing")
    expect(desk.page.locator(".info .problem")).to_be_hidden()
