"""The queue on the page: paused, reordered, dismissed for good, generating forever."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, expect

from backend import LOCAL
from tests.browser.conftest import Stage
from tests.browser.studio import PATIENCE, Studio
from tests.tiny.house import until

LONG = {"steps": 150, "batch_count": 9}     # longer than any test
QUIET = """() => {
  easel.tell("live", { type: "queue", total: 0, jobs: [] });
  easel.tell("live", { type: "status", notices: [], workers: [{ name: "cpu", state: "ready", drawing: 0 }] });
}"""


@pytest.fixture(autouse=True)
def no_notices(house: Stage) -> None:
    """Of jobs that tests before have cancelled."""
    house.backend.as_(LOCAL).dismiss()


def line(studio: Studio) -> list[str]:
    return studio.rows.locator(".job-prompt").all_inner_texts()


def row(studio: Studio, text: str) -> Locator:
    return studio.rows.filter(has_text=text)


def test_waiting_jobs_are_moved_by_button_and_by_hand_and_held_up(desk: Studio) -> None:
    page = desk.page
    for prompt in ("first", "second", "third", "fourth"):
        desk.generate(prompt=prompt, **LONG)
        expect(row(desk, prompt)).to_be_visible(timeout=PATIENCE)
    expect(row(desk, "first")).to_contain_text("Drawing", timeout=PATIENCE)
    front = row(desk, "fourth").get_by_role("button", name="To the front: fourth")
    front.focus()
    page.keyboard.press("Enter")
    expect(row(desk, "fourth")).to_contain_text("No. 1", timeout=PATIENCE)
    expect(front).to_be_focused()
    row(desk, "fourth").get_by_role("button", name="Down: fourth").click()
    expect(row(desk, "fourth")).to_contain_text("No. 2", timeout=PATIENCE)
    expect(desk.results.locator(".stage-picture")).to_be_visible(timeout=PATIENCE)      # it moves the rows when it comes
    desk.queue_stands()
    row(desk, "third").drag_to(row(desk, "second"), target_position={"x": 90, "y": 3})
    expect(row(desk, "third")).to_contain_text("No. 1", timeout=PATIENCE)
    assert line(desk) == ["first", "third", "second", "fourth"]
    desk.results.get_by_role("button", name="Pause").click()
    expect(desk.results.locator(".queue-paused")).to_contain_text("what waits starts when you resume it")
    row(desk, "first").get_by_role("button", name="Cancel: first").click()
    expect(row(desk, "first")).to_contain_text("Cancelled", timeout=PATIENCE)
    page.wait_for_timeout(700)
    expect(row(desk, "third")).to_contain_text("Paused")
    desk.results.get_by_role("button", name="Resume").click()
    expect(row(desk, "third")).to_contain_text("Drawing", timeout=PATIENCE)


def test_what_is_dismissed_is_gone_in_every_browser(desk: Studio, chromium: Browser) -> None:
    for prompt in ("one", "two", "three"):
        desk.generate(prompt=f"{prompt} of three", **LONG)
        expect(row(desk, f"{prompt} of three")).to_be_visible(timeout=PATIENCE)
    desk.results.get_by_role("button", name="Cancel all").click()
    expect(desk.rows.filter(has_text="Cancelled")).to_have_count(3, timeout=PATIENCE)
    context = chromium.new_context()
    other = Studio(context.new_page(), desk.url).open()
    row(other, "two of three").get_by_role("button", name=re.compile("Dismiss")).click()
    expect(row(desk, "two of three")).to_have_count(0, timeout=PATIENCE)
    desk.results.get_by_role("button", name="Dismiss all").click()
    expect(other.rows).to_have_count(0, timeout=PATIENCE)
    other.page.reload()
    other.settled()
    expect(other.rows).to_have_count(0)
    context.close()


def test_generating_forever_goes_on_until_it_is_stopped(desk: Studio) -> None:
    page, banner, before = desk.page, desk.results.locator(".forever"), desk.pictures()
    desk.ready()
    desk.fill(prompt="on and on", seed=42, steps=3)
    desk.button("generate").focus()
    page.keyboard.press("Control+Shift+Enter")
    expect(banner).to_contain_text("2 finished", timeout=PATIENCE)
    desk.fill(prompt="ever further", steps=150)
    expect(row(desk, "ever further")).to_contain_text("Drawing", timeout=PATIENCE)
    desk.shows(seed=42)
    seeds = page.evaluate("easel.results('txt2img').list().map(image => image.seed)")[:-before or None]
    assert len(set(seeds)) == len(seeds) >= 2 and "42" not in map(str, seeds)
    assert page.evaluate("""() => {
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
        return document.querySelector("#txt2img_results .forever").hidden;
    }"""), "at the key itself: the job may be over before the interrupt arrives"
    expect(page.locator(".toast", has_text="Generating forever has ended")).to_be_visible()
    desk.idle()
    page.wait_for_timeout(700)
    expect(desk.results.locator(".progress")).to_be_hidden()
    desk.button("generate").click(button="right")
    page.get_by_role("menuitem", name="Generate forever").click()
    expect(banner).to_be_visible()
    page.reload()
    desk.settled()
    expect(page.locator(".toast", has_text="ended when the page was left")).to_be_visible()
    expect(banner).to_be_hidden()


def test_every_worker_and_what_it_draws_is_shown(desk: Studio) -> None:
    page = desk.page
    workers = desk.results.get_by_role("list", name="Workers").get_by_role("listitem")

    def shown() -> bool:
        """Told again until it is: what the house itself tells of its queue meanwhile may come between."""
        page.evaluate("""() => {
            easel.tell("live", { type: "queue", total: 1, jobs: [{ id: "a", state: "running", position: 0, prompt: "mine", count: 1, done: 0, worker: "cuda:1" }] });
            easel.tell("live", { type: "status", notices: [], workers: [
                { name: "cuda:0", state: "ready", drawing: 2 }, { name: "cuda:1", state: "ready", drawing: 1 }, { name: "cuda:2", state: "failed", drawing: 0 }] });
        }""")
        return workers.all_text_contents() == ["cuda:0Draws 2 jobs of others", "cuda:1mine", "cuda:2Not working"]

    until(shown, 20, 0.1)
    page.evaluate(QUIET)
    expect(workers).to_have_count(0)


def test_a_row_is_not_exchanged_under_a_button_that_is_down(desk: Studio) -> None:
    page, row = desk.ready().page, "document.querySelectorAll('#txt2img_results .queue .job')[1]"
    told = """done => easel.tell("live", { type: "queue", total: 2, jobs: [
        { id: "a", state: "running", position: 0, prompt: "mine", count: 9, done }, { id: "b", state: "queued", position: 1, prompt: "next", count: 1, done: 0 }] })"""
    page.evaluate(told, 1)
    desk.rows.nth(1).hover()
    page.mouse.down()
    page.evaluate(f"() => {{ {row}.under = true; }}")
    page.evaluate(told, 2)
    assert page.evaluate(f"{row}.under"), "it could neither be dragged nor clicked"
    page.mouse.up()
    page.wait_for_function(f"!{row}?.under")
    page.evaluate(QUIET)


def test_generate_while_the_server_is_away_says_once_that_nothing_was_started(stage: Studio) -> None:
    page = stage.page
    stage.fill(prompt="typed meanwhile")
    page.route("**/gradio_api/**", lambda route: route.abort())
    stage.button("generate").click()
    expect(page.locator(".toast", has_text="nothing was started")).to_have_count(1)
    page.wait_for_timeout(500)
    expect(page.locator(".toast-body:visible")).to_have_count(0)
    page.unroute("**/gradio_api/**")
    stage.shows(prompt="typed meanwhile")


def test_the_end_of_a_job_is_heard_once_it_is_wanted(desk: Studio) -> None:
    page = desk.page
    page.evaluate("""() => {
        window.heard = 0;
        const sound = window.AudioContext.prototype, made = sound.createOscillator;
        sound.createOscillator = function () { window.heard += 1; return made.call(this); };
    }""")
    end = "id => easel.tell('live', { type: 'job', id, state: 'done', problems: [], notes: [] })"
    page.evaluate(end, "a")
    page.get_by_role("tab", name="Settings").click()
    choice = page.locator("#settings_end_sound")
    choice.get_by_text("On", exact=True).click()
    expect(page.locator("#settings_state")).to_have_text("Saved", timeout=PATIENCE)
    chosen = page.evaluate("window.heard")
    assert chosen == 2, "the choice lets it be heard"
    page.evaluate(end, "b")
    page.evaluate(end, "b")
    assert page.evaluate("window.heard") == 4
    choice.get_by_text("Off", exact=True).click()
    page.wait_for_timeout(1000)
    page.evaluate(end, "c")
    assert page.evaluate("window.heard") == 4
