"""The painter: what reaches the server is what was painted, pixel by pixel; tools, keys, fingers, pen and full screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.browser.conftest import Stage
from tests.browser.painting import Painting, distance
from tests.browser.studio import PATIENCE, Studio

SIZE = (160, 128)
RED, BLUE = (0xd6, 0x28, 0x28), (0x2f, 0x6f, 0xc1)
EDGE = 0.05         # pixels from the edge of a stroke within which a rounding may decide
SENT = 900          # ms in which everything that is going to be sent has been
RECORD = """() => { window.bodies = []; const original = window.fetch; window.fetch = async (url, options) => {
  if (/paint\\?/.test(url)) bodies.push([...new Uint8Array(await options.body.arrayBuffer())]);
  return original(url, options); }; }"""      # Chromium does not tell the body of a request that is a blob

PATIENT = """() => { window.hurried = window.setTimeout;
  window.setTimeout = (act, pause, ...more) => hurried(act, pause > 200 && pause < 1000 ? 1e6 : pause, ...more); }"""      # nothing is sent but at once

FRESH = """() => { const part = name => document.querySelector(`.painter-${name}`), width = part('paint').width;
  const set = (name, value) => { part(name).value = value; part(name).dispatchEvent(new Event('input', { bubbles: true })); };
  set('size', 200 * Math.log(0.08 * width) / Math.log(1000));
  set('colour', '#d62828');
  set('opacity', 100);
  if (part('soft').checked) part('soft').click();
  document.querySelector('.painter [data-tool=brush]').click(); }"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.effect_noise(SIZE, 60).convert("RGB").save(path)
    return path


@pytest.fixture
def painting(desk: Studio, picture: Path) -> Callable[..., Painting]:
    """The picture in the painter, in a mode."""
    return lambda mode: opened(desk, picture, mode)


def opened(studio: Studio, picture: Path, mode: str, size: tuple[int, int] = SIZE) -> Painting:
    """With the tools of somebody who has never used them."""
    studio = studio.into("img2img")
    studio.page.get_by_label("Picture to start from").set_input_files(picture)
    studio.page.locator("#img2img_editor_mode").get_by_text(mode, exact=True).click()
    own = Painting(studio).shows(size, mode)
    studio.page.evaluate(FRESH)
    assert abs(own.size - 0.08 * max(size)) < 1
    return own


def zoomed(painting: Painting) -> None:
    """Larger than the stage and moved."""
    painting.page.mouse.move(*painting.at(60, 50))
    painting.page.keyboard.down("Alt")
    painting.page.mouse.wheel(0, -500)
    painting.page.keyboard.up("Alt")
    painting.page.keyboard.down("f")
    painting.page.mouse.down()
    painting.page.mouse.move(*painting.at(52, 46), steps=2)
    painting.page.mouse.up()
    painting.page.keyboard.up("f")


def uploads(page: Page) -> list[Request]:
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if "/paint?" in request.url else None)
    return sent


@pytest.mark.parametrize("closer", [False, True], ids=["whole", "zoomed"])
def test_a_mask_is_exact_at_picture_resolution(painting: Callable[..., Painting], closer: bool) -> None:
    own = painting("Inpaint")
    whole = own.scale
    if closer:
        zoomed(own)
        assert own.scale > 1.5 * whole
    points = own.stroke((50, 40), (70, 60), (62, 52))
    mask = own.pixels(own.kept("mask"), "L")
    away = distance(SIZE, points) - own.size / 2
    sure = np.abs(away) > EDGE
    assert mask.shape == SIZE[::-1] and set(np.unique(mask)) == {0, 255}
    assert ((mask == 255) == (away < 0))[sure].all() and sure.mean() > 0.95


def test_a_sketch_has_its_colours_at_picture_resolution(painting: Callable[..., Painting]) -> None:
    own = painting("Sketch")
    zoomed(own)
    points = own.stroke((50, 40), (70, 60))
    first = own.kept("paint")
    paint, away = own.pixels(first, "RGBA"), distance(SIZE, points) - own.size / 2
    assert (paint[away < -1] == (*RED, 255)).all() and not paint[away > 1].any()
    edge = paint[np.abs(away) < 0.9]
    assert ((edge[:, 3] > 0) & (edge[:, 3] < 255)).mean() > 0.3, "the edge is smooth"
    own.colour("Blue")
    own.page.locator(".painter-opacity").fill("50")
    own.stroke((50, 40), (75, 40), (50, 40))
    both = own.pixels(own.kept("paint", but=first), "RGBA")
    x, y = int(points[0][0]), int(points[0][1])
    mixed = [(red + blue) / 2 for red, blue in zip(RED, BLUE, strict=True)]
    assert both[y, x, 3] == 255 and np.abs(both[y, x, :3] - mixed).max() <= 2, "crossing itself a stroke is no darker"
    assert abs(both[41, 80][3] - 128) <= 1 and np.abs(both[41, 80][:3] - BLUE).max() <= 2


def test_a_stroke_is_sent_once_and_cut_out(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    sent = uploads(own.page)
    own.page.evaluate(RECORD)
    (x, y), _ = own.stroke((40, 50), (60, 50), steps=12)
    own.kept("mask")
    own.page.wait_for_timeout(SENT)
    assert len(sent) == 1
    body, reach = bytes(own.page.evaluate("bodies[0]")), own.size / 2
    width, height = (int.from_bytes(body[at:at + 4], "big") for at in (16, 20))
    left, top = (int(re.search(rf"{name}=(\d+)", sent[0].url)[1]) for name in ("left", "top"))  # type: ignore[index]
    assert abs(left - (x - reach)) <= 1 and abs(top - (y - reach)) <= 1
    assert abs(width - (20 + 2 * reach)) <= 3 and abs(height - 2 * reach) <= 2 and len(body) < 1000
    own.stroke((40, 90), (44, 90))
    own.stroke((90, 90), (94, 90))
    own.page.wait_for_timeout(2 * SENT)
    assert len(sent) in (2, 3), "at most one upload a stroke"


def test_undo_redo_and_the_eraser(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    undo, redo = (own.page.get_by_role("button", name=name) for name in ("Undo (Ctrl+Z)", "Redo (Ctrl+Y)"))
    expect(undo).to_be_disabled()
    own.stroke((40, 40), (60, 40))
    first = own.kept("mask")
    own.stroke((40, 90), (60, 90))
    second = own.kept("mask", but=first)
    own.page.keyboard.press("Control+z")
    assert own.kept("mask", but=second) == first, "equal paint has one id"
    own.page.keyboard.press("Control+Shift+z")
    assert own.kept("mask", but=first) == second
    own.page.keyboard.press("e")
    own.stroke((30, 40), (70, 40))
    rest = own.pixels(own.kept("mask", but=second), "L")
    assert not rest[40].any() and rest[90].any()
    undo.click(click_count=3)
    own.emptied("mask")
    expect(undo).to_be_disabled()
    redo.click()
    assert own.kept("mask") == first
    own.tool("Clear all")
    own.emptied("mask")
    undo.click()
    assert own.kept("mask") == first


def test_whole_masks(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.stroke((40, 40), (60, 40))
    first = own.kept("mask")
    own.tool("Invert the mask")
    second = own.kept("mask", but=first)
    assert (own.pixels(first, "L") + own.pixels(second, "L") == 255).all()
    own.tool("Mask everything")
    assert (own.pixels(own.kept("mask", but=second), "L") == 255).all()


def test_fill_goes_up_to_the_outline_of_a_mask(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.page.keyboard.press("[")
    corners = own.stroke((40, 30), (120, 30), (120, 100), (40, 100), (40, 30))
    first = own.kept("mask")
    own.tool("Fill an area")
    own.page.mouse.click(*own.at(80, 64))
    mask = own.pixels(own.kept("mask", but=first), "L")
    inner = [round(number) for number in (*corners[0], *corners[2])]
    assert (mask[inner[1]:inner[3], inner[0]:inner[2]] == 255).all() and not mask[:15].any() and not mask[:, 140:].any()


def test_fill_and_pipette_in_a_sketch(desk: Studio, tmp_path: Path) -> None:
    ground = Image.new("RGB", SIZE, (10, 200, 30))
    ground.paste((250, 240, 230), (80, 0, 160, 128))
    ground.save(tmp_path / "halves.png")
    own = opened(desk, tmp_path / "halves.png", "Sketch")
    own.tool("Take a colour")
    own.page.mouse.click(*own.at(20, 60))
    expect(own.page.locator(".painter-colour")).to_have_value("#0ac81e")
    own.page.keyboard.press("g")
    own.page.mouse.click(*own.at(120, 60))
    paint = own.pixels(own.kept("paint"), "RGBA")
    assert (paint[:, 82:] == (10, 200, 30, 255)).all() and not paint[:, :78].any()


def test_a_stroke_is_kept_when_the_mode_or_the_page_changes_at_once(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.page.evaluate(PATIENT)
    own.stroke((40, 40), (60, 40))
    own.page.locator("#img2img_editor_mode").get_by_text("Sketch", exact=True).click()
    own.shows(SIZE, "Sketch")
    mask = own.pixels(own.kept("mask"), "L")
    assert mask[40, 50] == 255
    own.page.evaluate("window.setTimeout = hurried")
    own.stroke((40, 90), (60, 90))
    paint = own.pixels(own.kept("paint"), "RGBA")
    assert paint[90, 50, 3] == 255 and not paint[40, 50].any()
    own.page.reload()
    own = Painting(own.studio.settled().into("img2img")).shows(SIZE, "Sketch")
    former = own.value("paint")
    own.stroke((100, 90), (110, 90))
    again = own.pixels(own.kept("paint", but=former), "RGBA")
    assert again[90, 50, 3] == 255 and (again[:, :80] == paint[:, :80]).all()


def test_removing_the_mask_is_undone(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.stroke((40, 40), (60, 40))
    first = own.kept("mask")
    own.page.get_by_role("button", name="Remove mask").click()
    own.emptied("mask")
    own.page.get_by_role("button", name="Undo (Ctrl+Z)").click()
    assert own.kept("mask") == first


def test_a_failed_upload_is_told_and_made_up_for(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")

    def refuse(route: Route) -> None:
        route.fulfill(status=507, json={"problems": [{"field": "", "message": "The disk is full."}]})

    own.page.route("**/paint?*", refuse)
    own.stroke((40, 40), (60, 40))
    expect(own.page.locator("#img2img_init_image .problem")).to_contain_text("The disk is full", timeout=10_000)
    own.page.unroute("**/paint?*")
    own.stroke((40, 90), (60, 90))
    mask = own.pixels(own.kept("mask"), "L")
    assert mask[40, 50] == 255 == mask[90, 50]


def test_no_job_is_sent_without_what_is_painted(painting: Callable[..., Painting], house: Stage) -> None:
    own = painting("Inpaint")
    jobs, drawn = len(house.requests()), own.studio.pictures()
    own.page.evaluate(PATIENT)
    own.page.route("**/paint?*", lambda route: route.fulfill(status=507, json={"problems": [{"field": "", "message": "The disk is full."}]}))
    own.stroke((40, 40), (60, 40))
    own.studio.button("generate").click()
    expect(own.page.locator("#img2img_init_image .problem")).to_contain_text("The disk is full", timeout=10_000)
    own.page.wait_for_timeout(2 * SENT)
    assert len(house.requests()) == jobs
    own.page.unroute("**/paint?*")
    own.studio.button("generate").click()
    own.studio.wait_pictures(drawn + 1)
    sent = house.requests()[jobs:]
    assert len(sent) == 1 and own.pixels(sent[0].mask, "L")[40, 50] == 255
    own.page.evaluate("window.setTimeout = hurried")


def test_undo_at_once_is_not_undone_by_what_gradio_tells_late(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.stroke((40, 40), (60, 40))
    first = own.kept("mask")
    own.stroke((40, 90), (60, 90))
    second = own.kept("mask", but=first)
    own.page.evaluate("""() => { const form = easel.form('img2img'); window.masks = [form.values.mask];
      easel.on('form', one => { if (one === form && one.values.mask !== masks.at(-1)) masks.push(one.values.mask); }); }""")
    for key in ("Control+z", "Control+Shift+z", "Control+z"):
        own.page.keyboard.press(key)
        own.page.wait_for_function("""([key, first, second]) => easel.form('img2img').values.mask === (key === 'Control+z' ? first : second)""",
                                   arg=[key, first, second], timeout=PATIENCE)
    own.page.wait_for_function("!easel.form('img2img').fillings", timeout=PATIENCE)
    own.page.wait_for_timeout(SENT)
    assert own.page.evaluate("masks") == [second, first, second, first]
    assert own.value("mask") == first


def test_the_wheel_as_automatic1111_has_it(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    whole, size = own.scale, own.size
    own.page.mouse.move(*own.at(40, 40))
    before = own.page.evaluate("scrollY")
    own.page.mouse.wheel(0, 60)
    own.page.wait_for_function("before => scrollY > before", arg=before)
    assert own.scale == whole, "the wheel alone scrolls the page"
    own.stage.scroll_into_view_if_needed()
    for key in ("Shift", "Alt"):
        own.page.mouse.move(*own.at(40, 40))
        place = own.of(own.at(40, 40))
        own.page.keyboard.down(key)
        own.page.mouse.wheel(0, -300)
        own.page.keyboard.up(key)
        expect(own.stage).to_have_class(re.compile("zoomed"))
        assert own.scale > 1.3 * whole and np.hypot(*np.subtract(own.of(own.at(*place)), place)) < 1, "what is under the mouse stays there"
        own.page.keyboard.press("r")
        assert own.scale == pytest.approx(whole)
    own.page.keyboard.down("Control")
    own.page.mouse.wheel(0, -300)
    own.page.keyboard.up("Control")
    assert own.size > size and own.scale == pytest.approx(whole)
    own.page.keyboard.press("[")
    own.page.keyboard.press("q")
    smaller = own.size
    own.page.keyboard.press("]")
    assert smaller < own.size


def test_keys_leave_a_typing_person_alone(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.studio.field("prompt").focus()
    own.page.mouse.move(*own.at(40, 40))
    own.page.keyboard.type("frees [big] q")
    expect(own.studio.field("prompt")).to_have_value("frees [big] q")
    expect(own.page.get_by_role("button", name="Brush (B)")).to_have_attribute("aria-pressed", "true")


def test_full_screen(painting: Callable[..., Painting]) -> None:
    own = painting("Inpaint")
    own.page.mouse.move(*own.at(40, 40))
    own.page.keyboard.press("s")
    dialog = own.page.get_by_role("dialog", name="Full screen")
    expect(dialog).to_be_visible()
    window = own.page.viewport_size
    box = own.stage.bounding_box()
    assert window and box and box["width"] > window["width"] - 40 and box["height"] > window["height"] - 160
    own.page.wait_for_timeout(100)
    points = own.stroke((40, 40), (60, 40))
    mask = own.pixels(own.kept("mask"), "L")
    away = distance(SIZE, points) - own.size / 2
    assert ((mask == 255) == (away < 0))[np.abs(away) > EDGE].all()
    own.page.get_by_role("button", name="Keys of the painter").click()
    expect(own.page.get_by_role("dialog", name="Keys").get_by_role("heading", level=3).first).to_have_text("Painter, while the mouse is over it or the focus in it")
    own.page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    own.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(own.stage).to_be_visible()
    own.page.keyboard.press("Control+z")
    own.emptied("mask")


@pytest.mark.parametrize(("force", "share"), [(1.0, 1.0), (0.5, 0.5), (0.0, 0.05)])
def test_a_pen_paints_as_thick_as_it_is_pressed(painting: Callable[..., Painting], force: float, share: float) -> None:
    own = painting("Inpaint")
    x, y = own.at(60, 60)
    pen = own.page.context.new_cdp_session(own.page)
    common = {"pointerType": "pen", "button": "left", "force": force}
    pen.send("Input.dispatchMouseEvent", {"type": "mousePressed", "x": x, "y": y, "buttons": 1, "clickCount": 1, **common})
    pen.send("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x + 60, "y": y, "buttons": 1, **common})
    pen.send("Input.dispatchMouseEvent", {"type": "mouseReleased", "x": x + 60, "y": y, "buttons": 0, "clickCount": 1, **common})
    mask = own.pixels(own.kept("mask"), "L")
    thick = (mask[:, int(own.of((x + 30, y))[0])] == 255).sum()
    assert abs(thick - max(1.5, own.size * share)) <= 1


def test_fingers(chromium: Browser, house: Stage, picture: Path) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
    own = opened(Studio(context.new_page(), house.url).open(), picture, "Inpaint")
    sent, whole = uploads(own.page), own.scale
    own.page.locator(".painter-tools").scroll_into_view_if_needed()
    touch = context.new_cdp_session(own.page)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]})

    scrolled = own.page.evaluate("scrollY")
    x, y = own.at(60, 40)
    fingers("touchStart", (x, y))
    for step in range(1, 5):
        fingers("touchMove", (x, y + 10 * step))
    fingers("touchEnd")
    mask = own.pixels(own.kept("mask"), "L")
    assert mask[40, 60] == 255 and mask[int(own.of((x, y + 40))[1]) - 1, 60] == 255
    assert own.at(60, 40) == (x, y), "the picture stays under the finger when the first stroke makes a mask"
    assert own.page.evaluate("scrollY") == scrolled, "a finger on the picture paints and does not scroll"
    before, kept = len(sent), own.value("mask")
    fingers("touchStart", (x, y))
    fingers("touchMove", (x - 5, y))
    fingers("touchStart", (x - 5, y), (x + 60, y))
    for step in range(1, 5):
        fingers("touchMove", (x - 5 - 8 * step, y), (x + 60 + 8 * step, y))
    fingers("touchEnd")
    assert own.scale > 1.5 * whole, "two fingers zoom"
    own.page.wait_for_timeout(SENT)
    assert (len(sent), own.value("mask")) == (before, kept), "and take back what the first one began"
    assert own.page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_covers_the_picture(painting: Callable[..., Painting], width: int) -> None:
    own = painting("Sketch")
    own.page.set_viewport_size({"width": width, "height": 844})
    own.page.wait_for_timeout(200)
    frame, stage = own.page.locator(".painter-paint").bounding_box(), own.stage.bounding_box()
    assert frame and stage
    assert stage["x"] < frame["x"] and frame["x"] + frame["width"] < stage["x"] + stage["width"]
    assert stage["y"] < frame["y"] and frame["y"] + frame["height"] < stage["y"] + stage["height"]
    assert frame["width"] / frame["height"] == pytest.approx(SIZE[0] / SIZE[1], rel=0.01)
