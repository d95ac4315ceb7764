"""Two people in two browsers at once: a picture by link, a shared board, a plot's link, and what only an admin sees."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, expect

from backend import Request
from backend.image import save
from tests.browser import drawing_worker
from tests.browser.conftest import DESKTOP, PHONE, free_port, wait_for
from tests.browser.test_axe import found
from tests.guest import Guest

SECRET = "the secret lighthouse"
PASSWORDS = {"root": "the root's secret", "ann": "ann's own secret", "bob": "bob's own secret"}
FLAGS = {"flo": "flo's own secret"}       # of --auth


@dataclass(frozen=True)
class Team:
    """An Easel with accounts; `doors` are the people's own front doors."""

    url: str
    doors: dict[str, Guest]

    def enter(self, chromium: Browser, name: str) -> Page:
        """A browser of its own in which this person has logged in."""
        page = chromium.new_context(viewport=DESKTOP, locale="en-US").new_page()
        page.goto(f"{self.url}login")
        page.locator("[name=name]").fill(name)
        page.locator("[name=password]").fill(PASSWORDS[name])
        page.keyboard.press("Enter")
        page.locator("#tab_history-button").wait_for()
        return page


OWN = "[localStorage, sessionStorage].flatMap(Object.keys).filter(key => key.includes('@'))"     # what is kept for a person


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    from backend import Backend, Settings
    from tests.browser.house import TwoCheckpoints, application, served

    folder, port = tmp_path_factory.mktemp("team"), free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "uploads"))
        backend = Backend(Settings(data=folder / "data", models=(folder / "models",), port=port, users=FLAGS, limits={"queued": 40, "disk": 2**30}),
                          catalog=TwoCheckpoints(folder), worker=drawing_worker.__name__)
        for name, role in (("root", "admin"), ("ann", "artist"), ("bob", "viewer")):
            backend.accounts.add(name, role, PASSWORDS[name])
        with served(application(backend), port) as url:
            wait_for(f"{url}login")
            yield Team(url, {name: Guest(backend, name) for name in PASSWORDS})
        backend.close()


def picture(door: Guest, seed: int) -> str:
    drawn = drawing_worker.picture(Request(width=256, height=192, seed=seed))
    text = f"{SECRET}\nSteps: 20, Sampler: Euler a, Seed: {seed}, Size: 256x192, Model: demo"
    out = io.BytesIO()
    drawn.save(out, "PNG", **save.metadata("PNG", text))
    return door.gallery.take_in(out.getvalue(), f"{seed}.png").id


def test_a_picture_by_link_and_a_board_between_two_browsers(team: Team, chromium: Browser) -> None:
    ann, bob = team.doors["ann"], team.doors["bob"]
    shown, hidden = picture(ann, 1), picture(ann, 2)
    for old in ann.gallery.boards():        # a first try has left it
        ann.gallery.delete_board(old.id)
    board = ann.gallery.create_board("pets").id
    ann.gallery.put_on_board(board, [shown])
    hers, his = team.enter(chromium, "ann"), team.enter(chromium, "bob")
    assert hers.locator("#tab_people-button").is_hidden() and his.locator("#tab_people-button").is_hidden()

    hers.locator("#tab_history-button").click()
    hers.locator(f'.shot[data-id="{shown}"] .shot-open').click()
    hers.locator("[data-details=share]").click()
    sheet = hers.get_by_role("dialog", name="Share the picture")
    expect(sheet).to_contain_text("Whoever can log in")
    sheet.get_by_role("button", name="Make a link and copy it").click()
    link = sheet.get_by_label("The link").input_value()
    his.goto(link)
    his.wait_for_function("document.querySelector('.one img')?.naturalWidth === 256")
    assert SECRET not in his.content() and his.locator("script").count() == 0
    with chromium.new_context() as stranger:
        assert "/login" in (page := stranger.new_page()).goto(link).url and page.locator(".one").count() == 0
    sheet.get_by_role("button", name="Take back").click()
    expect(sheet.get_by_label("The link")).to_have_count(0)
    assert his.goto(link).status == 404
    hers.keyboard.press("Escape")

    hers.locator(".board", has_text="pets").click(button="right")
    hers.get_by_role("menuitem", name="Share…").click()
    sheet = hers.get_by_role("dialog", name="Who sees this board")
    sheet.get_by_label("bob").check()
    sheet.get_by_role("button", name="Save").click()
    expect(hers.locator(".board.is-shared")).to_contain_text("pets")
    his.goto(team.url)
    his.locator("#tab_history-button").click()
    expect(his.locator(".shot")).to_have_count(0)
    his.locator(".board.of-others", has_text="pets").click()
    expect(his.locator(".shot")).to_have_count(1)
    his.locator(".shot-open").click()
    details = his.locator(".details")
    expect(details).to_contain_text("ann shows you this picture.")
    expect(details).to_contain_text(SECRET)
    for name in ("star", "boards", "bin", "share"):
        expect(details.locator(f"[data-details={name}]")).to_be_hidden()
    assert bob.gallery.boards_of_others() and his.evaluate("id => fetch(`/easel/image/${id}`).then(answer => answer.status)", hidden) == 404
    ann.gallery.put_in_bin([shown])
    his.reload()
    his.locator("#tab_history-button").click()
    expect(his.locator(".board.of-others")).to_contain_text("0")


def test_an_admin_manages_everybody_on_the_people_tab(team: Team, chromium: Browser) -> None:
    ann = team.doors["ann"]
    ann.door.pause()
    ann.submit("a cat that waits")
    page = team.enter(chromium, "root")
    page.locator("#tab_people-button").click()
    row = page.locator(".person", has_text="ann")
    expect(row).to_contain_text("1 / 40")
    expect(row).to_contain_text("paused")
    expect(page.locator(".people-queue")).to_contain_text("a cat that waits")
    page.locator(".person", has_text="bob").locator("select").select_option("artist")
    expect(page.locator(".people-log")).to_contain_text("artist")
    row.locator(".person-menu").click()
    page.get_by_role("menuitem", name="Limits…").click()
    sheet = page.get_by_role("dialog", name="Limits")
    sheet.get_by_label("Waiting jobs").fill("many")
    sheet.get_by_role("button", name="Save").click()
    expect(sheet.get_by_role("alert")).to_have_text("Waiting jobs must be a whole number, such as 200, 16M or, of bytes, 10GB.")
    expect(sheet.get_by_label("Waiting jobs")).to_have_attribute("aria-invalid", "true")
    expect(sheet.get_by_label("Waiting jobs")).to_be_focused()
    letters = "element => getComputedStyle(element).fontFamily"
    assert len({one.evaluate(letters) for one in (row, sheet, sheet.get_by_role("button", name="Save"), page.locator("#tab_people-button"))}) == 1
    sheet.get_by_label("Waiting jobs").fill("7")
    sheet.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("1 / 7")
    row.locator(".person-menu").click()
    page.get_by_role("menuitem", name="Limits…").click()
    expect(sheet.get_by_label("Waiting jobs")).to_have_value("7")
    expect(sheet.get_by_label("Disk")).to_have_attribute("placeholder", "as the operator says: 1GB")
    page.keyboard.press("Escape")
    page.locator(".people-queue").get_by_role("button", name="Cancel").click()
    expect(page.locator(".people-queue li")).to_have_count(0)
    page.locator(".people-words").fill("failed")
    expect(page.locator('[data-none="log"]')).to_be_visible()
    page.locator("[data-people=invite]").click()
    page.get_by_role("button", name="Make a link").click()
    assert "/join/" in page.get_by_role("dialog").locator("input").input_value()
    ann.door.pause(on=False)


def test_axe_finds_nothing_around_an_account_and_each_keeps_drafts_of_their_own(team: Team, chromium: Browser) -> None:
    ann, backend = team.doors["ann"], team.doors["ann"].backend
    link, invitation = ann.sharing.create("picture", picture(ann, 3), settings=True).token, backend.invitations.make("viewer")
    backend.accounts.set_role("bob", "viewer")
    page = chromium.new_context(viewport=DESKTOP, locale="en-US").new_page()

    def clean(path: str) -> None:
        page.goto(f"{team.url}{path}")
        page.emulate_media(color_scheme="light")
        assert found(page) == [], path
        page.set_viewport_size(PHONE)
        page.emulate_media(color_scheme="dark")
        assert found(page) == [] and page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        page.set_viewport_size(DESKTOP)

    def log_in(name: str) -> set[str]:
        page.goto(f"{team.url}login")
        page.locator("[name=name]").fill(name)
        page.locator("[name=password]").fill(PASSWORDS[name])
        page.keyboard.press("Enter")
        page.wait_for_function("Object.keys(localStorage).some(key => key.endsWith(`@${document.documentElement.dataset.user}`))")
        return set(page.evaluate("Object.keys(localStorage).filter(key => key.includes('.form.'))"))

    for path in ("login", f"join/{invitation}", "join/gone"):
        clean(path)
    bobs = log_in("bob")
    page.evaluate("sessionStorage.setItem('easel.of.this.tab@' + document.documentElement.dataset.user, '1')")
    expect(page.locator(".history-empty")).to_contain_text("This account draws no pictures")
    for tab in ("txt2img", "img2img", "extras"):
        expect(page.locator(f"#tab_{tab}-button")).to_be_hidden()
    page.goto(f"{team.url}#/img2img")
    page.reload()
    expect(page.locator(".history-empty")).to_contain_text("This account draws no pictures")
    expect(page.locator("[data-history=import]")).to_be_hidden()
    page.locator("#tab_settings-button").click()
    expect(page.locator(".setting-sheet:visible h2")).to_have_text(["Look", "About this Easel"])
    page.locator(".settings-search").fill("previews")
    expect(page.locator(".settings-none")).to_be_visible()
    page.locator(".settings-search").fill("")
    assert found(page) == []
    for path in ("account", f"share/{link}", "share/gone"):
        clean(path)
    page.goto(f"{team.url}account")
    page.get_by_role("button", name="Log out", exact=True).click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert bobs and not page.evaluate(OWN), "who has logged out leaves nothing"
    page.evaluate("for (const storage of [localStorage, sessionStorage]) storage.setItem('easel.form.txt2img@u0123456789abcdef', '{}')")
    roots = log_in("root")
    assert roots and not roots & bobs and page.evaluate("Object.keys(sessionStorage).every(key => !key.includes('@u0123'))"), "nor is anything there of who went without"
    page.locator("#user_menu").click()
    page.get_by_role("menuitem", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert not page.evaluate(OWN) and log_in("root") == roots
    page.emulate_media(color_scheme="light")
    page.locator("#tab_people-button").click()
    expect(page.locator(".person", has_text="flo")).to_contain_text("changed there")
    assert found(page) == []
    page.locator("#user_menu").click()
    box = page.get_by_role("menu").bounding_box()
    assert box and box["x"] + box["width"] <= page.evaluate("document.documentElement.getBoundingClientRect().right") - 8
    page.keyboard.press("Escape")
    page.set_viewport_size(PHONE)
    assert found(page) == []
