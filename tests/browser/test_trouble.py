"""When something goes wrong: failed jobs, notices, a server that is gone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import expect

from backend import LOCAL
from tests.browser.conftest import Easel, Stage
from tests.browser.studio import PATIENCE, Studio


def eventually(true: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for the server; the page may show a state for too short a time to be seen."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_failed_job_says_why_and_can_be_tried_again(desk: Studio, house: Stage) -> None:
    desk.generate(prompt="fail at once", steps=2)
    row = desk.rows.filter(has_text="fail at once").first
    expect(row).to_contain_text("does not fit into memory", timeout=PATIENCE)
    expect(desk.box("width")).to_have_class(re.compile("wrong"))
    door = house.backend.as_(LOCAL)
    first = door.jobs(limit=1)[0]
    row.get_by_role("button", name=re.compile("Retry")).click()
    eventually(lambda: (again := door.job(first.id)).state == "failed" and again.ended > first.ended)
    expect(row).to_contain_text("Failed", timeout=PATIENCE)
    row.get_by_role("button", name=re.compile("Dismiss")).click()
    expect(desk.rows.filter(has_text="fail at once")).to_have_count(0)


def test_one_picture_as_a_thumbnail_is_a_strip(desk: Studio) -> None:
    before = desk.tiles.count()
    desk.generate(prompt="dots", steps=2, batch_count=2)
    expect(desk.tiles.nth(before)).to_be_visible(timeout=PATIENCE)


def test_a_restarted_server_is_found_again(easel: Easel, studio: Studio) -> None:
    studio.generate(prompt="before the stop", steps=400, width=128, height=128)
    studio.running()
    easel.stop()
    expect(studio.page.locator(".notice")).to_contain_text("connection", timeout=PATIENCE)
    studio.fill(prompt="typed while it was away")
    easel.start()
    expect(studio.page.locator(".notice")).to_have_count(0, timeout=PATIENCE)
    studio.settled()
    expect(studio.rows.filter(has_text="before the stop")).to_have_count(1, timeout=PATIENCE)
    studio.generate(steps=2, width=64, height=64)
    expect(studio.rows.filter(has_text="typed while it was away")).to_have_count(1, timeout=PATIENCE)
