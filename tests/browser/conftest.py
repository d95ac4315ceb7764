"""A browser, and the two houses it visits: the real Easel with its demo model, and the stand-in for rare states."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.settings import HOME

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from tests.browser.studio import Studio  # noqa: E402

playwright.expect.set_options(timeout=20_000)  # busy cores
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
DESKTOP = {"width": 1400, "height": 950}
PHONE = {"width": 360, "height": 740}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise TimeoutError(f"nothing answers at {url}")


class Easel:
    """`python app.py` in a process of its own."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Easel:
        command = [sys.executable, "app.py", "--port", str(self.port), "--data", str(self.data), "--device", "cpu"]
        self.process = subprocess.Popen(command, cwd=HOME, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.url)
        return self

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture(scope="session")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Easel]:
    if not (HOME / "models" / "demo" / "model_index.json").is_file():
        pytest.skip("needs models/demo")
    house = Easel(tmp_path_factory.mktemp("easel")).start()
    yield house
    house.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[playwright.Browser]:
    if not CHROMIUM:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: playwright.Browser) -> Iterator[playwright.Page]:
    """A new visitor; a script that breaks fails the test."""
    context = chromium.new_context(viewport=DESKTOP)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


@pytest.fixture
def studio(easel: Easel, page: playwright.Page) -> Iterator[Studio]:
    """The page of the real Easel, with an empty queue."""
    studio = Studio(page, easel.url).open().ready()
    yield studio
    page.evaluate("easel.post('/easel/jobs/cancel')")
    studio.idle()


@pytest.fixture(scope="session")
def fake() -> Iterator[tuple[object, str]]:
    """The stand-in and its address."""
    import uvicorn

    import ui
    from tests.browser import fake_history
    from tests.browser.fake import Fake, routes

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    house, port = Fake(), free_port()
    house.past = fake_history.Past(house)
    app = routes(house)
    app.include_router(fake_history.router(house.past))
    ui.mount(app, house)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(f"http://127.0.0.1:{port}/")
    yield house, f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def stage(fake: tuple[object, str], page: playwright.Page) -> Studio:
    """The page in front of the stand-in, where failures can be ordered."""
    return Studio(page, fake[1]).open()
