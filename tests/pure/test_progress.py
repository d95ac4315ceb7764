"""Fraction, time left, previews and throttling of a running job."""

import pytest

from backend.dispatch.progress import PUBLISH_SECONDS, LiveJobs
from backend.http.api.schemas import progress
from backend.store.view_types import Live


class Stage:
    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Live] = []
        self.jobs = LiveJobs(lambda owner, live: self.told.append(live), lambda: self.now)

    def step(self, index: int, step: int, steps: int = 10, seconds: float = 1.0) -> Live:
        self.now += seconds
        self.jobs.step("j", index, step, steps)
        return self.jobs.get("j")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_fraction_and_time_left(stage):
    stage.jobs.begin("j", "ann", 2, (0, 1))
    assert stage.jobs.get("j").eta is None
    assert stage.step(0, 1).eta is None
    live = stage.step(0, 2)
    assert live.fraction == pytest.approx(0.1) and live.eta == pytest.approx(18)
    for step in range(3, 11):
        stage.step(0, step)
    stage.jobs.picture_over("j", 0)
    live = stage.jobs.get("j")
    assert (live.done, live.fraction, live.eta) == (1, pytest.approx(0.5), pytest.approx(10))


def test_pictures_of_before_count_into_the_fraction_but_not_into_the_pace(stage):
    stage.jobs.begin("j", "ann", 4, (2, 3))
    assert (stage.jobs.get("j").done, stage.jobs.get("j").fraction) == (2, 0.5)
    stage.step(2, 1)
    live = stage.step(2, 2)
    assert live.fraction == pytest.approx(0.55) and live.eta == pytest.approx(18)


def test_pictures_side_by_side_add_up(stage):
    stage.jobs.begin("j", "ann", 2, (0, 1))
    stage.step(0, 5)
    live = stage.step(1, 5)
    assert live.fraction == pytest.approx(0.5)


def test_loading_time_is_not_part_of_the_pace(stage):
    stage.jobs.begin("j", "ann", 1, (0,))
    stage.jobs.message(["j", "unknown"], "loading demo")
    assert stage.told[-1].message == "loading demo"
    stage.step(0, 1, seconds=500)
    live = stage.step(0, 2)
    assert live.eta == pytest.approx(8) and live.message == ""


def test_previews_count_up(stage):
    stage.jobs.begin("j", "ann", 1, (0,))
    assert stage.jobs.preview("j") is None
    stage.jobs.show("j", 0, b"one")
    stage.jobs.show("j", 0, b"two")
    assert stage.jobs.get("j").preview == 2 and stage.jobs.preview("j") == b"two"


def test_of_pictures_side_by_side_the_first_is_told_and_seen_until_it_is_over(stage):
    stage.jobs.begin("j", "ann", 3, (0, 1, 2))
    for index in (0, 1, 2):
        stage.step(index, 1)
        stage.jobs.show("j", index, b"%d" % index)
    live = stage.step(2, 2)
    assert (live.index, live.step, live.preview, live.preview_index) == (0, 1, 1, 0) and stage.jobs.preview("j") == b"0"
    stage.jobs.picture_over("j", 0)
    live = stage.step(1, 2)
    stage.jobs.show("j", 2, b"2 again")
    assert (live.index, live.step) == (1, 2)
    live = stage.jobs.get("j")
    assert (live.preview, live.preview_index) == (2, 2)


def test_pages_hear_at_most_five_times_a_second_and_always_of_the_end(stage):
    stage.jobs.begin("j", "ann", 1, (0,))
    for step in range(1, 101):
        stage.step(0, step, 100, seconds=0.01)
    assert 1 / PUBLISH_SECONDS <= len(stage.told) <= 1 / PUBLISH_SECONDS + 2
    assert stage.told[-1].step == 100


def test_what_came_too_soon_to_be_told_is_told_when_nothing_follows_it(stage):
    stage.jobs.begin("j", "ann", 1, (0,))
    stage.step(0, 1)
    stage.jobs.show("j", 0, b"at step 1")
    assert stage.told[-1].preview == 0
    stage.now += PUBLISH_SECONDS
    stage.jobs.catch_up(["j", "unknown"])
    assert stage.told[-1].preview == 1
    stage.now += PUBLISH_SECONDS
    stage.jobs.catch_up(["j"])
    assert len(stage.told) == 2, "what was told already is not told again"


def test_words_about_unknown_jobs_are_ignored(stage):
    stage.jobs.step("x", 0, 1, 10)
    stage.jobs.show("x", 0, b"")
    stage.jobs.picture_over("x", 0)
    stage.jobs.end("x")
    assert stage.jobs.get("x") is None and not stage.told


def test_programs_are_not_told_of_steps_that_nobody_knows_yet(stage):
    stage.jobs.begin("j", "ann", 1, (0,))
    stage.jobs.message(["j"], "Loading demo")
    before = progress(stage.jobs.get("j"))
    assert (before.step, before.steps, before.message) == (0, None, "Loading demo")
    after = progress(stage.step(0, 1))
    assert (after.step, after.steps) == (1, 10)
