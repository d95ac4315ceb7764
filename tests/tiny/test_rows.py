"""Rows: what may share a call, what is never parted, and what else a network can be asked while it is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

import backend.worker.engine.engine as engines
from backend.messages import Failed, Picture
from backend.worker.adapters.adapter import Use, Watched
from backend.worker.device import place
from backend.worker.guidance.hooks import Hook
from backend.worker.guidance.preconditioning import denoise
from backend.worker.guidance.row import Group, Row, units, whole
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.vae import encoding
from tests.tiny import toy_family
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_engine import BASE, Studio, house

__all__ = ["house"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> toy_family.Toy:
    torch.set_num_threads(1)
    return toy_family.loaded(tmp_path_factory.mktemp("toy"), place("cpu", exact=True))


def row(model: Model, seed: int = 0, **more: object) -> Row:
    x = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return Row(x, 2.0, model.encode_text("a cat"), model, model.parametrisation, **more)


@dataclass(eq=False)
class Shift:
    """An adapter that moves the network's output by the row's strength, and tells the mean of it."""

    def attach(self, model: Model, rows: Sequence[Row], uses: Sequence[Use]):
        @contextmanager
        def attached() -> Iterator[list[Watched]]:
            seen: list[Watched] = [{} for _ in rows]

            def moved(module: torch.nn.Module, given: object, output: Tensor) -> Tensor:
                for asked, found, answer in zip(rows, seen, output, strict=True):
                    if asked.watch:
                        found["mean"] = answer.mean()
                return output + torch.tensor([use.strength for use in uses]).view(-1, 1, 1, 1)

            handle = model.denoiser.register_forward_hook(moved)
            try:
                yield seen
            finally:
                handle.remove()

        return attached()


@torch.inference_mode()
def test_each_row_has_its_own_strength_and_nothing_stays(model: toy_family.Toy) -> None:
    adapter, plain = Shift(), denoise([row(model)])[0].denoised
    rows = [row(model, uses=(Use(adapter, strength),)) for strength in (0.0, 1.0, -2.0)]
    assert len({each.key for each in rows}) == 1, "strengths do not keep rows apart"
    answers = [answer.denoised for answer in denoise(rows)]
    c_out = model.parametrisation.scalings(2.0).c_out
    for answer, strength in zip(answers, (0.0, 1.0, -2.0), strict=True):
        assert torch.allclose(answer, plain + c_out * strength, atol=1e-6)
    assert torch.equal(denoise([row(model)])[0].denoised, plain) and not model.denoiser._forward_hooks


@torch.inference_mode()
def test_watched_things_come_back_with_the_row_that_asked(model: toy_family.Toy) -> None:
    answers = denoise([row(model, uses=(Use(Shift()),), watch=True)])
    assert answers[0].watched.keys() == {"mean"}
    assert denoise([row(model, uses=(Use(Shift()),))])[0].watched == {}


def test_what_keeps_rows_apart(model: toy_family.Toy, tmp_path) -> None:
    plain, adapter = row(model), Shift()
    other = toy_family.loaded(tmp_path, model.placement)
    apart = [
        replace(plain, model=other), replace(plain, tiling=True), replace(plain, watch=True), replace(plain, group=Group(2)),
        replace(plain, encoded=model.encode_text("longer words")), replace(plain, uses=(Use(adapter),)),
        replace(plain, uses=(Use(Shift()),)), replace(plain, uses=(Use(adapter, 1.0, (torch.ones(2),)),)),
        replace(plain, x=torch.zeros(3, 6, 8)), replace(plain, channels=torch.zeros(1, 6, 6)),
    ]
    assert len({plain.key, *(each.key for each in apart)}) == len(apart) + 1
    assert replace(plain, sigma=9.0, role="uncond").key == plain.key


def test_groups_are_never_cut(model: toy_family.Toy) -> None:
    pair, trio, alone = Group(2), Group(3), row(model)
    rows = [*[replace(alone, group=pair)] * 2, alone, *[replace(alone, group=trio)] * 3, alone]
    assert units(rows) == [2, 1, 3, 1]
    assert [whole(rows, most) for most in (1, 2, 3, 4, 5, 6, 7)] == [2, 2, 3, 3, 3, 6, 7]


class Paired(Hook):
    """Its rows need each other."""

    def rows(self, noisy, rows):
        group = Group(len(rows))
        return [replace(each, group=group) for each in rows]


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_the_engine_keeps_groups_whole_even_where_memory_is_short(house, monkeypatch, policy) -> None:
    monkeypatch.setattr("backend.worker.draw.pipeline.hooks_for", lambda request: [Paired()])
    original, calls = engines.denoise, []

    def short(rows: Sequence[Row]) -> list:
        groups = [each.group for each in rows if each.group]
        assert all(groups.count(group) == group.size for group in groups), "a group was cut"
        calls.append(len(rows))
        if len(rows) > 3:
            raise RuntimeError("can't allocate memory")
        return original(rows)

    monkeypatch.setattr(engines, "denoise", short)
    studio = Studio(house, policy)
    studio.add("mine", BASE.replace(batch_size=3, steps=2))
    studio.run()
    assert len(studio.of(Picture)) == 3 and not studio.of(Failed) and max(calls) > 3


def test_a_checkpoint_replaced_in_the_middle_shares_no_call_and_keeps_its_hash(tmp_path, monkeypatch) -> None:
    from backend.catalog.model_catalog import ModelCatalog

    folder = tmp_path / "checkpoints" / "first"
    save_folder(tiny(seed=0), folder)
    memory = Memory(place("cpu", exact=True))

    def listed() -> dict:
        return {found.key: found for found in ModelCatalog((tmp_path,)).scan()}

    studio, original, mixed = Studio((memory, listed())), engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: mixed.append(len({id(r.model) for r in rows})) or original(rows))
    studio.add("old", BASE.replace(steps=8))
    for _ in range(4):
        studio.step()
    save_folder(tiny(seed=1), folder)
    studio.checkpoints = listed()
    studio.add("new", BASE.replace(steps=8))
    studio.run()
    assert set(mixed) == {1}
    old, new = (studio.of(Picture, job)[0] for job in ("old", "new"))
    assert old.facts["Model hash"] != new.facts["Model hash"] and old.pixels != new.pixels


def test_an_inpainting_network_encodes_grey_once_for_all_its_calls(tmp_path, monkeypatch) -> None:
    from backend.catalog.model_catalog import ModelCatalog

    save_folder(tiny(in_channels=9), tmp_path / "checkpoints" / "first")
    counted: list[int] = []
    monkeypatch.setattr("backend.worker.models.autoencoder.vae.encoding", lambda *given: counted.append(1) or encoding(*given))
    checkpoints = {found.key: found for found in ModelCatalog((tmp_path,)).scan()}
    studio = Studio((Memory(place("cpu", exact=True)), checkpoints))
    studio.add("mine", BASE.replace(steps=5, batch_size=2))
    studio.run()
    assert len(studio.of(Picture)) == 2 and len(counted) == 1, studio.of(Failed)


@torch.inference_mode()
def test_lcm_draws_by_its_consistency_function(house) -> None:
    """Its rows carry it: the timesteps are those of the fifty levels."""
    from backend.sampling.parametrisation import Consistency
    from backend.worker.draw.pipeline import draw
    from backend.worker.draw.plan import plan
    from backend.worker.engine.program_building import canvas_of
    from backend.worker.guidance.lazy_latents import Calculate, calculate

    model = house[0].get(house[1]["first"])
    for sampler, lcm in (("LCM", True), ("Euler a", False)):
        request = BASE.replace(sampler=sampler, schedule="Automatic", steps=4)
        program = draw(plan(request, model.parametrisation.table), canvas_of(request, model, None), lambda *heard: None)
        program.send(None)
        work, seen = program.send(lambda first_pass: None), []       # nobody else wants it
        work = program.send([work.model.encode_text(text, settings) for text, settings, _ in work.texts])
        while isinstance(work, list | Calculate):
            if isinstance(work, Calculate):
                work = program.send(calculate([work])[0])
                continue
            assert all(isinstance(each.parametrisation, Consistency) == lcm for each in work)
            seen.append(work[0].parametrisation.scalings(work[0].sigma).timestep)
            work = program.send(denoise(work))
        assert not lcm or seen == [999, 679, 339, 19]
