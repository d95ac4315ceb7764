"""The page as a person meets it: what the tests say to it, in words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from playwright.sync_api import Locator, Page, expect

PATIENCE = 120_000  # ms; a picture on two busy cores
STILL = """async list => {
  list.lastElementChild.scrollIntoView({ block: "nearest" });
  for (let at = "", frames = 0; frames < 20; frames++) {
    await new Promise(requestAnimationFrame);
    const now = JSON.stringify([list.getBoundingClientRect(), list.textContent]);
    if (now !== at) [at, frames] = [now, 0];
  }
}"""


@dataclass(frozen=True)
class Studio:
    page: Page
    url: str
    tab: str = "txt2img"

    def open(self) -> Studio:
        self.page.goto(self.url)
        return self.settled()

    def settled(self) -> Studio:
        self.page.wait_for_selector("#worker[data-state]", timeout=PATIENCE)
        self.page.evaluate("async () => { window.easel = await import('easel'); }")     # for the tests to ask
        self.page.wait_for_function(f"easel.form('{self.tab}').restored", timeout=PATIENCE)
        return self

    def into(self, tab: str) -> Studio:
        """The same page, with another of its tabs open."""
        self.page.get_by_role("tab", name=tab).click()
        return replace(self, tab=tab)

    def ready(self) -> Studio:
        """The worker is up, so that a picture takes only its own time."""
        self.page.wait_for_selector("#worker[data-state='ready']", timeout=PATIENCE)
        return self

    def box(self, name: str) -> Locator:
        return self.page.locator(f"#{self.tab}_{name}")

    def field(self, name: str) -> Locator:
        return self.box(name).locator("input, textarea").first

    def fill(self, **values: object) -> None:
        for name, value in values.items():
            self.field(name).fill(str(value))

    def shows(self, **values: object) -> None:
        for name, value in values.items():
            expect(self.field(name)).to_have_value(str(value), timeout=PATIENCE)

    def button(self, name: str) -> Locator:
        return self.page.locator(f"#{self.tab}_{name}")

    def generate(self, **values: object) -> None:
        self.fill(**values)
        self.button("generate").click()

    @property
    def results(self) -> Locator:
        return self.page.locator(f"#{self.tab}_results")

    @property
    def rows(self) -> Locator:
        return self.results.locator(".queue .job")

    @property
    def tiles(self) -> Locator:
        return self.results.locator(".tile:not(.live)")

    @property
    def infotext(self) -> Locator:
        return self.results.locator(".infotext")

    @property
    def offered(self) -> Locator:
        """What the open list of a field has. Tiles of the results are options, too."""
        return self.page.locator("[role=listbox] > [role=option][data-index]")

    def queue_stands(self) -> None:
        """Its rows are in sight and have stood where they are for a while: the results follow a page that scrolls or grows."""
        self.results.locator(".queue-jobs").evaluate(STILL)

    def send_to(self, name: str) -> None:
        """The picture shown, by the menu of its places."""
        self.results.get_by_role("button", name="Send to …").click()
        self.page.get_by_role("menuitem", name=f"Send to {name}").click()

    def pictures(self) -> int:
        return self.page.evaluate("tab => easel.results(tab).list().length", self.tab)

    def wait_pictures(self, count: int) -> None:
        self.page.wait_for_function(
            "([tab, count]) => easel.results(tab).list().length >= count", arg=[self.tab, count], timeout=PATIENCE)

    def running(self) -> None:
        self.page.wait_for_selector(f"#{self.tab}_results .progress:not([hidden])", timeout=PATIENCE)

    def idle(self) -> None:
        self.page.wait_for_selector(f"#{self.tab}_results .progress", state="hidden", timeout=PATIENCE)

    def steps_done(self, steps: int) -> None:
        """The picture in work has made so many steps."""
        self.page.wait_for_function(
            "steps => Number(/tep (\\d+)/.exec(document.querySelector('.progress:not([hidden]) .progress-what')?.textContent)?.[1]) >= steps",
            arg=steps, timeout=PATIENCE)
