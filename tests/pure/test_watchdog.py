"""When a worker is ended, told with a clock that the test turns."""

import pytest

from backend.dispatch import watchdog
from backend.dispatch.watchdog import Watchdog
from backend.messages import Alive, Cancelled, Loading, Preprocessed, Progress, Ready


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dog(clock: Clock) -> Watchdog:
    dog = Watchdog(clock)
    dog.on_event(Ready("fake", "float32"))
    return dog


def test_a_worker_that_gives_signs_of_life_lives(dog, clock):
    for _ in range(1000):
        clock.now += watchdog.SILENT_SECONDS / 2
        dog.on_event(Alive("denoising", ("1",), 5.0))
        assert dog.verdict() is None


def test_a_silent_worker_is_ended_and_blamed(dog, clock):
    clock.now += watchdog.SILENT_SECONDS + 1
    assert dog.verdict().blames and "no sign of life" in dog.verdict().why


def test_a_worker_may_take_longer_to_start(clock):
    dog = Watchdog(clock)
    clock.now += watchdog.SILENT_SECONDS + 1
    assert dog.verdict() is None
    clock.now += watchdog.START_SECONDS
    assert dog.verdict().blames


def test_a_cancel_that_is_not_obeyed_ends_the_worker_without_blame(dog, clock):
    dog.cancel("1")
    dog.cancel("2")
    dog.on_event(Cancelled("2"))
    clock.now += watchdog.CANCEL_SECONDS - 1
    dog.on_event(Progress("1", 0, 1, 20))
    assert dog.verdict() is None
    clock.now += 2
    assert not dog.verdict().blames and "cancel" in dog.verdict().why
    dog.on_event(Cancelled("1"))
    assert dog.verdict() is None


def test_a_half_drawn_picture_may_be_decoded_for_a_while_after_a_cancel(dog, clock):
    dog.cancel("1")
    clock.now += watchdog.CANCEL_SECONDS + 1
    dog.on_event(Alive("decoding", ("1",), watchdog.DECODING_SECONDS - 1))
    assert dog.verdict() is None
    dog.on_event(Alive("decoding", ("1",), watchdog.DECODING_SECONDS + 1))
    assert "cancel" in dog.verdict().why and not dog.verdict().blames


def test_a_cancel_asked_for_again_and_again_is_not_put_off(dog, clock):
    for _ in range(12):
        dog.cancel("1")
        clock.now += watchdog.CANCEL_SECONDS / 10
    assert dog.verdict() is not None


def test_a_model_is_loaded_to_its_end_before_a_cancel_counts(dog, clock):
    dog.cancel("1")
    dog.on_event(Alive("loading", ("1",), 1.0))
    clock.now += watchdog.CANCEL_SECONDS + 1
    assert dog.verdict() is None
    dog.on_event(Loading("demo", done=True))
    dog.on_event(Alive("denoising", ("1",), 0.1))
    assert dog.verdict() is not None


@pytest.mark.parametrize(("activity", "seconds", "ended"), [
    ("denoising", watchdog.STUCK_SECONDS["denoising"] - 1, False), ("denoising", watchdog.STUCK_SECONDS["denoising"] + 1, True),
    ("decoding", watchdog.STUCK_OTHERWISE + 1, True), ("idle", 10**6, False),
])  # fmt: skip
def test_a_worker_that_is_in_the_middle_of_one_thing_for_hours_is_ended(dog, activity, seconds, ended):
    dog.on_event(Alive(activity, ("1",), seconds))
    assert bool(dog.verdict()) == ended


def test_a_worker_that_stays_at_a_preprocessing_that_nobody_waits_for_is_ended_without_blame(dog, clock):
    dog.unwanted("1/a")
    for doing, lives in ((("2/b",), True), (("1/a",), False), ((), True)):
        clock.now += watchdog.CANCEL_SECONDS + 1
        dog.on_event(Alive("preparing", doing, 30.0))
        assert (dog.verdict() is None) == lives
    dog.on_event(Alive("preparing", ("1/a",), 30.0))
    assert not dog.verdict().blames and "cancel" in dog.verdict().why
    dog.on_event(Preprocessed("1/a"))
    assert dog.verdict() is None


def test_a_cancelled_job_in_the_middle_of_its_preprocessor_ends_the_worker_without_blame(dog, clock):
    dog.cancel("1")
    clock.now += watchdog.CANCEL_SECONDS + 1
    dog.on_event(Alive("loading", ("1",), 30.0))
    assert dog.verdict() is None
    dog.on_event(Alive("preparing", ("1",), 30.0))
    assert not dog.verdict().blames and "cancel" in dog.verdict().why
