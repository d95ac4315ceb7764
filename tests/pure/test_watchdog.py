"""When a worker is ended, told with a clock that the test turns."""

import pytest

from backend.dispatch import watchdog
from backend.dispatch.watchdog import Watchdog
from backend.messages import Alive, Cancelled, Loading, Opening, Preprocessed, Progress, Ready, Waiting


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


def test_to_wait_for_a_machine_is_no_start_however_long_and_the_start_counts_from_its_end(clock):
    dog = Watchdog(clock)
    for _ in range(10):
        clock.now += watchdog.START_SECONDS - 1
        dog.on_event(Waiting())
        assert dog.verdict() is None
    dog.on_event(Waiting(done=True))
    clock.now += watchdog.START_SECONDS + 1
    assert "no sign of life" in dog.verdict().why


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


@pytest.mark.parametrize("activity", ["loading", "compiling"])
def test_a_model_is_loaded_and_compiled_to_its_end_before_a_cancel_counts(dog, clock, activity):
    dog.cancel("1")
    dog.on_event(Alive(activity, ("1",), 1.0))
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


# ---- in whose code it was ----


def signs(dog: Watchdog, clock: Clock, seconds: int, extension: str, since: float = 0.0) -> None:
    for second in range(seconds):
        clock.now += 1
        dog.on_event(Alive("preparing", ("1",), since + second, extension))


def test_an_extension_that_keeps_the_worker_is_found_out(dog, clock):
    signs(dog, clock, int(watchdog.EXTENSION_SECONDS), "extensions.slow")
    assert dog.verdict() is None
    signs(dog, clock, 2, "extensions.slow", watchdog.EXTENSION_SECONDS)
    verdict = dog.verdict()
    assert (verdict.extension, verdict.jobs, verdict.blames) == ("extensions.slow", ("1",), True) and "slow kept it for 5 minutes" in verdict.why


def test_an_extension_that_is_called_again_and_again_is_well(dog, clock):
    for _ in range(100):
        signs(dog, clock, 10, "extensions.busy")        # each time the seconds begin anew
        assert dog.verdict() is None
    signs(dog, clock, 1000, "")
    assert dog.verdict() is None


@pytest.mark.parametrize("seconds, blamed", [(1, ""), (3, "extensions.eats")])
def test_who_dies_in_an_extensions_code_dies_of_it(dog, clock, seconds, blamed):
    signs(dog, clock, seconds, "extensions.eats")       # one sign alone may be chance
    verdict = dog.ended("it was killed")
    assert (verdict.extension, verdict.jobs) == (blamed, ("1",) if blamed else ())


def test_a_cancel_that_an_extension_does_not_let_through_is_its_fault(dog, clock):
    dog.cancel("1")
    signs(dog, clock, int(watchdog.CANCEL_SECONDS) + 1, "extensions.deaf")
    assert dog.verdict().extension == "extensions.deaf" and not dog.verdict().blames


def test_a_cancel_that_is_late_for_another_reason_is_not(dog, clock):
    dog.cancel("1")
    signs(dog, clock, int(watchdog.CANCEL_SECONDS) - 2, "")
    signs(dog, clock, 3, "extensions.innocent", watchdog.CANCEL_SECONDS)
    assert dog.verdict() and not dog.verdict().extension


def test_what_is_being_loaded_when_the_worker_dies_was_it(clock):
    dog = Watchdog(clock)
    dog.on_event(Opening("extensions.first"))
    dog.on_event(Opening("extensions.kills"))
    assert dog.ended("it was killed").extension == "extensions.kills"
    dog.on_event(Opening(""))
    assert dog.ended("it was killed").extension == ""
    dog.on_event(Opening("extensions.kills"))
    dog.on_event(Ready("fake", "float32"))
    assert dog.ended("it was killed").extension == ""
