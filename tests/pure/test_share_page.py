"""The page behind a link: plain, in the visitor's language, without scripts, and silent about all that is not shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.guest import Guest
from tests.pure.test_sharing import SECRET, kept
from tests.tiny.house import open_house
from ui import share_page

SHOWN = "<script>alert(1)</script>"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Guest]:
    house = open_house(tmp_path, start_workers=False)
    yield house
    house.close()


@pytest.fixture
def visitor(house: Guest) -> TestClient:
    app = FastAPI()
    app.include_router(share_page.route(house.backend))
    return TestClient(app)


def plot(house: Guest, **options: Any) -> str:
    axes = [{"label": "Prompt S/R", "values": f"cat, {SHOWN}"}, {"label": "Steps", "values": "3, 4, 5"}, {"label": "CFG Scale", "values": "1, 2"}]
    return house.plots.create({"request": {"prompt": f"a cat, {SECRET}", "width": 64, "height": 64}, "axes": axes, "options": options})


def test_a_picture_is_shown_and_its_settings_where_they_are_shared(house: Guest, visitor: TestClient) -> None:
    image = kept(house)
    shy, told = (house.sharing.create("picture", image, settings=settings).token for settings in (False, True))
    page = visitor.get(f"/share/{shy}")
    assert page.status_code == 200 and f'src="{shy}/picture"' in page.text and SECRET not in page.text and image not in page.text
    assert SECRET in visitor.get(f"/share/{told}").text


def test_it_runs_nothing_is_not_kept_and_no_search_engines(house: Guest, visitor: TestClient) -> None:
    page = visitor.get(f"/share/{house.sharing.create('picture', kept(house)).token}")
    headers = page.headers
    assert "default-src 'none'" in headers["content-security-policy"] and "script" not in headers["content-security-policy"]
    assert "no-store" in headers["cache-control"] and headers["x-robots-tag"] == "noindex, nofollow" and headers["referrer-policy"] == "no-referrer"
    assert 'name="robots" content="noindex' in page.text and "<script" not in page.text and "width=device-width" in page.text


def test_a_plot_is_a_table_of_all_its_cells_and_nothing_in_it_is_html(house: Guest, visitor: TestClient) -> None:
    page = visitor.get(f"/share/{house.sharing.create('plot', plot(house, title=SHOWN)).token}").text
    assert page.count("<td>") == 12 and page.count("<table>") == 2 and "CFG Scale: 2" in page
    assert SHOWN not in page and "&lt;script&gt;" in page and SECRET not in page


@pytest.mark.parametrize(("accepted", "code"), [("", "en"), ("de-AT,de;q=0.9,en;q=0.8", "de"), ("fr,en;q=0.5,de", "en"), ("xx,\x00", "en"), ("../../etc", "en")])
def test_it_speaks_the_visitors_language(accepted: str, code: str) -> None:
    assert share_page.language_of(accepted) == code
    assert ("Diesen Link" in share_page.gone(code)) is (code == "de")


def test_a_link_that_is_over_says_so(visitor: TestClient) -> None:
    answer = visitor.get("/share/nothing", headers={"Accept-Language": "en"})
    assert answer.status_code == 404 and share_page.GONE in answer.text
