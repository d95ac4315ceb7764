"""The painter with a pen, beside outpainting's frame, and after a blank canvas."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.painting import Painting, distance
from tests.browser.test_painter import EDGE, SIZE, painting, picture

__all__ = ["painting", "picture"]

SYNTHETIC = """(stage, [type, x, y, more]) => { stage.setPointerCapture = () => {};
  const place = ([x, y]) => ({ clientX: x, clientY: y, pointerId: 7, pointerType: 'pen', pressure: 1, bubbles: true, cancelable: true });
  const { between = [], ...rest } = more;
  stage.dispatchEvent(new PointerEvent(type, { ...place([x, y]), ...rest, coalescedEvents: between.map(at => new PointerEvent(type, { ...place(at), ...rest })) })); }"""


def pen(own: Painting, kind: str, at: tuple[float, float], **more: object) -> None:
    own.stage.evaluate(SYNTHETIC, [kind, *at, more])


def test_what_came_between_two_frames_is_painted_too(painting: Callable[..., Painting]) -> None:
    """A browser tells of a fast pen once a frame, with all the points on its way."""
    own = painting("Inpaint")
    corner = [(20, 20), (20, 100), (140, 100)]
    window = [own.at(*point) for point in corner]
    pen(own, "pointerdown", window[0], button=0, buttons=1)
    pen(own, "pointermove", window[2], buttons=1, between=window[1:])
    pen(own, "pointerup", window[2], button=0, buttons=0)
    mask = own.pixels(own.kept("mask"), "L")
    away = distance(SIZE, [own.of(point) for point in window]) - own.size / 2
    assert ((mask == 255) == (away < 0))[np.abs(away) > EDGE].all()


def test_the_other_end_of_a_pen_erases(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.stroke((20, 60), (140, 60))
    before = own.kept("mask")
    window = [own.at(80, 20), own.at(80, 100)]
    pen(own, "pointerdown", window[0], button=5, buttons=32)
    pen(own, "pointermove", window[1], buttons=32, between=[window[1]])
    pen(own, "pointerup", window[1], button=5, buttons=0)
    mask = own.pixels(own.kept("mask", but=before), "L")
    assert mask[60, 80] == 0 and mask[60, 30] == mask[60, 130] == 255
    expect(own.page.get_by_role("button", name="Brush (B)")).to_have_attribute("aria-pressed", "true")


def test_the_frame_of_outpainting_lies_around_the_picture(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.page.get_by_role("button", name="Outpainting").click()
    own.page.get_by_role("button", name="64 on all sides").click()
    frame = own.page.locator(".painter-frame")
    expect(frame).to_be_visible()
    own.studio.fill(outpaint_left=0)
    own.page.wait_for_function("document.querySelector('.painter-frame').style.left === '0px'")
    own.stage.scroll_into_view_if_needed()
    around, canvas, room = frame.bounding_box(), own.page.locator(".painter-paint").bounding_box(), own.stage.bounding_box()
    assert around and canvas and room
    scale = canvas["width"] / SIZE[0]
    assert around["x"] == pytest.approx(canvas["x"], abs=1) and around["width"] == pytest.approx((SIZE[0] + 64) * scale, abs=1)
    assert around["height"] == pytest.approx((SIZE[1] + 128) * scale, abs=1)
    assert room["x"] <= around["x"] and around["x"] + around["width"] <= room["x"] + room["width"], "all of it is seen"
    points = own.stroke((40, 40), (100, 40))
    mask, away = own.pixels(own.kept("mask"), "L"), distance(SIZE, points) - own.size / 2
    assert ((mask == 255) == (away < 0))[np.abs(away) > EDGE].all()
    own.page.get_by_role("button", name="None", exact=True).click()
    expect(frame).to_be_hidden()


def test_a_blank_canvas_is_taken_back(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.stroke((40, 40), (100, 40))
    mask, picture = own.kept("mask"), own.value("init_image")
    own.page.locator(".start-acts").get_by_role("button", name="Blank canvas").click()
    own.kept("init_image", but=picture)
    own.emptied("mask")
    own.stage.focus()
    own.page.keyboard.press("Control+z")
    own.page.wait_for_function("([picture, mask]) => easel.form('img2img').values.init_image === picture && easel.form('img2img').values.mask === mask", arg=[picture, mask])
    expect(own.page.locator(".start-mode")).to_contain_text("With a mask")
