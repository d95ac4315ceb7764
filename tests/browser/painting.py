"""The painter as the tests use it: where a pixel of the picture lies in the window, tools, strokes, and what the server has of them."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.studio import PATIENCE, Studio

Point = tuple[float, float]
KINDS = {"img2img": "", "Sketch": "paint", "Inpaint": "mask", "Inpaint sketch": "paint"}
FRAME = """() => { const { left, top, width, height } = document.querySelector('.painter-paint').getBoundingClientRect();
  const { width: across, height: down } = document.querySelector('.painter-paint'); return { left, top, width, height, across, down }; }"""


@dataclass(frozen=True)
class Painting:
    studio: Studio

    @property
    def page(self) -> Page:
        return self.studio.page

    @property
    def stage(self) -> Locator:
        return self.page.locator(".painter-stage")

    def shows(self, size: tuple[int, int], mode: str) -> Painting:
        """The picture is there, ready for the brush."""
        self.page.wait_for_function(
            "([width, kind]) => document.querySelector('.painter-paint')?.width === width && document.querySelector('.painter').dataset.kind === kind",
            arg=[size[0], KINDS[mode]], timeout=PATIENCE)
        self.stage.scroll_into_view_if_needed()
        return self

    def tool(self, name: str) -> None:
        self.page.locator(".painter-tools").get_by_role("button", name=name).click()

    def colour(self, name: str) -> None:
        self.page.locator(".painter-choices").get_by_role("button", name=name, exact=True).click()

    @property
    def size(self) -> int:
        return int(self.page.locator(".painter-size-said").inner_text().split()[0])

    @property
    def scale(self) -> float:
        frame = self.page.evaluate(FRAME)
        return frame["width"] / frame["across"]

    def at(self, x: float, y: float) -> Point:
        """Whole CSS pixels of the window near a point of the picture."""
        frame = self.page.evaluate(FRAME)
        return round(frame["left"] + x * frame["width"] / frame["across"]), round(frame["top"] + y * frame["height"] / frame["down"])

    def of(self, point: Point) -> Point:
        """The point of the picture that lies there in the window."""
        frame = self.page.evaluate(FRAME)
        return (point[0] - frame["left"]) * frame["across"] / frame["width"], (point[1] - frame["top"]) * frame["down"] / frame["height"]

    def stroke(self, *points: Point, steps: int = 3) -> list[Point]:
        """With the mouse through points of the picture; answers where they really lay."""
        window = [self.at(*point) for point in points]
        self.page.mouse.move(*window[0])
        self.page.mouse.down()
        for point in window[1:]:
            self.page.mouse.move(*point, steps=steps)
        self.page.mouse.up()
        return [self.of(point) for point in window]

    def value(self, name: str) -> str:
        return self.page.evaluate("name => document.querySelector(`#img2img_${name}_id`).querySelector('input, textarea').value", name)

    def kept(self, name: str, but: str = "") -> str:
        """The id in the form, once it is another one than `but` and not empty."""
        expect(self.page.locator(f"#img2img_{name}_id").locator("input, textarea")).not_to_have_value(but, timeout=PATIENCE)
        return self.value(name)

    def emptied(self, name: str) -> None:
        expect(self.page.locator(f"#img2img_{name}_id").locator("input, textarea")).to_have_value("", timeout=PATIENCE)

    def pixels(self, upload: str, mode: str) -> np.ndarray:
        with urllib.request.urlopen(f"{self.studio.url}easel/upload/{upload}.png", timeout=60) as answer:
            return np.asarray(Image.open(io.BytesIO(answer.read())).convert(mode)).astype(int)


def distance(size: tuple[int, int], points: Sequence[Point]) -> np.ndarray:
    """How far the middle of each pixel of a picture of (width, height) lies from a chain of points, in pixels."""
    y, x = np.mgrid[:size[1], :size[0]] + 0.5
    found = np.full(x.shape, np.inf)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[-1]], strict=True):
        long = (x1 - x0) ** 2 + (y1 - y0) ** 2
        share = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / long, 0, 1) if long else 0.0
        found = np.minimum(found, np.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0)))
    return found
