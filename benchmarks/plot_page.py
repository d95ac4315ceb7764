"""A plot of 60 x 40 cells in a browser: how many frames a second it scrolls at, and what the front takes for it.

The pictures are there already: 2,400 files, as after a night of drawing. Chromium scrolls as a wheel would, across and
down, and its own trace says when a frame was drawn.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from sqlalchemy import insert

from backend.request.request import Request
from backend.settings import HOME
from backend.store.database import Database
from backend.store.tables import ImageRow, JobRow, PlotRow
from backend.store.view_types import LOCAL
from benchmarks.startup import free_port, until_answer

COLUMNS, ROWS, SIDE = 60, 40, 256
PLOT = "plot60x40"
SPEED = 1200            # pixels a second, as a quick hand
DISTANCES = ((0, -2600), (-3000, 0), (0, 2600), (3000, 0))     # of the contents, in pixels: down, right, up, left
TRACED = ["-*", "disabled-by-default-devtools.timeline.frame", "devtools.timeline.frame"]


def measure(device: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as data:
        _fill(Path(data))
        port = free_port()
        command = [sys.executable, "app.py", "--port", str(port), "--data", data, "--device", device]
        process = subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until_answer(f"http://127.0.0.1:{port}/", process)
            return _visited(f"http://127.0.0.1:{port}/", psutil.Process(process.pid))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _visited(url: str, front: psutil.Process) -> dict[str, Any]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(url)
            page.wait_for_function("document.querySelector('#worker')?.dataset.state === 'ready'", timeout=120_000)
            before = front.memory_info().rss
            result = _scrolled(browser, page, f"{url}#/plots/{PLOT}")
            grown = (front.memory_info().rss - before) / 2**20
            return result | {"MiB the front grows by": round(grown, 1), "kB of the plot": _answer(url)}
        finally:
            browser.close()


def _answer(url: str) -> float:
    asked = urllib.request.Request(f"{url}easel/plots/{PLOT}", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return round(len(answer.read()) / 1000, 1)


def _scrolled(browser: Browser, page: Page, address: str) -> dict[str, Any]:
    page.goto(address)
    page.locator(".plot-cell img").first.wait_for()
    page.wait_for_timeout(1500)
    devtools = page.context.new_cdp_session(page)
    box = page.locator(".plot-room").bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    browser.start_tracing(page=page, categories=TRACED)
    for distance in DISTANCES:
        _scroll(devtools, middle, distance)
    drawn = _frames(json.loads(browser.stop_tracing()))
    gaps = sorted(later - earlier for earlier, later in pairwise(drawn))
    return {"cells": COLUMNS * ROWS, "frames a second": round((len(drawn) - 1) / (drawn[-1] - drawn[0]), 1),
            "ms of the slowest of 100 frames": round(gaps[int(len(gaps) * 0.99)] * 1000, 1),
            "elements of cells on the page": page.locator(".plot-cell").count()}


def _scroll(devtools: CDPSession, middle: tuple[float, float], distance: tuple[int, int]) -> None:
    devtools.send("Input.synthesizeScrollGesture", {
        "x": middle[0], "y": middle[1], "xDistance": distance[0], "yDistance": distance[1], "speed": SPEED,
        "preventFling": True, "gestureSourceType": "mouse"})


def _frames(trace: dict[str, Any]) -> list[float]:
    """Seconds at which the browser drew a frame."""
    return sorted(event["ts"] / 1e6 for event in trace["traceEvents"] if event["name"] == "DrawFrame")


def _fill(data: Path) -> None:
    """A finished plot with a file for each of its cells."""
    outputs = data / "outputs"
    outputs.mkdir(parents=True)
    files = [_picture(number) for number in range(48)]
    values = Request().to_json() | {"width": SIDE, "height": SIDE}
    axes = [_axis("CFG Scale", range(COLUMNS)), _axis("Seed", range(ROWS))]
    jobs, images = [], []
    for number in range(COLUMNS * ROWS):
        name, cell = f"{number:05}.png", f"{number % COLUMNS},{number // COLUMNS}"
        (outputs / name).write_bytes(files[number % len(files)])
        jobs.append({"id": f"j{number}", "owner": LOCAL.id, "state": "done", "place": number, "request": values,
                     "checkpoint": "", "plot": PLOT, "cell": cell})
        images.append({"id": f"i{number}", "job": f"j{number}", "index": 0, "owner": LOCAL.id, "path": name,
                       "width": SIDE, "height": SIDE, "seed": number, "infotext": "Steps: 1", "format": "png"})
    database = Database(data / "easel.db")
    with database.write() as session:
        session.execute(insert(PlotRow), [{"id": PLOT, "owner": LOCAL.id, "title": "Large", "kind": "xyz",
                                           "request": values, "axes": axes, "options": {}}])
        session.execute(insert(JobRow), jobs)
        session.execute(insert(ImageRow), images)
    database.close()


def _axis(label: str, values: range) -> dict[str, Any]:
    shown = [str(value) for value in values]
    return {"label": label, "values": f"0-{values[-1]}", "parsed": list(values), "shown": shown}


def _picture(number: int) -> bytes:
    picture = Image.effect_noise((SIDE, SIDE), 30 + number).convert("RGB")
    ImageDraw.Draw(picture).ellipse((40, 40, SIDE - 40, SIDE - 40), fill=f"hsl({number * 37 % 360}, 60%, 50%)")
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
