"""Pictures are encoded and decoded beside the next steps: by a stand-in for a card's second stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import backend.worker.engine.engine as engines
from backend.errors import EaselError
from backend.messages import Cancelled, Done, Failed, Picture, Progress, Run
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.side_stream import Later, NoStream, Reading, at_once, within
from tests.tiny.test_engine import BASE, Studio, house
from tests.tiny.test_init_image import FROM, INIT, picture, png

__all__ = ["house"]
REQUEST = BASE.replace(prompt="a cat", sampler="Euler", steps=3)


class Slow(NoStream):
    """Copies arrive when `arrived` says so; somebody who waits for one has it, and is noted."""

    def __init__(self) -> None:
        self.arrived, self.waits, self.inside, self.asked, self.read = False, 0, False, 0, []

    @contextmanager
    def beside(self, reads: Sequence[Tensor]) -> Iterator[None]:
        assert not self.inside
        self.inside = True
        self.read += reads
        try:
            yield
        finally:
            self.inside = False

    def fetch(self, tensors: Sequence[Tensor]) -> Copies:
        self.asked += 1
        return Copies(self, tensors)

    def wait(self) -> bool:
        return not self.arrived


class Copies:
    """See `Slow`."""

    def __init__(self, stream: Slow, tensors: Sequence[Tensor]) -> None:
        self._stream, self._tensors = stream, [tensor.clone() for tensor in tensors]

    @property
    def is_there(self) -> bool:
        return self._stream.arrived

    def wait(self) -> Sequence[Tensor]:
        self._stream.waits += not self._stream.arrived
        return self._tensors


@pytest.fixture
def slow(house: Any, monkeypatch: pytest.MonkeyPatch) -> Slow:
    stream = Slow()
    monkeypatch.setattr(house[0], "side", stream)
    return stream


def twice(seen: list[float]) -> Reading[str]:
    for _ in range(2):
        [number] = yield [torch.ones(())]
        seen.append(float(number))
    return "result"


# One piece of work.


def test_what_is_looked_at_arrives_part_by_part() -> None:
    stream, seen = Slow(), []
    later = Later(twice(seen), stream, [torch.zeros(3)])
    assert not later.is_there and not seen and len(stream.read) == 1
    stream.arrived = True
    assert later.is_there and seen == [1.0, 1.0] and later.get() == "result" and not stream.waits


def test_who_needs_it_waits() -> None:
    stream, seen = Slow(), []
    assert Later(twice(seen), stream).get() == "result" and stream.waits == 2
    assert at_once(twice(seen)) == Later(twice(seen), NoStream()).get() == "result"


def test_an_error_at_once_is_raised_at_once_and_a_later_one_where_it_is_asked_for() -> None:
    def fails(after: int) -> Reading[None]:
        for _ in range(after):
            yield []
        raise EaselError("broken")

    with pytest.raises(EaselError):
        Later(fails(0), Slow())
    stream = Slow()
    later = Later(fails(1), stream)
    stream.arrived = True
    assert later.is_there
    for _ in range(2):
        with pytest.raises(EaselError, match="broken"):
            later.get()


def test_a_context_is_left_while_something_is_awaited() -> None:
    log: list[str] = []

    @contextmanager
    def inside() -> Iterator[None]:
        log.append("in")
        yield
        log.append("out")

    later = Later(within(inside, twice([])), Slow())
    assert log == ["in", "out"] and later.get() == "result" and log == ["in", "out"] * 3


# In the engine.


def begun(studio: Studio, stream: Slow, number: int = 1) -> None:
    """Until so many pieces of work are on their way."""
    while stream.asked < number:
        assert studio.step()


def calls(studio: Studio, job: str) -> int:
    return len(studio.of(Progress, job))


@pytest.mark.parametrize("policy", ["packed", "solo"])
def test_another_job_is_drawn_meanwhile(house: Any, slow: Slow, policy: str) -> None:
    plain = Studio((Memory(house[0].placement), house[1]), policy)
    studio = Studio(house, policy)
    for each in (plain, studio):
        each.add("short", REQUEST.replace(steps=1)), each.add("long", REQUEST.replace(steps=4))
    begun(studio, slow)
    while calls(studio, "long") < 4:
        studio.step()
    assert not studio.of(Picture) and not slow.waits, "nobody has waited"
    slow.arrived = True
    assert [e.job for e in studio.run().of(Done)] == [e.job for e in plain.run().of(Done)]
    assert all(studio.pixels(job) == plain.pixels(job) for job in ("short", "long"))


def test_the_next_batch_begins_meanwhile_but_not_what_may_draw_on(house: Any, slow: Slow) -> None:
    for changes, others in (({}, 4), ({"enable_hr": True, "hr_upscaler": "Lanczos", "denoising_strength": 0.5}, 0)):
        slow.asked, slow.arrived = 0, False
        studio = Studio(house, "solo")
        studio.add("first", REQUEST.replace(steps=1, **changes)), studio.add("second", REQUEST.replace(steps=4))
        begun(studio, slow)
        before = slow.waits
        while calls(studio, "second") < others:
            studio.step()
        assert slow.waits == before and not studio.of(Picture)
        slow.arrived = True
        assert len(studio.run().of(Done)) == 2


def test_other_checkpoints_wait_until_the_picture_is_there(house: Any, slow: Slow) -> None:
    studio = Studio(house, "solo")
    studio.add("first", REQUEST.replace(steps=1)), studio.add("second", REQUEST, checkpoint="second")
    begun(studio, slow)
    studio.step()
    assert slow.waits and studio.of(Picture, "first") and not calls(studio, "second")
    assert len(studio.run().of(Done)) == 2


def test_it_is_waited_for_when_there_is_nothing_else_to_do(house: Any, slow: Slow) -> None:
    studio = Studio(house, "solo")
    studio.add("mine", REQUEST)
    assert studio.run().of(Done) and slow.waits


def test_a_cancelled_picture_is_delivered_and_a_failed_job_gets_nothing(house: Any, slow: Slow) -> None:
    studio = Studio(house)
    studio.add("mine", REQUEST.replace(steps=1))
    begun(studio, slow)
    studio.engine.cancel("mine")
    assert len(studio.run().of(Picture, "mine")) == 1 and studio.of(Cancelled)
    studio.add("broken", REQUEST.replace(steps=1)), studio.add("other", REQUEST.replace(steps=2))
    before = slow.asked
    begun(studio, slow, before + 1)
    [task] = [task for task in studio.engine.tasks.values() if task.run.job == "broken"]
    studio.engine._fail(task, EaselError("broken elsewhere"))
    assert studio.engine.beside and studio.run().of(Done, "other")
    assert not studio.of(Picture, "broken") and not studio.engine.beside


def test_networks_that_are_at_work_are_not_moved(house: Any, slow: Slow) -> None:
    studio = Studio(house)
    studio.add("mine", REQUEST.replace(steps=1))
    begun(studio, slow)
    [program] = studio.engine.programs
    studio.engine._close(program)
    model = studio.memory.get(house[1]["first"])
    assert any(each is model for pinned in studio.memory._pins.values() for each in pinned)
    studio.engine._come(studio.engine.beside[0], wait=True)
    assert not any(each is model for pinned in studio.memory._pins.values() for each in pinned)


def test_a_latent_that_is_not_finite_fails_its_own_job(house: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    original = engines.Codec.decode

    def poisoned(self: Any, by: Any, works: Sequence[Any]) -> Any:
        if len(works) > 1 or works[0].latent.std() > 0:
            for work in works[:1]:
                work.latent.fill_(float("nan"))
        return original(self, by, works)

    monkeypatch.setattr(engines.Codec, "decode", poisoned)
    studio = Studio(house)
    studio.add("mine", REQUEST.replace(steps=1))
    slow.arrived = True
    assert "finite" in studio.run().of(Failed, "mine")[0].problems[0].message


def test_memory_that_runs_out_later_means_tiles(house: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(self: Model, latent: Tensor) -> Reading[np.ndarray]:
        yield [torch.ones(())]
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Model, "decoding", short)
    studio = Studio(house)
    studio.add("mine", REQUEST.replace(steps=1))
    assert any("decoded in tiles" in note for note in studio.run().of(Picture)[0].notes)


def test_pictures_that_start_from_one_are_encoded_once_beside_the_steps(
    house: Any, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    encoding: Callable[..., Any] = Model.encoding
    monkeypatch.setattr(Model, "encoding", lambda self, pixels, noise=None: looked.append(1) or encoding(self, pixels, noise))
    studio = Studio(house)
    studio.add("drawing", REQUEST.replace(steps=9))
    while calls(studio, "drawing") < 2:
        studio.step()
    start = FROM.replace(batch_size=2, seed=977)
    run = Run("from", "local", start, (0, 1), {("checkpoint", ""): house[1]["first"]}, {INIT: png(picture(70, 64))})
    studio.engine.add(run)
    begun(studio, slow)
    while calls(studio, "drawing") < 6:
        studio.step()
    assert len(looked) == 1 and not calls(studio, "from") and not slow.waits
    slow.arrived = True
    assert len(studio.run().of(Picture, "from")) == 2 and len(looked) == 1
