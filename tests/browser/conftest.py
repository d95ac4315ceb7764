"""A browser, and the two houses it visits: the real Easel with its demo model, and the same before a fake worker."""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI

from backend import LOCAL, Backend, Request
from backend.settings import HOME

if TYPE_CHECKING:
    from tests.browser.house import Past

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from tests.browser.studio import Studio  # noqa: E402

playwright.expect.set_options(timeout=20_000)  # busy cores
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]     # a camera that is allowed
# A process of the browser may still hold what was cleared behind its back: the first document of a visit clears it, too.
FORGET = """if (location.port) {
  const visit = `visit${location.port}=%d`;     // cookies are the same at all ports, what is stored is not
  if (!document.cookie.split("; ").includes(visit)) localStorage.clear();
  document.cookie = `${visit}; path=/`;
}"""
STORAGE = "local_storage,indexeddb,service_workers,cache_storage"
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
def one_easel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Easel]:
    if not (HOME / "models" / "demo" / "model_index.json").is_file():
        pytest.skip("needs models/demo")
    house = Easel(tmp_path_factory.mktemp("easel")).start()
    yield house
    house.stop()


def second_try(request: pytest.FixtureRequest) -> bool:
    """What the first try has left behind must not fail the second one."""
    return getattr(request.node, "execution_count", 1) > 1


@pytest.fixture
def easel(one_easel: Easel, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Easel:
    """The real Easel; one that a test before has brought down is started again."""
    if second_try(request):
        one_easel.stop()
        one_easel.data = tmp_path_factory.mktemp("easel")
    if one_easel.process is None or one_easel.process.poll() is not None:
        one_easel.start()
    return one_easel


class Visitor:
    """Somebody who is new to every house at each call, but for what the browser has in its cache.

    The cache is what makes it worth it: opening the page with an empty one takes twice the processor's time.
    """

    def __init__(self, browser: playwright.Browser) -> None:
        self.context = browser.new_context(viewport=DESKTOP)
        self._keeper = self.context.new_page()      # a context without a page would let the connection go
        self._storage = self.context.new_cdp_session(self._keeper)
        self._origins: set[str] = set()
        self._visits = itertools.count()

    def arrive(self) -> playwright.Page:
        page = self.context.new_page()
        page.add_init_script(FORGET % next(self._visits))
        page.on("framenavigated", lambda frame: self._origins.add("/".join(frame.url.split("/")[:3])))
        return page

    def leave(self) -> None:
        """Closes the pages, which may write on their way out, and forgets what they have written."""
        for page in self.context.pages:
            if page is not self._keeper:
                page.close()
        for origin in self._origins:
            self._storage.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": STORAGE})
        self.context.clear_cookies()
        self.context.clear_permissions()


class Browsers:
    """One browser for all tests, until it dies: then another, so that the tests after it do not fail, too."""

    def __init__(self) -> None:
        self._driver: playwright.Playwright | None = None
        self._browser: playwright.Browser | None = None
        self._visitors: dict[str, Visitor] = {}

    def visitor(self, name: str = "") -> Visitor:
        """Each name has one, and a new one after each death of the browser."""
        browser = self.living()
        if name not in self._visitors or self._visitors[name].context.browser is not browser:
            self._visitors[name] = Visitor(browser)
        return self._visitors[name]

    def living(self) -> playwright.Browser:
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._launched()
        return self._browser

    def _launched(self) -> playwright.Browser:
        try:
            self._driver = self._driver or playwright.sync_playwright().start()
            return self._driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        except playwright.Error:        # the driver may be what has died
            self.close()
            self._driver = playwright.sync_playwright().start()
            return self._driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

    def close(self) -> None:
        driver, self._driver, self._browser = self._driver, None, None
        if driver:
            with suppress(playwright.Error):
                driver.stop()


@pytest.fixture(scope="session")
def browsers() -> Iterator[Browsers]:
    if not CHROMIUM:
        pytest.skip("needs Chromium")
    browsers = Browsers()
    yield browsers
    browsers.close()


@pytest.fixture
def chromium(browsers: Browsers) -> playwright.Browser:
    return browsers.living()


@pytest.fixture
def page(browsers: Browsers, request: pytest.FixtureRequest) -> Iterator[playwright.Page]:
    """A new visitor; a script that breaks fails the test."""
    visitor = browsers.visitor()
    page = visitor.arrive()
    if screen := request.node.get_closest_marker("screen"):
        page.set_viewport_size(*screen.args)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    if page.context.browser.is_connected():  # type: ignore[union-attr]
        visitor.leave()
    assert not errors


def empty_queue(url: str) -> None:
    """Cancels what waits or runs, and waits until it has ended. Not by the page, which a test may have left anywhere."""
    urllib.request.urlopen(urllib.request.Request(f"{url}easel/jobs/cancel", method="POST"), timeout=20).close()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{url}easel/queue", timeout=20) as answer:
            if not json.load(answer)["total"]:
                return
        time.sleep(0.05)
    raise TimeoutError("the queue does not become empty")


@pytest.fixture
def studio(easel: Easel, page: playwright.Page) -> Iterator[Studio]:
    """The page of the real Easel, with an empty queue."""
    yield Studio(page, easel.url).open().ready()
    empty_queue(easel.url)


@dataclass(frozen=True)
class Stage:
    """The real application before a fake worker, where rare states can be had."""

    backend: Backend
    app: FastAPI
    past: Past
    url: str

    def streams(self) -> int:
        """How many event streams are open."""
        return sum(map(len, self.app.state.changes._waiting.values()))

    def requests(self) -> list[Request]:
        """Of all jobs, oldest first."""
        return [job.request for job in reversed(self.backend.as_(LOCAL).jobs(limit=500))]


class Houses:
    """The real application before a fake worker, one after the other at one address: the browser keeps the page's files."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory, port: int) -> None:
        self._folders, self._port = tmp_path_factory, port
        self._stage: Stage | None = None
        self._open = ExitStack()

    def current(self) -> Stage:
        self._stage = self._stage or self._open.enter_context(self._opened())
        return self._stage

    def close(self) -> None:
        self._stage = None
        self._open.close()

    @contextmanager
    def _opened(self) -> Iterator[Stage]:
        from tests.browser.house import Past, application, opened, served

        folder = self._folders.mktemp("house")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
            patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
            backend = opened(folder)
            app = application(backend)
            with served(app, self._port) as url:
                wait_for(url)
                yield Stage(backend, app, Past(backend), url)
            backend.close()


@pytest.fixture(scope="session")
def port_of_houses() -> int:
    return free_port()


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory, port_of_houses: int) -> Iterator[Houses]:
    houses = Houses(tmp_path_factory, port_of_houses)
    yield houses
    houses.close()


@pytest.fixture
def house(houses: Houses, request: pytest.FixtureRequest) -> Stage:
    """One for all tests of a file."""
    if second_try(request):
        houses.close()
    return houses.current()


@pytest.fixture
def past(house: Stage) -> Past:
    """The history of the house before the fake worker, empty."""
    house.past.forget()
    return house.past


class Desk:
    """One page for tests of a file that need no new one: brought back to its start before each of them."""

    def __init__(self, visitor: Visitor, url: str) -> None:
        self._visitor = visitor
        self.errors: list[str] = []
        page = visitor.arrive()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.studio = Studio(page, url).open()
        self._starts = page.evaluate(STARTS)

    @property
    def works(self) -> bool:
        return not self.studio.page.is_closed() and not self.errors

    def tidied(self, screen: playwright.ViewportSize = DESKTOP) -> Studio:
        page = self.studio.page
        page.unroute_all()
        self.studio.settled()       # a test may have loaded it again
        if page.viewport_size != screen:
            page.set_viewport_size(screen)
        page.mouse.move(0, 0)
        page.keyboard.press("Escape")
        page.evaluate(LEAVE)
        self.studio.into("txt2img")
        page.wait_for_function(SHOWN, timeout=20_000)
        page.evaluate(PUT_BACK, self._starts)
        page.wait_for_function(TIDY, arg=self._starts, timeout=20_000)
        page.evaluate(WIPE)
        return self.studio

    def close(self) -> None:
        if self._visitor.context.browser.is_connected():     # type: ignore[union-attr]
            self._visitor.leave()


# What stands over the page goes, views are as they were at first, and the pictures are those that the server has by now.
LEAVE = """async () => {
  if (easel.forever.foreverTab()) easel.forever.toggle();
  for (const sheet of document.querySelectorAll("dialog[open]")) sheet.close();
  for (const pressed of document.querySelectorAll(`.toast-close, [data-chosen="done"], [data-import="close"], .history-fold[aria-expanded="true"],
    .compare.beside [data-compare="beside"], .lightbox [data-view="info"][aria-pressed="true"],
    [data-extras="clear"], [data-batch="clear"], .gr-accordion > button.open`)) pressed.click();
  for (const box of document.querySelectorAll(".wrong")) easel.form("txt2img").clear(box);
  document.activeElement?.blur();
  scrollTo(0, 0);
  await new Promise(resolve => setTimeout(resolve, 50));      // the history hears where the page is while it is open
  for (const tab of ["txt2img", "img2img", "extras"]) Object.assign(easel.results(tab), { mode: "" }).choose(null);
  easel.tell("restored", [""]);
  const search = document.querySelector(".history-search");
  if (!search) return;
  search.reset();
  search.elements.board.value = "";
  search.requestSubmit();
}"""
SHOWN = """async () => {
  const ids = list => list.map(({ id }) => id).sort().join();
  return ids(["txt2img", "img2img", "extras"].flatMap(tab => easel.results(tab).list())) === ids((await easel.ask("/easel/images?limit=60")).images);
}"""
# A tab that was not opened yet has no fields to fill.
STARTS = "Object.fromEntries(['txt2img', 'img2img', 'extras'].map(tab => [tab, easel.form(tab).values]))"
OPENED = "Object.entries(starts).filter(([tab]) => document.querySelector(`#${tab}_apply`))"
PUT_BACK = f"starts => {OPENED}.forEach(([tab, start]) => easel.form(tab).apply(start))"
TIDY = f"""starts => {OPENED}.every(([tab, start]) => {{ const form = easel.form(tab);
  return !form.fillings && !Object.keys(form.pending).length && JSON.stringify(form.values) === JSON.stringify(start); }})"""

# The painter keeps the picture that it showed last, unseen: nobody may take it for the next one.
WIPE = """() => {
  for (const canvas of document.querySelectorAll(".painter canvas")) canvas.width = 1;
  for (const size of document.querySelectorAll(".start-size")) size.textContent = "";
}"""


@pytest.fixture(scope="module")
def desks() -> Iterator[dict[str, Desk]]:
    """Those in use, by the address that they are in front of."""
    desks: dict[str, Desk] = {}
    yield desks
    for desk in desks.values():
        desk.close()


@contextmanager
def at_desk(url: str, browsers: Browsers, desks: dict[str, Desk], request: pytest.FixtureRequest) -> Iterator[Studio]:
    if url in desks and (second_try(request) or not desks[url].works):
        desks.pop(url).close()
    if url not in desks:
        desks[url] = Desk(browsers.visitor(f"at {url}"), url)
    failed, screen = request.session.testsfailed, request.node.get_closest_marker("screen")
    yield desks[url].tidied(*(screen.args if screen else ()))
    empty_queue(url)
    assert not desks[url].errors
    if request.session.testsfailed > failed:
        desks.pop(url).close()


@pytest.fixture
def desk(house: Stage, browsers: Browsers, desks: dict[str, Desk], request: pytest.FixtureRequest) -> Iterator[Studio]:
    """The page in front of the fake worker, its first tab open as it was at first; a script that breaks fails the test.

    What tests before have drawn is there, unless `past` is asked for before it.
    """
    with at_desk(house.url, browsers, desks, request) as studio:
        yield studio


@pytest.fixture
def easel_desk(easel: Easel, browsers: Browsers, desks: dict[str, Desk], request: pytest.FixtureRequest) -> Iterator[Studio]:
    """Such a page of the real Easel, with an empty queue."""
    with at_desk(easel.url, browsers, desks, request) as studio:
        yield studio.ready()


@pytest.fixture
def stage(house: Stage, page: playwright.Page) -> Iterator[Studio]:
    """The page in front of the fake worker."""
    yield Studio(page, house.url).open()
    empty_queue(house.url)
