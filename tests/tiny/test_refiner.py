"""Another checkpoint takes over: for the last steps (refiner), or for the second pass of hires fix."""

from __future__ import annotations

import numpy as np
import pytest

import backend.worker.engine.engine as engines
from backend.errors import InvalidRequest
from backend.image import infotext
from backend.messages import Cancelled, Done, Failed, Picture, Run
from backend.request.request import Request
from backend.sampling.noise_table import NoiseTable
from backend.worker.draw.plan import plan
from backend.worker.models.model_base import Model
from tests.tiny.house import open_house
from tests.tiny.test_engine import BASE, Studio, house

__all__ = ["house"]
PLAIN = BASE.replace(prompt="a cat", negative_prompt="a dog", checkpoint="first", sampler="Euler", steps=6)
REFINED = PLAIN.replace(refiner_checkpoint="second", refiner_switch_at=0.5)
HIRES = PLAIN.replace(enable_hr=True, hr_scale=1.5, denoising_strength=0.7, hr_checkpoint_name="second")


@pytest.fixture
def calls(monkeypatch):
    """The rows of each network call."""
    original, calls = engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(rows) or original(rows))
    return calls


@pytest.fixture
def coded(monkeypatch):
    """The names of the checkpoints that encoded and decoded pictures."""
    names = []
    for method in ("encode", "decode"):
        original = getattr(Model, method.replace("code", "coding"))
        monkeypatch.setattr(Model, method.replace("code", "coding"), lambda self, *rest, original=original, method=method: (
            names.append((method, self.checkpoint.key)) or original(self, *rest)))
    return names


def drawn(house, request, policy="solo") -> Studio:
    studio = Studio(house, policy)
    files = {("checkpoint", name): file for name, file in studio.checkpoints.items()}
    studio.engine.add(Run("mine", "local", request, tuple(range(request.count)), files))
    studio.run()
    assert studio.of(Done) and not studio.of(Failed), studio.of(Failed)
    return studio


def by(calls) -> list[str]:
    return [rows[0].model.checkpoint.key for rows in calls]


@pytest.mark.parametrize("switch, timestep", [(0.01, 989), (0.5, 499), (0.8, 199), (0.999, 0)])
def test_the_moment_is_the_nearest_timestep(switch, timestep):
    """AUTOMATIC1111: (999 - timestep) / 1000 has reached the setting."""
    table = NoiseTable.from_betas()
    below = plan(REFINED.replace(refiner_switch_at=switch), table).first.refined_below
    assert table.sigmas[timestep] <= below < table.sigmas[timestep + 1]
    assert plan(REFINED.replace(refiner_switch_at=1.0), table).first.refined_below == 0
    assert plan(PLAIN, table).first.refined_below == 0


def test_the_refiner_draws_the_last_steps_with_its_own_words_and_vae(house, calls, coded):
    studio = drawn(house, REFINED)
    assert by(calls) == ["first"] * 3 + ["second"] * 3 and coded == [("decode", "second")]
    second = studio.memory.get(studio.checkpoints["second"])
    for row, text in zip(calls[-1], ("a cat", "a dog"), strict=True):
        assert row.encoded.tokens.equal(second.encode_text(text).tokens)
    assert infotext.parse(infotext.write(REFINED, studio.of(Picture)[0].facts))["Refiner"] == "second"
    first = studio.memory.get(studio.checkpoints["first"])
    assert studio.of(Picture)[0].facts["Model hash"] == first.sha256[:10]


def test_a_refiner_that_is_the_checkpoint_itself_changes_nothing(house):
    alone = drawn(house, PLAIN).pixels("mine")
    assert drawn(house, REFINED.replace(refiner_checkpoint="first")).pixels("mine") == alone
    assert drawn(house, REFINED).pixels("mine") != alone


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_every_picture_of_a_job_begins_with_its_own_checkpoint(house, policy):
    request = REFINED.replace(batch_count=2, batch_size=2)
    together = drawn(house, request, policy)
    for index in range(4):
        alone = np.frombuffer(drawn(house, request.of_image(index)).pixels("mine"), np.uint8).astype(int)
        assert np.abs(np.frombuffer(together.pixels("mine", index), np.uint8) - alone).max() <= 1


@pytest.mark.parametrize("upscaler, codings", [
    ("Latent", [("decode", "second")]),
    ("Lanczos", [("decode", "first"), ("encode", "second"), ("decode", "second")]),
])
def test_the_second_pass_of_hires_fix_has_its_own_checkpoint(house, calls, coded, upscaler, codings):
    drawn(house, HIRES.replace(hr_upscaler=upscaler))
    assert by(calls) == ["first"] * 6 + ["second"] * 6 and coded == codings
    with_other_noise = {id(row.parametrisation.table) for rows in calls[6:] for row in rows}
    assert len(with_other_noise) == 1


@pytest.mark.parametrize("which, expected", [
    ("first pass", ["first"] * 3 + ["second"] * 3 + ["first"] * 6),
    ("second pass", ["first"] * 6 + ["first"] * 2 + ["second"] * 4),
    ("both passes", ["first"] * 3 + ["second"] * 3 + ["first"] * 2 + ["second"] * 4),
])
def test_in_hires_fix_the_refiner_takes_over_in_the_passes_that_are_chosen(house, calls, which, expected):
    drawn(house, HIRES.replace(hr_checkpoint_name="Use same checkpoint", refiner_checkpoint="second", refiner_switch_at=0.5,
                               hires_fix_refiner_pass=which))
    assert by(calls) == expected


def test_a_budget_for_one_checkpoint_is_enough(house):
    memory, checkpoints = house
    before, memory.budget_bytes = memory.budget_bytes, memory.get(checkpoints["first"]).bytes * 3 // 2
    try:
        studio = drawn(house, REFINED.replace(batch_count=2))
        assert len(studio.of(Picture)) == 2 and memory.loaded == ("second",)
    finally:
        memory.budget_bytes = before


def test_an_interrupt_in_the_refiners_steps_keeps_the_picture(house, calls):
    studio = Studio(house, "solo")
    files = {("checkpoint", name): file for name, file in studio.checkpoints.items()}
    studio.engine.add(Run("mine", "local", REFINED, (0,), files))
    while "second" not in by(calls):
        studio.step()
    studio.engine.cancel("mine")
    studio.run()
    assert studio.of(Cancelled) and studio.of(Picture)[0].facts["Unfinished"] == "step 4 of 6"


# ---- the front ----


@pytest.fixture
def front(tmp_path):
    front = open_house(tmp_path, start_workers=False)
    yield front
    front.close()


@pytest.mark.parametrize("field, values", [("refiner_checkpoint", {}), ("hr_checkpoint_name", {"enable_hr": True})])
def test_what_cannot_take_over_is_refused_before_it_is_queued(front, field, values):
    catalog = front._components.catalog
    with pytest.raises(InvalidRequest) as refused:
        front.submit(checkpoint="demo", **{field: "nowhere"}, **values)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert getattr(front.submit(checkpoint="demo", **{field: "other"}, **values).request, field) == "other"
    for changes, words in (({"family": "sdxl"}, "cannot take over from demo"), ({"problem": "a refiner, not yet"}, "a refiner, not yet")):
        catalog.known[1] = _changed(catalog.known[1], **changes)
        with pytest.raises(InvalidRequest, match=words) as refused:
            front.submit(checkpoint="demo", **{field: "other"}, **values)
        assert [problem.field for problem in refused.value.problems] == [field]


def _changed(file, **changes):
    from dataclasses import replace
    return replace(file, **changes)


def test_a_text_names_them_as_automatic1111_does(front):
    text = infotext.write(Request(prompt="x", checkpoint="demo", seed=1, refiner_checkpoint="other", refiner_switch_at=0.7))
    assert ", Refiner: other, Refiner switch at: 0.7" in text
    assert front.read_text(text).values["refiner_checkpoint"] == "other"
    theirs = front.read_text(text.replace("Refiner: other", "Refiner: other [0123456789]")).values
    assert (theirs["refiner_checkpoint"], theirs["refiner_switch_at"]) == ("other", 0.7)
    assert "refiner_checkpoint" not in front.read_text(text.replace("Refiner: other", "Refiner: gone")).values
