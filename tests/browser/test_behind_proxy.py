"""The page below a path of a reverse proxy: whatever it asks for lies below that path, and is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import free_port, wait_for
from tests.browser.house import application, opened, served
from tests.browser.reverse_proxy import reverse_proxy
from tests.browser.studio import PATIENCE, Studio

ROOT = "/easel"     # the name that Easel's own routes start with, too: the hardest


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("proxied")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        backend = opened(folder, root_path=ROOT, trusted_proxies=("127.0.0.1/32",))
        with served(application(backend), free_port()) as inner, served(reverse_proxy(inner.rstrip("/")), free_port()) as outer:
            wait_for(f"{outer}easel/easel/health")
            yield f"{outer}easel"
        backend.close()


def test_the_whole_page_lies_below_the_path(page: Page, address: str) -> None:
    asked: set[str] = set()
    refused: list[str] = []
    page.context.on("request", lambda request: asked.add(request.url))
    page.on("response", lambda answer: refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    studio = Studio(page, address).open().ready()
    assert page.url.startswith(f"{address}/"), "without a slash at its end, the address leads there"
    studio.generate(prompt="a lighthouse")
    studio.wait_pictures(1)
    picture = page.locator(".stage-picture img")
    expect(picture).to_have_attribute("src", re.compile(f"^{ROOT}/easel/image/"), timeout=PATIENCE)
    page.wait_for_function("document.querySelector('.stage-picture img').naturalWidth > 0")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")
    studio.send_to("img2img")
    expect(page.locator(".start-size")).to_have_text("128 × 128", timeout=PATIENCE)
    page.get_by_role("tab", name="History").click()
    page.wait_for_function("document.querySelector('#tab_history img')?.naturalWidth > 0", timeout=PATIENCE)
    page.reload()
    studio.settled()
    studio.wait_pictures(1)
    own = urlsplit(address).netloc
    past = [url for url in asked if urlsplit(url).netloc == own and not urlsplit(url).path.startswith(f"{ROOT}/") and urlsplit(url).path != ROOT]
    assert not [url for url in past if not url.endswith("/favicon.ico")]
    assert not [line for line in refused if "/favicon.ico" not in line]
