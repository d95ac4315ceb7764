"""Samplers' arithmetic for several pictures at once: the bits of each alone, in a fraction of the operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import backend.worker.engine.engine as engines
from backend.messages import Failed, Picture
from backend.sampling.noise import ImageNoise
from backend.sampling.protocol import Sampler
from backend.sampling.samplers import SAMPLERS
from backend.sampling.seeds import NoiseSpec
from backend.worker.draw import pipeline
from backend.worker.guidance.lazy_latents import Calculate, LazyLatent, calculate, calculated, lazy_noise
from tests.tiny.test_engine import BASE, Studio, house

__all__ = ["house"]
SHAPE = (4, 5, 7)
SIGMAS = [14.6, 7.0, 2.9, 1.1, 0.4, 0.03, 0.0]
HOUSE = [name for name, row in SAMPLERS.items() if not row.adaptive and not SAMPLERS.owner_of(name)]
VIEWS = ("unbind", "select", "detach", "alias", "view", "unsqueeze", "slice", "expand", "empty", "randn", "normal")


class Counted(TorchDispatchMode):
    """How many operations there were that write a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = operation._schema.name.removeprefix("aten::")
        if not name.startswith(VIEWS):
            self.names.append(name)
        return operation(*args, **(kwargs or {}))


def denoised(x: Tensor, sigma: float) -> Tensor:
    """Anything that differs between pictures."""
    return torch.tanh(x / (1 + sigma))


def noise_of(name: str, seed: int) -> tuple[ImageNoise, Callable[[float, float], Tensor]]:
    noise = ImageNoise(NoiseSpec(seed=seed), SHAPE)
    return noise, noise.brownian(0.03, 14.6) if SAMPLERS[name].brownian else noise


def started(name: str, seed: int, wrap: Callable[[Tensor], Any], sigmas: list[float], **options: Any) -> Sampler:
    noise, draws = noise_of(name, seed)
    x = wrap(noise.initial() * sigmas[0])
    return SAMPLERS[name].start(x, sigmas, draws if wrap is plain else lazy_noise(draws), **options)


def plain(x: Tensor) -> Tensor:
    return x


def alone(name: str, seed: int, sigmas: list[float] = SIGMAS, **options: Any) -> list[Tensor]:
    """What one picture shows the network, one after the other, and its end."""
    sampler, seen, sent = started(name, seed, plain, sigmas, **options), [], None
    while True:
        try:
            noisy = sampler.send(sent)
        except StopIteration as end:
            return [*seen, end.value]
        seen.append(noisy.x.clone())
        sent = denoised(noisy.x, noisy.sigma)
        if SAMPLERS[name].needs_uncond:
            sent = sent, sent * 0.9


def lazily(sampler: Sampler, pair: bool) -> Iterator[Any]:
    """The same with what is put off: yields what is to be calculated, and returns what was seen."""
    seen, sent = [], None
    while True:
        try:
            noisy = sampler.send(sent)
        except StopIteration as end:
            return [*seen, *(yield from calculated(end.value))]
        seen += yield from calculated(noisy.x)
        made = denoised(seen[-1], noisy.sigma)
        sent = (LazyLatent(made), LazyLatent(made * 0.9)) if pair else LazyLatent(made)


def together(pictures: list[Iterator[Any]], beside: AbstractContextManager[Any] | None = None) -> list[list[Tensor]]:
    """Each as far as it comes, all that wait at one time calculated at once, inside `beside`."""
    answers: dict[int, Any] = dict.fromkeys(range(len(pictures)))
    ends: dict[int, list[Tensor]] = {}
    while answers:
        asked: dict[int, Calculate] = {}
        for number, answer in answers.items():
            try:
                asked[number] = pictures[number].send(answer)
            except StopIteration as end:
                ends[number] = end.value
        with beside or nullcontext():
            answers = dict(zip(asked, calculate([*asked.values()]), strict=True))
    return [ends[number] for number in range(len(pictures))]


@pytest.mark.parametrize("name", HOUSE)
def test_every_sampler_gives_each_picture_the_bits_of_it_alone(name: str) -> None:
    pair = SAMPLERS[name].needs_uncond
    found = together([lazily(started(name, seed, LazyLatent, SIGMAS), pair) for seed in range(3)])
    for seed, mine in enumerate(found):
        expected = alone(name, seed)
        assert len(mine) == len(expected) and all(map(torch.equal, mine, expected))
    assert not torch.equal(found[0][-1], found[1][-1]), "each has its own noise"


@pytest.mark.parametrize(("name", "options"), [
    ("Euler", {"s_churn": 3.0, "s_noise": 1.01}), ("Heun", {"s_churn": 3.0}), ("DPM++ 2M SDE", {"eta": 0.0}), ("DPM++ SDE", {"eta": 0.6}),
    ("UniPC", {"variant": "bh2"}), ("DPM++ 2S a", {"eta": 0.5, "s_noise": 0.9}), ("DDIM", {"eta": 1.0})])
def test_with_other_options(name: str, options: dict[str, Any]) -> None:
    found = together([lazily(started(name, seed, LazyLatent, SIGMAS, **options), False) for seed in range(2)])
    assert all(all(map(torch.equal, mine, alone(name, seed, **options))) for seed, mine in enumerate(found))


def test_pictures_at_other_noise_levels_go_their_own_way_beside_the_others() -> None:
    short = [5.0, 2.0, 0.7, 0.0]
    found = together([lazily(started("DPM++ 2M", seed, LazyLatent, sigmas), False)
                      for seed, sigmas in ((1, SIGMAS), (2, short), (3, SIGMAS), (4, short))])
    expected = [alone("DPM++ 2M", seed, sigmas) for seed, sigmas in ((1, SIGMAS), (2, short), (3, SIGMAS), (4, short))]
    assert all(all(map(torch.equal, mine, own)) for mine, own in zip(found, expected, strict=True))


def test_a_picture_that_leaves_or_comes_later_changes_nothing_for_the_others() -> None:
    pictures = [lazily(started("DPM++ 3M SDE", seed, LazyLatent, SIGMAS), False) for seed in range(3)]
    expected = [alone("DPM++ 3M SDE", seed) for seed in range(3)]
    asked = [next(picture) for picture in pictures[:2]]
    for _ in range(3):
        answers = calculate(asked)
        asked = [picture.send(answer) for picture, answer in zip(pictures, answers, strict=False)]
    pictures[0].close()
    late = next(pictures[2])
    answers = calculate([asked[1], late])
    rest = together([partial_rest(pictures[1], answers[0]), partial_rest(pictures[2], answers[1])])
    assert all(map(torch.equal, rest[0], expected[1])) and all(map(torch.equal, rest[1], expected[2]))


def partial_rest(picture: Iterator[Any], answer: Any) -> Iterator[Any]:
    """A picture that has been asked already."""
    try:
        asked = picture.send(answer)
        while True:
            asked = picture.send((yield asked))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("name", ["Euler", "Euler a", "DPM++ 2M", "DPM++ 2M SDE", "DPM++ 3M SDE", "Heun", "UniPC", "LMS"])
def test_eight_pictures_take_hardly_more_operations_than_one(name: str) -> None:
    def count(pictures: int) -> int:
        counted = Counted()
        together([lazily(started(name, seed, LazyLatent, SIGMAS), False) for seed in range(pictures)], counted)
        return len(counted.names)

    one, eight = count(1), count(8)
    assert one < eight < 2 * one, (one, eight)


def test_0_and_minus_0_are_not_the_same() -> None:
    latents = [LazyLatent(torch.ones(1, 2, 2)) * zero for zero in (0.0, -0.0)]
    values = [found[0] for found in calculate([Calculate((latent,)) for latent in latents])]
    assert [float(torch.signbit(value).sum()) for value in values] == [0, 4]


def test_masks_and_sums_of_nothing() -> None:
    x, mask = torch.randn(4, 2, 2), torch.rand(1, 2, 2)
    latent = sum([LazyLatent(x) * mask]) - 0
    assert torch.equal(calculate([Calculate((latent, None, x))])[0][0], sum([x * mask]) - 0)


def test_what_has_been_calculated_is_not_calculated_again() -> None:
    latent = LazyLatent(torch.ones(4, 2, 2)) + 1
    calculate([Calculate((latent,))])
    with Counted() as again:
        calculate([Calculate((latent,))])
    assert not again.names


# In the engine.


def drawn(house: Any, request: Any) -> tuple[list[bytes], list[str]]:
    studio = Studio(house, "solo")
    studio.add("mine", request)
    with Counted() as counted:
        studio.run()
    assert not studio.of(Failed)
    return [picture.pixels for picture in sorted(studio.of(Picture), key=lambda picture: picture.index)], counted.names


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on samplers are given tensors, as those of extensions are."""
    def set_up() -> None:
        monkeypatch.setattr(pipeline, "LazyLatent", plain)
        monkeypatch.setattr(pipeline, "lazy_noise", lambda noise: noise)
    return set_up


@pytest.mark.parametrize("changes", [
    {"sampler": "Euler a"}, {"sampler": "DPM++ 2M SDE", "cfg_rescale": 0.5}, {"sampler": "DDIM CFG++"},
    {"sampler": "Heun", "steps": 2, "enable_hr": True, "denoising_strength": 0.6, "hr_upscaler": "Latent"}], ids=lambda changes: changes["sampler"])
def test_a_batch_is_the_one_by_one_way_to_the_bit(house: Any, one_by_one: Callable[[], None], changes: dict[str, Any]) -> None:
    request = BASE.replace(batch_size=3, **changes)
    joined = drawn(house, request)[0]
    one_by_one()
    assert joined == drawn(house, request)[0] and len(set(joined)) == 3


def test_a_batch_of_eight_takes_a_fraction_of_the_operations(house: Any, one_by_one: Callable[[], None]) -> None:
    request = BASE.replace(batch_size=8, sampler="DPM++ 2M", steps=6, prompt="a cat")
    counts = []
    for prepare in (lambda: None, one_by_one):
        prepare()
        _, names = drawn(house, request)
        counts.append(sum(name.split(".")[0] in ("add", "sub", "mul", "div", "rsub") for name in names))
    # The network's own are in both; 8 pictures x 6 steps x (3 to mix, 5 to step) became 6 x 8.
    assert counts[1] - counts[0] > 7 * 6 * 6, counts


def test_a_cancelled_picture_is_what_it_is_one_by_one_and_so_are_the_others(house: Any, one_by_one: Callable[[], None]) -> None:
    def pictures() -> list[tuple[str, bool, bytes]]:
        studio = Studio(house)
        for number, job in enumerate(("stays", "goes")):
            studio.add(job, BASE.replace(sampler="DPM++ 2M", steps=4, prompt="a cat", seed=number))
        while not any(program.call == 2 for program in studio.engine.programs):
            studio.step()
        studio.engine.cancel("goes")
        return [(each.job, each.unfinished, each.pixels) for each in studio.run().of(Picture)]

    joined = pictures()
    assert {(job, unfinished) for job, unfinished, _ in joined} == {("goes", True), ("stays", False)}
    one_by_one()
    assert joined == pictures()


def test_what_goes_wrong_in_arithmetic_of_several_is_done_for_each(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    request = BASE.replace(sampler="Euler a", batch_size=2)
    expected = drawn(house, request)[0]
    original = engines.calculate

    def narrow(asked: Any) -> Any:
        if len(asked) > 1:
            raise RuntimeError("out of memory")
        return original(asked)

    monkeypatch.setattr(engines, "calculate", narrow)
    assert drawn(house, request)[0] == expected
