"""Scores of plots' cells: switched on, measured while nobody waits, kept through deaths of workers and front."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from starlette.testclient import TestClient

from backend.errors import InvalidRequest, NotFound, StorageError
from backend.http import create_app
from backend.messages import MeasureDistance, Score, Scored
from backend.store.scores import Scores
from tests.guest import Guest
from tests.pure.test_clip_folders import clip
from tests.tiny.house import open_house, until

BASE = {"prompt": "a red circle", "seed": 5, "variation_seed": 1, "width": 64, "height": 64, "checkpoint": "demo"}


pytestmark = pytest.mark.usefixtures("light_start")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the house, with a CLIP."""
    folder = tmp_path_factory.mktemp("house")
    clip(folder, "demo")
    return folder


@pytest.fixture(scope="module")
def house(home: Path) -> Iterator[Guest]:
    house = open_house(home)
    yield house
    house.close()


def plotted(house: Guest, *axes: tuple[str, str], **request: Any) -> str:
    return house.plots.create({"request": {**BASE, **request}, "axes": [{"label": label, "values": values} for label, values in axes]})


def scores(house: Guest, plot: str) -> dict[str, dict[str, float | None]]:
    return {cell: dict(kinds) for cell, kinds in house.plots.get(plot).scores.items()}


def scored(house: Guest, plot: str, *kinds: str, cells: int) -> dict[str, dict[str, float | None]]:
    """The scores once all cells have all kinds."""
    return until(lambda: (found := scores(house, plot)) and len(found) == cells and all(set(kinds) <= set(one) for one in found.values()) and found)


def test_cells_that_are_there_and_cells_that_come(house: Guest) -> None:
    plot = plotted(house, ("Seed", "1-3"))
    until(lambda: house.plots.get(plot).state["state"] == "done")
    assert scores(house, plot) == {}
    house.plots.scores.switch(plot, {"kinds": ["sharpness", "clip_t"]})
    before = scored(house, plot, "sharpness", "clip_t", cells=3)
    assert house.plots.scores.wanted(plot).kinds == ("clip_t", "sharpness")
    cursor = house.plots.get(plot).cursor
    house.plots.extend(plot, 0, "4")
    after = scored(house, plot, "sharpness", "clip_t", cells=4)
    assert {cell: after[cell] for cell in before} == before
    assert house.plots.get(plot).cursor > cursor
    assert len({tuple(one.values()) for one in after.values()}) == 4        # each is its own picture's


def test_another_reference_and_a_cell_drawn_again_are_measured_anew(house: Guest) -> None:
    plot = plotted(house, ("Seed", "1-2"))
    until(lambda: house.plots.get(plot).state["state"] == "done")
    house.plots.scores.switch(plot, {"kinds": ["ssim"], "reference": {"cell": "0"}})
    first = scored(house, plot, "ssim", cells=2)
    image = house.plots.get(plot).cells[1].image
    house.plots.scores.switch(plot, {"kinds": ["ssim"], "reference": {"image": image}})
    second = scored(house, plot, "ssim", cells=2)
    assert all(first[cell] != second[cell] for cell in first)
    house.plots.scores.switch(plot, {"kinds": ["ssim"], "reference": {"cell": "0"}})
    assert scored(house, plot, "ssim", cells=2) == first                    # kept, and at once


def test_a_spread_waits_for_its_whole_row(house: Guest) -> None:
    plot = plotted(house, ("Seed", "1-3"), ("CFG Scale", "5, 7"))
    house.plots.scores.switch(plot, {"kinds": ["spread"]})
    found = scored(house, plot, "spread", cells=6)
    rows = [{found[f"{x},{y}"]["spread"] for x in range(3)} for y in range(2)]
    assert all(len(row) == 1 for row in rows)


@pytest.mark.parametrize(("of", "method", "error", "measured"), [
    ("scores", "missing", StorageError("It is away."), True), ("scores", "record", StorageError("It is away."), True),
    ("self", "_command", StorageError("It is away."), True), ("self", "_command", ZeroDivisionError("something odd"), False),
])
def test_an_error_on_the_way_leaves_no_picture_waiting_for_good(
    house: Guest, monkeypatch: pytest.MonkeyPatch, of: str, method: str, error: Exception, measured: bool
) -> None:
    monkeypatch.setattr("backend.dispatch.scoring.RETRY_SECONDS", 0.1)
    scoring, once = house._components.dispatcher.scoring, [error]
    whole = scoring._scores if of == "scores" else scoring
    call = getattr(whole, method)

    def odd(*given: object) -> object:
        if once:
            raise once.pop()
        return call(*given)

    plot = plotted(house, ("Seed", "7"))
    until(lambda: house.plots.get(plot).state["state"] == "done")
    monkeypatch.setattr(whole, method, odd)
    house.plots.scores.switch(plot, {"kinds": ["sharpness"]})
    (found,) = scored(house, plot, "sharpness", cells=1).values()
    assert not once and (found["sharpness"] is not None) is measured
    assert not scoring._sent


def test_workers_that_die_over_it_cost_nothing(house: Guest) -> None:
    plot = plotted(house, ("Seed", "1-4"), prompt="die_at=score")
    house.plots.scores.switch(plot, {"kinds": ["clip_t", "sharpness"]})
    found = scored(house, plot, "clip_t", "sharpness", cells=4)
    assert None not in [value for one in found.values() for value in one.values()]
    line = house.plots.get(plot).line
    assert (line.counts.done, line.counts.failed) == (4, 0)


def test_a_picture_that_kills_every_worker_is_said_not_to_be_measurable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.dispatch.supervisor.BACK_OFF", (0.0,))
    clip(tmp_path, "demo")
    house = open_house(tmp_path)
    plot = plotted(house, ("Seed", "1"), prompt="die_at=score always")
    until(lambda: house.plots.get(plot).state["state"] == "done")
    house.plots.scores.switch(plot, {"kinds": ["clip_t"]})
    assert scored(house, plot, "clip_t", cells=1) == {"0": {"clip_t": None}}
    assert "ended three times" in house.plots.scores.board(plot).problems()["0"]["clip_t"]
    assert house.wait(house.submit().id).state == "done"
    house.close()


def test_a_front_that_ends_goes_on_where_it_was(tmp_path: Path) -> None:
    clip(tmp_path, "demo")
    house = open_house(tmp_path, start_workers=False)
    plot = plotted(house, ("Seed", "1-3"))
    house.plots.scores.switch(plot, {"kinds": ["sharpness"]})
    house.close()
    house = open_house(tmp_path)
    assert None not in scored(house, plot, "sharpness", cells=3)["0"].values()
    house.close()


@pytest.mark.parametrize(("asked", "field", "message"), [
    ({"kinds": ["beauty"]}, "kinds", "must be a list of clip_t"),
    ({"kinds": ["ssim"]}, "reference", "is needed for ssim"),
    ({"kinds": ["ssim"], "reference": {"cell": "9"}}, "reference", "no such cell"),
    ({"kinds": ["ssim"], "reference": {"image": "x"}}, "reference", "no such picture"),
    ({"kinds": ["ssim"], "reference": "0"}, "reference", "must be"),
    ({"kinds": ["spread"]}, "kinds", "spread needs an axis Seed"),
    ({"kinds": ["clip_t"], "encoder": "large"}, "encoder", "'large' is not in the list; there is: demo"),
])
def test_what_cannot_be_switched_on_names_its_field(house: Guest, asked: dict[str, Any], field: str, message: str) -> None:
    plot = plotted(house, ("Steps", "3"))
    with pytest.raises(InvalidRequest) as raised:
        house.plots.scores.switch(plot, asked)
    [problem] = raised.value.problems
    assert problem.field == field and message in problem.message
    assert house.plots.scores.wanted(plot).kinds == ()


def test_the_shipped_clip_is_not_taken_for_other_models_unasked(house: Guest) -> None:
    plot = plotted(house, ("Steps", "3"), checkpoint="other")
    with pytest.raises(InvalidRequest, match="needs a CLIP that knows such pictures"):
        house.plots.scores.switch(plot, {"kinds": ["clip_t"]})
    house.plots.scores.switch(plot, {"kinds": ["clip_t"], "encoder": "demo"})
    scored(house, plot, "clip_t", cells=1)


def test_someone_elses_plot_is_not_there(house: Guest) -> None:
    plot = plotted(house, ("Steps", "3"))
    other = Guest(house, "ada")
    for ask in (lambda: other.plots.scores.switch(plot, {"kinds": []}), lambda: other.plots.scores.wanted(plot), lambda: other.plots.scores.board(plot)):
        with pytest.raises(NotFound):
            ask()


class Slow:
    """A worker that keeps what it is to measure."""

    name = "slow"

    def __init__(self) -> None:
        self.free, self.asked = True, list[Score | MeasureDistance]()
        self.came = threading.Event()

    def is_free(self, *, alone: bool) -> bool:
        return self.free

    def measure(self, command: Score | MeasureDistance) -> None:
        self.asked.append(command)
        self.came.set()


def test_nothing_is_measured_while_pictures_of_others_wait(tmp_path: Path) -> None:
    clip(tmp_path, "demo")
    house = open_house(tmp_path)
    plot = plotted(house, ("Seed", "1-3"))
    until(lambda: house.plots.get(plot).state["state"] == "done")
    scoring, slow, waiting = house.backend._components.dispatcher.scoring, Slow(), [True]
    scoring._workers, scoring._may = (slow,), lambda: not waiting
    house.plots.scores.switch(plot, {"kinds": ["sharpness"]})
    assert not slow.came.wait(0.6)
    waiting.clear()
    assert slow.came.wait(5)
    until(lambda: len(slow.asked) == 2)         # one that is measured, one ahead
    scoring.received(Scored(slow.asked[0].task, {"sharpness": 0.5}))
    until(lambda: len(slow.asked) == 3)
    scoring.lost("slow")                        # both come again
    until(lambda: len(slow.asked) == 5)
    assert {one.task for one in slow.asked[3:]} == {one.task for one in slow.asked[1:3]}
    assert Scores(house.backend._components.database).board(plot, "local").values() == {"0": {"sharpness": 0.5}}
    house.close()


def test_a_comparison_that_is_asked_while_cells_are_measured_is_not_forgotten(tmp_path: Path) -> None:
    (tmp_path / "fidelity").mkdir()
    save_file({"Mixed_7c.branch_pool.conv.weight": np.zeros(1, np.float32)}, tmp_path / "fidelity" / "inception.safetensors")
    house = open_house(tmp_path)
    plot = plotted(house, ("Seed", "1-2"))
    until(lambda: house.plots.get(plot).state["state"] == "done")
    scoring, slow = house.backend._components.dispatcher.scoring, Slow()
    scoring._workers = (slow,)
    house.plots.scores.switch(plot, {"kinds": ["sharpness"]})
    until(lambda: len(slow.asked) == 2)
    house.plots.scores.compare(plot, {"first": {"cells": ["0", "1"]}, "second": {"cells": ["1", "0"]}})
    until(lambda: not scoring._plots)           # it was looked at, and cells are still in hand
    for one in slow.asked[:2]:
        scoring.received(Scored(one.task, {"sharpness": 0.5}))
    assert isinstance(until(lambda: slow.asked[2:] and slow.asked[2], seconds=5), MeasureDistance)
    house.close()


def test_fid_without_its_network_says_which_file_goes_where(house: Guest) -> None:
    plot = plotted(house, ("Seed", "1-2"))
    with pytest.raises(InvalidRequest) as raised:
        house.plots.scores.compare(plot, {"first": {"cells": ["0", "1"]}, "second": {"folder": "../outputs"}})
    assert [(problem.field, problem.message) for problem in raised.value.problems] == [
        ("second", "There is no such folder below the data folder's datasets."),
        ("network", "FID needs the Inception network of torch-fidelity, which is not here: put weights-inception-2015-12-05-6726825d.pth from its release v0.2.0 into models/fidelity."),
    ]
    assert house.plots.scores.distances(plot) == []


def test_fid_between_cells_and_a_folder(house: Guest, home: Path) -> None:
    (home / "fidelity").mkdir()
    save_file({"Mixed_7c.branch_pool.conv.weight": np.zeros(1, np.float32)}, home / "fidelity" / "inception.safetensors")
    folder = home / "data" / "datasets" / "mine"
    folder.mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    plot = plotted(house, ("Seed", "1-2"))
    house.plots.scores.compare(plot, {"first": {"cells": ["0", "1"]}, "second": {"folder": "mine"}})
    house.plots.scores.compare(plot, {"first": {"cells": ["0"]}, "second": {"folder": "mine"}})
    whole, few = until(lambda: (found := house.plots.scores.distances(plot)) and all(one.value is not None or one.problem for one in found) and found)
    assert (whole.value, whole.problem) == (4.0, "") and "at least two pictures" in few.problem


def test_over_http(house: Guest) -> None:
    client = TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860")
    plot = plotted(house, ("Seed", "5-6"))
    assert client.get(f"/easel/plots/{plot}").json()["scores"] == {"kinds": [], "reference": {}, "encoder": ""}
    refused = client.post(f"/easel/plots/{plot}/scores", json={"kinds": ["psnr"]})
    assert refused.status_code == 422 and "reference" in refused.text
    asked = {"kinds": ["psnr", "clip_t"], "reference": {"cell": "0"}}
    told = client.post(f"/easel/plots/{plot}/scores", json=asked).json()["scores"]
    assert told["reference"] == {"cell": "0"} and told["kinds"] == ["clip_t", "psnr"] and told["encoder"].startswith("demo@")
    scored(house, plot, "psnr", "clip_t", cells=2)
    cells = client.get(f"/easel/plots/{plot}").json()["cells"]
    column = cells["columns"].index("scores")
    assert [set(row[column]) for row in cells["rows"]] == [{"clip_t", "psnr"}] * 2
    assert client.get(f"/easel/plots/{plot}/distances").json() == {"distances": []}
