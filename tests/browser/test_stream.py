"""What holds pages and server together: the scripts' files, one stream for all pages of a browser, logins, a worker that is asked again."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, expect

from backend import Backend, Settings
from tests.browser import drawing_worker
from tests.browser.conftest import Browsers, Stage, free_port
from tests.browser.house import TwoCheckpoints, application, served
from tests.browser.studio import PATIENCE, Studio

PAGES = 7       # a browser opens six connections to one server
FAILED: dict[str, Any] = {"type": "status", "workers": [{"state": "failed"}], "notices": ["The worker does not start."]}


def test_seven_pages_share_one_stream_that_outlives_the_first(house: Stage, chromium: Browser) -> None:
    with chromium.new_context() as context:
        pages = [Studio(context.new_page(), house.url).open() for _ in range(PAGES)]
        assert house.streams() == 1
        pages[0].page.close()
        pages[1].generate(prompt="for all to see", steps=3)
        for studio in pages[1:]:
            studio.wait_pictures(1)
        pages[2].page.reload()
        pages[2].settled()
        assert house.streams() == 1


def test_without_a_shared_worker_a_page_has_its_own_stream(house: Stage, page: Page) -> None:
    page.add_init_script("delete window.SharedWorker")
    studio = Studio(page, house.url).open()
    before = studio.pictures()
    studio.generate(prompt="on its own", steps=2)
    studio.wait_pictures(before + 1)


def test_a_shared_worker_that_does_not_start_is_done_without(house: Stage, page: Page) -> None:
    page.add_init_script("window.SharedWorker = class extends EventTarget { port = { postMessage() {} }; constructor() { super(); setTimeout(() => this.onerror()); } }")
    Studio(page, house.url).open()
    assert house.streams() == 1


def test_the_page_loads_each_file_once_and_keeps_it(stage: Studio) -> None:
    got: list[str] = []
    stage.page.on("response", lambda answer: got.append(answer.url))
    loaded = "performance.getEntriesByType('resource').map(one => one.name).filter(name => name.includes('/easel/assets/'))"
    first = stage.page.evaluate(loaded)
    assert first and len(first) == len(set(first))
    assert len({re.search(r"/easel/assets/(\w+)/", url)[1] for url in first}) == 1  # type: ignore[index]
    stage.page.reload()
    stage.settled()
    sizes = "performance.getEntriesByType('resource').filter(one => one.name.includes('/easel/assets/')).map(one => one.transferSize)"
    assert set(stage.page.evaluate(sizes)) == {0}, "from the browser's own memory"
    assert stage.page.evaluate("Object.keys(window).filter(name => name.startsWith('easel')).sort()") == \
        ["easel", "easelLanguages", "easelLook", "easelPreferences"]      # the first is these tests' own


def test_a_failed_worker_can_be_asked_again(desk: Studio) -> None:
    desk.page.evaluate("status => easel.tell('live', status)", FAILED)
    button = desk.page.locator("#notices").get_by_role("button", name="Try again")
    with desk.page.expect_response("**/easel/workers/restart") as answer:
        button.click()
    assert answer.value.status == 200
    desk.page.evaluate("status => easel.tell('live', { ...status, workers: [{ state: 'ready' }], notices: [] })", FAILED)
    expect(button).to_have_count(0)


def test_a_line_that_was_read_gives_its_room_back(desk: Studio) -> None:
    page, lines = desk.page, desk.page.locator("#notices .notice")
    tell = "notices => easel.tell('live', { type: 'status', workers: [], notices })"
    page.evaluate(tell, ["One is switched off.", "Two is left out."])
    expect(lines).to_have_count(2)
    lines.first.get_by_role("button", name="Dismiss").click()
    expect(lines).to_have_text([re.compile("Two is left out")])
    page.evaluate(tell, ["One is switched off.", "Two is left out."])
    expect(lines).to_have_count(1)
    page.evaluate(tell, [])
    page.evaluate(tell, ["One is switched off."])
    expect(lines).to_have_text([re.compile("One is switched off")])      # it ended, and is there again
    page.evaluate(tell, [])


def test_with_logins_the_page_works_as_without(chromium: Browser, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", users={"ann": "correct horse battery"})
    backend = Backend(settings, catalog=TwoCheckpoints(tmp_path), worker=drawing_worker.__name__)  # type: ignore[arg-type]
    context = chromium.new_context()
    page = context.new_page()
    with served(application(backend), free_port()) as url:
        page.goto(url)
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill(settings.users["ann"])
        page.get_by_role("button", name="Log in").click()
        studio = Studio(page, url).open()
        studio.generate(prompt="for ann", steps=2)
        page.wait_for_function("easel.results('txt2img').list().length >= 1", timeout=PATIENCE)
        context.close()
    backend.close()


def test_the_public_face_is_a_module(desk: Studio) -> None:
    assert desk.page.evaluate("import('easel').then(face => face.form('txt2img').values.steps)") == 20


def test_a_dead_browser_is_replaced(browsers: Browsers) -> None:
    browser = browsers.living()
    assert browsers.living() is browser
    gone: list[Browser] = []
    browser.once("disconnected", lambda one: gone.append(one))
    page = browser.new_page()
    with suppress(Error):
        browser.new_browser_cdp_session().send("Browser.crash")
        page.wait_for_timeout(10_000)       # ends with the browser
    assert gone == [browser]
    other = browsers.living()
    assert other is not browser and other.is_connected()
    other.new_page().close()
