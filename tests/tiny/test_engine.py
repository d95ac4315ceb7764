"""The engine's laws, on a tiny random network: who is beside you never matters, and one job's trouble stays its own."""

import asyncio
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

import backend.worker.engine.admission as admission
import backend.worker.engine.engine as engines
from backend.catalog.call_estimate import NO_LIMITS, DeviceLimits
from backend.catalog.model_catalog import ModelCatalog
from backend.messages import Cancelled, Done, Failed, Loading, Picture, Preview, Progress, Run, Skipped
from backend.request.request import Request
from backend.sampling.samplers import SAMPLERS
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.guidance.hooks import Hook
from backend.worker.models.memory import Memory
from tests.tiny.ldm import save_folder, tiny

BASE = Request(prompt="a (cat:1.2) [dog:bird:0.5] AND fish:0.6", negative_prompt="bad", steps=3, width=64, height=64,
               seed=1, variation_seed=1, cfg_scale=5.0)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """(memory, checkpoints): two tiny checkpoints, in float32."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("first", "second")):
        save_folder(tiny(seed=seed), folder / "checkpoints" / name)
    checkpoints = {c.key: c for c in ModelCatalog((folder,)).scan()}
    return Memory(place("cpu", exact=True)), checkpoints


@pytest.fixture
def counts(monkeypatch):
    """The rows of each network call."""
    original, counts = engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: counts.append(len(rows)) or original(rows))
    return counts


class Studio:
    """An engine with its events, driven to the end."""

    def __init__(self, house, policy="packed", limits=NO_LIMITS):
        self.memory, self.checkpoints = house
        self.events = []
        self.engine = Engine(self.memory, policy, self.events.append, limits)

    def add(self, job, request=BASE, checkpoint="first"):
        self.engine.add(Run(job, "local", request, tuple(range(request.count)), {("checkpoint", request.checkpoint): self.checkpoints[checkpoint]}))

    def step(self):
        with torch.inference_mode():
            return self.engine.step()

    def run(self):
        while self.step():
            assert len(self.events) < 100_000
        return self

    def of(self, kind, job=None):
        return [e for e in self.events if isinstance(e, kind) and (job is None or e.job == job)]

    def pixels(self, job, index=0):
        return next(e.pixels for e in self.of(Picture, job) if e.index == index)


def neighbours(studio, seed):
    for i in range(7):
        studio.add(f"filler {i}", BASE.replace(prompt=f"filler {seed} {i}", seed=100 * seed + i, sampler="Euler", steps=16))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_picture_never_depends_on_its_neighbours(house, sampler):
    request = BASE.replace(sampler=sampler, prompt="a cat", steps=2)
    alone = {}
    for seed in (1, 2):
        studio = Studio(house)
        studio.add("mine", request)
        neighbours(studio, seed)
        while not studio.of(Picture, "mine"):
            studio.step()
            assert not studio.of(Failed)
        alone[seed] = studio.pixels("mine")
    assert alone[1] == alone[2]


def test_packed_equals_solo_at_the_same_row_count(house):
    solo = Studio(house, "solo")
    solo.add("mine", BASE.replace(prompt="a cat", batch_size=8))
    packed = Studio(house)
    packed.add("mine", BASE.replace(prompt="a cat"))
    neighbours(packed, 3)
    assert solo.run().pixels("mine") == packed.run().pixels("mine")


def test_the_same_request_gives_the_same_bits(house):
    first, second = Studio(house, "solo"), Studio(house, "solo")
    first.add("mine"), second.add("other"), second.add("mine")
    assert first.run().pixels("mine") == second.run().pixels("mine")


def test_a_batch_is_the_single_pictures(house):
    studio = Studio(house, "solo")
    batch = BASE.replace(batch_size=2, batch_count=2)
    studio.add("batch", batch)
    for index in range(4):
        studio.add(f"single {index}", batch.of_image(index))
    studio.run()
    for index in range(4):
        together, alone = (np.frombuffer(p, np.uint8).astype(int) for p in
                           (studio.pixels("batch", index), studio.pixels(f"single {index}")))
        assert np.abs(together - alone).max() <= 1, "only rounding may differ between row counts"
    assert len({studio.pixels("batch", index) for index in range(4)}) == 4


def test_events_tell_the_whole_story(house):
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(preview_every=1))
    studio.run()
    steps = [(e.step, e.steps) for e in studio.of(Progress, "mine")]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert studio.of(Preview, "mine")[0].jpeg[:2] == b"\xff\xd8"
    picture = studio.of(Picture, "mine")[0]
    assert (picture.width, picture.height, len(picture.pixels)) == (64, 64, 64 * 64 * 3)
    assert len(picture.facts["Model hash"]) == 10
    assert isinstance(studio.events[-1], Done)


def test_cancel_stops_the_job_at_once_and_leaves_the_others(house):
    studio = Studio(house)
    studio.add("gone", BASE.replace(steps=50))
    studio.add("stays")
    for _ in range(4):
        studio.step()
    studio.engine.cancel("gone")
    before = len(studio.of(Progress, "gone"))
    studio.run()
    assert studio.of(Cancelled, "gone") and len(studio.of(Progress, "gone")) == before
    assert studio.of(Done, "stays") and not studio.of(Done, "gone")
    studio.engine.cancel("gone")
    assert len(studio.of(Cancelled)) == 1


def test_skip_leaves_out_one_picture(house):
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(batch_count=3, steps=20))
    for _ in range(3):
        studio.step()
    studio.engine.skip("mine")
    studio.run()
    assert [e.index for e in studio.of(Skipped)] == [0]
    assert [(e.index, e.unfinished) for e in studio.of(Picture, "mine")] == [(0, True), (1, False), (2, False)]
    assert studio.of(Done, "mine")


def test_an_error_fails_its_own_job_only(house, monkeypatch):
    model = house[0].get(house[1]["first"])
    original = type(model).encode_text

    def encode(self, text, *rest):
        if len(text) > 500:
            raise ValueError("cannot read this")
        return original(self, text, *rest)

    monkeypatch.setattr(type(model), "encode_text", encode)
    studio = Studio(house)
    studio.add("bad", BASE.replace(prompt="word " * 200))
    studio.add("good")
    studio.run()
    failed = studio.of(Failed)
    assert [e.job for e in failed] == ["bad"] and "cannot read this" in failed[0].problems[0].message
    assert "job bad, picture 0" in failed[0].detail
    assert studio.of(Done, "good")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("moment", ["rows", "answers", "call", "words"])
def test_what_would_end_a_process_fails_the_job_in_whose_work_it_is_raised(house, monkeypatch, error, moment):
    class Ending(Hook):
        def rows(self, noisy, rows):
            ends(noisy.step == 1 and moment == "rows")
            return [replace(row, watch=True) for row in rows] if moment == "call" else rows

        def answers(self, noisy, rows, answers):
            ends(noisy.step == 1 and moment == "answers")
            return answers

    def ends(now):
        if now:
            raise error

    def denoise(rows):
        ends(any(row.watch for row in rows))
        return original(rows)

    def encode(self, text, *rest):
        ends(moment == "words" and "ending" in text)
        return read(self, text, *rest)

    original, model = engines.denoise, type(house[0].get(house[1]["first"]))
    read = model.encode_text
    monkeypatch.setattr("backend.worker.draw.pipeline.hooks_for", lambda request: [Ending()] if "ending" in request.prompt else [])
    monkeypatch.setattr(engines, "denoise", denoise)
    monkeypatch.setattr(model, "encode_text", encode)
    studio = Studio(house)
    for job, prompt in (("good", "a cat"), ("bad", "an ending"), ("later", "a dog")):
        studio.add(job, BASE.replace(prompt=prompt))
    studio.run()
    assert [e.job for e in studio.of(Failed)] == ["bad"] and type(error).__name__ in studio.of(Failed)[0].detail
    assert not studio.of(Failed)[0].problems[0].message.endswith(": "), "an error that says nothing has its name alone"
    assert {e.job for e in studio.of(Done)} == {"good", "later"}


def test_a_culprit_in_a_shared_call_is_found(house, monkeypatch):
    original = engines.denoise

    def denoise(rows):
        if any(row.x.isnan().any() for row in rows):
            raise RuntimeError("poisoned row")
        return original(rows)

    monkeypatch.setattr(engines, "denoise", denoise)
    studio = Studio(house)
    studio.add("good")
    studio.add("bad")
    studio.step(), studio.step()
    for program in studio.engine.programs:
        if program.task.run.job == "bad" and isinstance(program.work, list):
            program.work = [replace(row, x=row.x * float("nan")) for row in program.work]
    studio.run()
    assert [e.job for e in studio.of(Failed)] == ["bad"] and "poisoned" in studio.of(Failed)[0].problems[0].message
    assert studio.of(Done, "good")


def test_out_of_memory_splits_the_rows(house, monkeypatch):
    original, counts = engines.denoise, []

    def denoise(rows):
        counts.append(len(rows))
        if len(rows) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return original(rows)

    monkeypatch.setattr(engines, "denoise", denoise)
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(batch_size=4))
    studio.run()
    assert len(studio.of(Picture)) == 4 and not studio.of(Failed)
    assert max(counts[3:]) <= 6, "the limit is remembered"


def test_a_single_row_that_does_not_fit_names_the_size(house, monkeypatch):
    def denoise(rows):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engines, "denoise", denoise)
    studio = Studio(house, "solo")
    studio.add("mine")
    studio.run()
    assert studio.of(Failed)[0].problems[0].field == "width"


def test_what_cannot_fit_fails_before_it_is_tried_and_others_are_drawn(house, counts):
    studio = Studio(house, limits=DeviceLimits(memory=2**20))
    studio.add("huge", BASE.replace(width=2048, height=2048))
    assert [(e.job, e.problems[0].field) for e in studio.of(Failed)] == [("huge", "width")] and not counts
    studio.add("small")
    assert studio.run().of(Done, "small")


def test_decoding_goes_on_in_tiles_when_memory_is_short(house, monkeypatch):
    model = house[0].get(house[1]["first"])

    def decoding(self, latent):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model), "decoding", decoding)
    studio = Studio(house, "solo")
    studio.add("mine")
    studio.run()
    assert any("tiles" in note for note in studio.of(Picture)[0].notes)


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_two_checkpoints_take_turns_without_starving(house, policy, monkeypatch):
    monkeypatch.setattr(admission, "FAIR_CALLS", 6)
    memory, checkpoints = house
    memory.clear()
    studio = Studio((memory, checkpoints), policy)
    for i in range(6):
        studio.add(f"first {i}", BASE.replace(seed=i))
    studio.add("second", checkpoint="second")
    studio.run()
    assert Counter(type(e) for e in studio.events)[Done] == 7
    assert len([e for e in studio.of(Loading) if e.done]) == 2
    different = {studio.pixels("first 1"), studio.pixels("second")}
    assert len(different) == 2


def drawn_order(studio):
    """The jobs of the finished pictures, in their order."""
    return [e.job for e in studio.of(Picture)]


@pytest.mark.parametrize(("cap", "place"), [(4, 16), (400, 40)])
def test_a_long_job_lets_another_checkpoint_go_first_when_its_turn_is_over(house, monkeypatch, counts, cap, place):
    """Pictures of three calls start eight at a time; the turn ends with those that are in work after `cap` calls."""
    monkeypatch.setattr(admission, "FAIR_CALLS", cap)
    studio = Studio(house)
    studio.add("long", BASE.replace(prompt="a cat", batch_count=40))
    studio.add("other", BASE.replace(prompt="a cat"), checkpoint="second")
    studio.run()
    assert drawn_order(studio).index("other") == place and len(drawn_order(studio)) == 41
    assert sorted(counts) == [2] * 3 + [16] * 15, "only the single picture's calls are small"


def test_three_checkpoints_take_turns(house, monkeypatch, tmp_path):
    monkeypatch.setattr(admission, "FAIR_CALLS", 3)
    save_folder(tiny(seed=2), tmp_path / "checkpoints" / "third")
    third = ModelCatalog((tmp_path,)).find("checkpoint", "third")
    studio = Studio((house[0], {**house[1], "third": third}))
    for name in ("first", "second", "third"):
        studio.add(name, BASE.replace(prompt="a cat", batch_count=24), checkpoint=name)
    studio.run()
    assert drawn_order(studio)[::8] == ["first", "second", "third"] * 3


def test_packed_jobs_share_calls(house, monkeypatch):
    original, counts = engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: counts.append(len(rows)) or original(rows))
    studio = Studio(house)
    for i in range(8):
        studio.add(f"job {i}", BASE.replace(prompt="a cat", seed=i))
    studio.run()
    assert counts == [16, 16, 16]


def test_a_late_job_joins_at_the_next_step(house):
    studio = Studio(house)
    studio.add("early", BASE.replace(steps=10))
    for _ in range(4):
        studio.step()
    studio.add("late", BASE.replace(steps=2))
    studio.run()
    done = [e.job for e in studio.of(Done)]
    assert done == ["late", "early"]


def test_a_job_with_nothing_left_is_done(house):
    studio = Studio(house)
    studio.engine.add(Run("empty", "local", BASE, (), {("checkpoint", ""): studio.checkpoints["first"]}))
    assert studio.of(Done, "empty") and not studio.run().engine.tasks


def test_networks_of_an_unknown_kind_are_named_in_the_notes(house):
    studio = Studio(house, "solo")
    studio.add("mine", BASE.replace(prompt="a cat <strange:style:0.8>"))
    assert "style" in studio.run().of(Picture)[0].notes[0]


def test_a_checkpoint_that_vanished_fails_the_job_with_a_sentence(house, tmp_path):
    folder = tmp_path / "checkpoints" / "gone"
    save_folder(tiny(seed=5), folder)
    checkpoint = ModelCatalog((tmp_path,)).scan()[0]
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    studio = Studio(house, "solo")
    studio.engine.add(Run("mine", "local", BASE, (0,), {("checkpoint", ""): checkpoint}))
    studio.run()
    assert studio.of(Failed, "mine")[0].problems[0].message
