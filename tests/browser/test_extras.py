"""The Extras tab as a person meets it: pictures chosen, dropped, pasted and sent, one job each, and all of it after a refresh."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Stage
from tests.browser.studio import PATIENCE, Studio

pytestmark = pytest.mark.browser
CAT = "a cat\nSteps: 9, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 48x32, Version: v1.10.1"


def png(size: tuple[int, int] = (48, 32), text: str = "") -> bytes:
    out, info = io.BytesIO(), PngInfo()
    if text:
        info.add_text("parameters", text)
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def files(*names: str, text: str = "") -> list[dict]:
    return [{"name": name, "mimeType": "image/png", "buffer": png((48 + 8 * n, 32), text)} for n, name in enumerate(names)]


def extras(studio: Studio) -> Studio:
    studio.page.get_by_role("tab", name="Extras").click()
    studio.page.wait_for_selector("#extras_init_image .drop", timeout=PATIENCE)
    return replace(studio, tab="extras")


def choose(tab: Studio, given: list[dict]) -> None:
    tab.page.locator(".extras-file").set_input_files(given)
    expect(tab.page.locator(".source")).to_have_count(len(given), timeout=PATIENCE)


def pick(tab: Studio, field: str, name: str) -> None:
    tab.field(field).click()
    tab.page.get_by_role("option", name=name, exact=True).click()
    expect(tab.field(field)).to_have_value(name)


def test_each_picture_becomes_a_job_that_a_refresh_does_not_lose(stage: Studio, house: Stage) -> None:
    tab, before = extras(stage), len(house.requests())
    had = tab.pictures()
    choose(tab, files("one.png", "two.png", text=CAT))
    pick(tab, "upscaler_1", "Nearest")
    tab.fill(upscale_by=2.5)
    tab.button("generate").click()
    tab.wait_pictures(had + 2)
    jobs = house.requests()[before:]
    assert [(job.process, job.upscaler_1, job.upscale_by, job.output_name) for job in jobs] == [("Extras", "Nearest", 2.5, name) for name in ("one", "two")]
    assert len({job.init_image for job in jobs}) == 2
    assert all(job.source_text.startswith("a cat") for job in jobs)
    tab.page.reload()
    tab = extras(stage.settled())
    expect(tab.page.locator(".source")).to_have_count(2, timeout=PATIENCE)
    tab.shows(upscaler_1="Nearest", upscale_by=2.5)
    assert tab.pictures() == 2


def test_without_a_picture_the_tab_says_so(desk: Studio) -> None:
    tab = extras(desk)
    tab.button("generate").click()
    expect(tab.page.locator("#extras_init_image .problem")).to_have_text("Choose a picture first.", timeout=PATIENCE)
    choose(tab, files("one.png"))
    expect(tab.page.locator("#extras_init_image .problem")).to_have_count(0)


def test_a_wrong_value_marks_its_field_also_in_a_closed_fold(desk: Studio) -> None:
    tab = extras(desk)
    choose(tab, files("one.png"))
    tab.fill(upscale_by=99)
    tab.button("generate").click()
    expect(tab.box("upscale_by").locator(".problem")).to_contain_text("must be between", timeout=PATIENCE)
    tab.fill(upscale_by=2)
    expect(tab.box("upscale_by").locator(".problem")).to_have_count(0, timeout=PATIENCE)


def test_what_is_no_picture_is_told_and_the_others_stay(desk: Studio) -> None:
    tab = extras(desk)
    broken = {"name": "notes.png", "mimeType": "image/png", "buffer": b"text"}
    tab.page.locator(".extras-file").set_input_files([broken, *files("good.png")])
    expect(tab.page.locator("#extras_init_image .problem")).to_contain_text("notes.png", timeout=PATIENCE)
    expect(tab.page.locator(".source-name")).to_have_text(["good.png"])
    tab.page.get_by_role("button", name="Remove good.png").click()
    expect(tab.page.locator(".source")).to_have_count(0)


def test_pictures_are_dropped_and_pasted(desk: Studio) -> None:
    tab = extras(desk)
    give = """([kind, selector, data]) => {
        const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0)), transfer = new DataTransfer();
        transfer.items.add(new File([bytes], kind + ".png", { type: "image/png" }));
        const init = { bubbles: true, cancelable: true };
        const event = kind === "drop" ? new DragEvent("drop", { ...init, dataTransfer: transfer }) : new ClipboardEvent("paste", { ...init, clipboardData: transfer });
        document.querySelector(selector).dispatchEvent(event);
    }"""
    for number, kind in enumerate(("drop", "paste")):
        data = base64.b64encode(png((40 + number, 32))).decode()
        tab.page.evaluate(give, [kind, "#extras_init_image .drop", data])
        expect(tab.page.locator(".source")).to_have_count(number + 1, timeout=PATIENCE)


def test_it_fits_a_phone(desk: Studio) -> None:
    desk.page.set_viewport_size(PHONE)
    desk.page.evaluate("easel.open('extras')")
    tab = replace(desk, tab="extras")
    choose(tab, files("a rather long name of a file that goes on.png", "two.png"))
    assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(tab.button("generate")).to_be_in_viewport()


def test_a_drawn_picture_is_sent_enlarged_and_read_again(studio: Studio) -> None:
    page = studio.page
    page.get_by_role("tab", name="PNG Info").click()
    page.locator(".info-file").set_input_files({"name": "cat.png", "mimeType": "image/png", "buffer": png(text=CAT)})
    page.get_by_role("button", name="Send to Extras").last.click()
    tab = replace(studio, tab="extras")
    expect(page.locator(".source")).to_have_count(1, timeout=PATIENCE)
    expect(tab.field("upscaler_1")).to_have_value("Lanczos")    # what the tab starts with
    tab.fill(upscale_by=3)
    had = tab.pictures()
    tab.button("generate").click()
    tab.wait_pictures(had + 1)
    expect(tab.infotext).to_contain_text("Postprocess upscale by: 3, Postprocess upscaler: Lanczos", timeout=PATIENCE)
    expect(tab.infotext.locator(".infotext-prompt")).to_have_text("a cat")
    assert page.evaluate("easel.results('extras').shown().width") == 144
    tab.send_to("Extras")
    page.wait_for_function("easel.extras.list()[0]?.width === 144", timeout=PATIENCE)
    assert page.evaluate("easel.extras.list().length") == 1
