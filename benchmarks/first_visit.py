"""A browser that has never been here opens the page: how long until Generate can be clicked, and how much it gets.

The server is up and its worker is ready before, as for a newcomer who has waited for "Easel is at ...". Each round is
a browser context of its own, without anything kept; `again` is the same address a second time, with what was kept.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from backend.settings import HOME
from benchmarks.startup import free_port, until_answer

ROUNDS = 5
PATIENCE = 60_000       # ms
GENERATE = "#txt2img_generate"
READY = "document.querySelector('#worker')?.dataset.state === 'ready'"
TABS = ("img2img", "Extras", "PNG Info", "History", "Plots", "Settings")


def measure(device: str) -> dict[str, Any]:
    """Medians; milliseconds, kB over the network, counts of requests and of elements."""
    with tempfile.TemporaryDirectory() as data:
        port = free_port()
        command = [sys.executable, "app.py", "--port", str(port), "--data", data, "--device", device]
        process = subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until_answer(f"http://127.0.0.1:{port}/", process)
            return _visits(f"http://127.0.0.1:{port}/")
        finally:
            process.terminate()
            process.wait(timeout=30)


def _visits(url: str) -> dict[str, Any]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            _visit(browser, url)        # the first one waits for the worker
            rounds = [_visit(browser, url) for _ in range(ROUNDS)]
        finally:
            browser.close()
    return {key: round(statistics.median(each[key] for each in rounds), 1) for key in rounds[0]} | _html(url)


def _visit(browser: Browser, url: str) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    network = context.new_cdp_session(page)
    network.send("Network.enable")
    received: list[float] = []
    network.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    found = {"ms to Generate": _until_generate(page, url)}
    page.wait_for_function(READY, timeout=PATIENCE)
    found |= {"requests": len(received), "kB": sum(received) / 1000, "elements": _elements(page)}
    found["ms to Generate again"] = _until_generate(page, url)
    page.wait_for_function(READY, timeout=PATIENCE)
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(400)
    found["elements with all tabs opened"] = _elements(page)
    context.close()
    return found


def _until_generate(page: Page, url: str) -> float:
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator(GENERATE).wait_for(timeout=PATIENCE)
    return (time.perf_counter() - started) * 1000


def _elements(page: Page) -> int:
    return page.evaluate("document.querySelectorAll('*').length")


def _html(url: str) -> dict[str, float]:
    asked = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return {"kB of HTML": round(len(answer.read()) / 1000, 1)}
