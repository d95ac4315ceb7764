"""Plots with a fake worker: every cell is drawn once whatever happens, and nobody waits for the whole of a plot."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from backend.errors import NotFound, StorageError
from backend.http import create_app
from backend.image.read import read_metadata
from backend.store.picture_files import Pictures
from backend.store.search import Query
from backend.store.view_types import ENDED
from tests.guest import Guest
from tests.tiny import fake_worker
from tests.tiny.house import open_house, until

ROOT = str(Path(fake_worker.__file__).parents[2])
BASE = {"prompt": "a cat", "seed": 5, "variation_seed": 1, "width": 64, "height": 64}


pytestmark = pytest.mark.usefixtures("light_start")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    house = open_house(tmp_path_factory.mktemp("house"))
    yield house
    house.close()


@pytest.fixture
def client(house: Guest) -> TestClient:
    return TestClient(create_app(house.backend), base_url="http://127.0.0.1:7860")


def asked(*axes: tuple[str, Any], request: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return {"kind": "xyz", "request": {**BASE, **(request or {})}, "options": options,
            "axes": [{"label": label, "values": values} for label, values in axes]}


def state(house: Guest, plot: str) -> str:
    return house.plots.get(plot).state["state"]


def drawn(house: Guest, plot: str) -> dict[str, Any]:
    """The plot's cells, once they have ended."""
    until(lambda: all(cell.state in ENDED for cell in house.plots.get(plot).cells))
    return {cell.cell: cell for cell in house.plots.get(plot).cells}


# ---- its life ----


def test_a_plot_over_http_from_the_axes_to_the_last_cell(client: TestClient, house: Guest) -> None:
    axes = {axis["label"]: axis for axis in client.get("/easel/plots/axes").json()["axes"]}
    assert axes["Checkpoint name"]["has_choices"] and axes["Hires upscaler"]["tabs"] == ["txt2img"]
    assert client.get("/easel/plots/axes/Checkpoint name/choices").json() == {"choices": ["demo", "other"]}
    ask = asked(("Steps", "1-3"), ("Checkpoint name", ["other", "demo"]), title="Steps of both")
    check = client.post("/easel/plots/check", json=ask).json()
    assert (check["cells"], check["pictures"], check["loads"], check["problems"]) == (6, 6, 2, [])
    assert check["axes"][0] == {"label": "Steps", "values": ["1", "2", "3"], "error": "", "idle": False} and check["bytes"] > 0
    made = client.post("/easel/plots", json=ask)
    plot = made.json()["id"]
    assert made.status_code == 201 and made.json()["title"] == "Steps of both" and made.json()["total"] == 6
    cursor = made.json()["cursor"]
    drawn(house, plot)
    until(lambda: client.get(f"/easel/plots/{plot}").json()["state"] == "done")
    news = client.get(f"/easel/plots/{plot}/cells", params={"since": cursor}).json()
    assert len(news["rows"]) == 6 and news["cursor"] > cursor
    until(lambda: not client.get(f"/easel/plots/{plot}/cells", params={"since": news["cursor"]}).json()["rows"])
    for row in client.get(f"/easel/plots/{plot}").json()["cells"]["rows"]:
        cell = dict(zip(news["columns"], row, strict=True))
        assert cell["state"] == "done" and cell["seed"] == "5" and client.get(cell["thumb"]).status_code == 200
        assert f"Steps: {int(cell['cell'][0]) + 1}," in house.job(cell["job"]).images[0].infotext
    (line,) = [one for one in client.get("/easel/plots").json()["plots"] if one["id"] == plot]
    assert (line["done"], line["axes"]) == (6, ["Steps", "Checkpoint name"]) and client.get(line["cover"]).status_code == 200
    wrong = client.post("/easel/plots", json=asked(("Steps", "x")))
    assert (wrong.status_code, wrong.json()["problems"][0]["field"]) == (422, "axes.0.values")
    again = client.get(f"/easel/plots/{plot}").json()["request"]
    assert client.post("/easel/plots/check", json={**ask, "request": again}).json()["cells"] == 6
    ours = client.post("/easel/plots", json={**ask, "request": {**again, "template": "x"}})
    assert (ours.status_code, ours.json()["problems"][0]["field"]) == (422, "template")
    for what, body in (("title", {"title": "Another"}), ("extend", {"axis": 0, "values": "4"})):
        assert client.post(f"/easel/plots/{plot}/{what}", json=body).status_code == 200
    assert len(drawn(house, plot)) == 8 and house.plots.get(plot).line.head.title == "Another"


def test_a_failing_cell_is_a_hole_with_its_message_and_is_mended(house: Guest) -> None:
    plot = house.plots.create(asked(("Prompt S/R", "cat, fail=0, dog")))
    cells = drawn(house, plot)
    assert [(cells[at].state, cells[at].message, bool(cells[at].image)) for at in "012"] == [
        ("done", "", True), ("failed", "prompt: too wild", False), ("done", "", True)]
    assert house.plots.get(plot).state["failed"] == 1 and state(house, plot) == "done"
    before = [cells[at].image for at in "02"]
    house.plots.redraw(plot, "1", whole=False)
    cells = drawn(house, plot)
    assert [cells[at].state for at in "012"] == ["done"] * 3 and [cells[at].image for at in "02"] == before


def test_all_holes_are_tried_again_at_once(house: Guest) -> None:
    plot = house.plots.create(asked(("Prompt S/R", "cat, fail=0 a, fail=0 b")))
    drawn(house, plot)
    house.plots.retry(plot)
    assert {cell.state for cell in drawn(house, plot).values()} == {"done"}


def test_a_cell_is_drawn_again_in_its_place(house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "1-2")))
    before = drawn(house, plot)["1"]
    house.gallery.put_in_bin([before.image])
    assert "bin" in drawn(house, plot)["1"].message
    house.plots.redraw(plot, "1", whole=True)
    after = drawn(house, plot)["1"]
    assert (after.image, after.state, after.unfinished) == (before.image, "done", False)
    assert not house.image(after.image).binned and len(house.images(job=after.job)) == 1


def test_pause_and_cancel_while_it_is_drawn_and_go_on(house: Guest) -> None:
    plot = house.plots.create(asked(("Seed", "1-30"), request={"prompt": "slow=0.06"}))
    until(lambda: house.plots.get(plot).state["done"] >= 2)
    house.plots.pause(plot)
    until(lambda: state(house, plot) == "paused" and not house._components.dispatcher._supervisors[0]._flights)
    done = house.plots.get(plot).state["done"]
    assert house.wait(house.submit().id).state == "done" and house.plots.get(plot).state["done"] == done < 30
    house.plots.resume(plot)
    until(lambda: house.plots.get(plot).state["done"] > done)
    house.plots.cancel(plot)
    cells = drawn(house, plot)
    assert state(house, plot) == "cancelled" and {cell.state for cell in cells.values()} == {"done", "cancelled"}
    until(lambda: not house._components.dispatcher.live._runs)
    kept = {at: cell.image for at, cell in cells.items() if cell.state == "done"}
    house.plots.resume(plot)
    cells = drawn(house, plot)
    assert {cell.state for cell in cells.values()} == {"done"} and kept.items() <= {at: cell.image for at, cell in cells.items()}.items()
    assert len(house.plots.get(plot).cells) == 30


def test_interrupt_stops_the_plot_that_is_drawn(house: Guest) -> None:
    plot = house.plots.create(asked(("Seed", "1-40"), request={"prompt": "slow=0.05"}))
    until(lambda: state(house, plot) == "drawing")
    house.interrupt()
    drawn(house, plot)
    assert state(house, plot) == "cancelled" and house.overview().total == 0


@pytest.mark.parametrize("whose", ["mine", "theirs"])
def test_later_single_pictures_do_not_wait_for_the_whole_plot(house: Guest, whose: str) -> None:
    plot = house.plots.create(asked(("Seed", "1-60"), request={"prompt": "slow=0.05"}))
    until(lambda: house.plots.get(plot).state["done"] >= 1)
    who = house if whose == "mine" else Guest(house, "ann")
    single = who.submit()
    done = house.plots.get(plot).state["done"]
    ended = who.wait(single.id).ended
    cells = [house.job(cell.job).ended for cell in house.plots.get(plot).cells if cell.state == "done"]
    assert sum(cell <= ended for cell in cells) < done + 12, "fewer cells than a worker holds came first"
    house.plots.cancel(plot)
    drawn(house, plot)


def test_two_plots_of_two_people_at_once(house: Guest) -> None:
    ann = Guest(house, "ann")
    plots = [(one, one.plots.create(asked(("Seed", "1-12"), request={"prompt": "slow=0.01"}))) for one in (house, ann)]
    until(lambda: all(one.plots.get(plot).state["done"] >= 3 for one, plot in plots))
    for one, plot in plots:
        assert {cell.state for cell in drawn(one, plot).values()} == {"done"}


def test_a_checkpoint_that_goes_in_the_middle_makes_holes(house: Guest) -> None:
    catalog = house._components.catalog
    plot = house.plots.create(asked(("Seed", "1-20"), ("Checkpoint name", "demo, other"), request={"prompt": "slow=0.01"}))
    until(lambda: house.plots.get(plot).state["done"] >= 1)
    gone = catalog.known.pop()
    cells = drawn(house, plot)
    assert {cell.state for at, cell in cells.items() if at.endswith("0")} == {"done"}
    holes = [cell for at, cell in cells.items() if at.endswith("1") and cell.state == "failed"]
    assert holes and all("checkpoint" in cell.message for cell in holes)
    catalog.known.append(gone)
    house.plots.retry(plot)
    assert {cell.state for cell in drawn(house, plot).values()} == {"done"}


def test_a_full_disk_in_the_middle_makes_holes_that_can_be_mended(house: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Pictures.write

    def full(self: Pictures, lease: Any, *rest: Any) -> Any:
        if lease.request.seed > 2:
            raise StorageError("The picture could not be saved: the disk is full.")
        return write(self, lease, *rest)

    monkeypatch.setattr(Pictures, "write", full)
    plot = house.plots.create(asked(("Seed", "1-4")))
    cells = drawn(house, plot)
    assert [cells[at].state for at in "0123"] == ["done", "done", "failed", "failed"] and "disk is full" in cells["3"].message
    monkeypatch.setattr(Pictures, "write", write)
    house.plots.retry(plot)
    assert {cell.state for cell in drawn(house, plot).values()} == {"done"}


def test_a_deleted_plot_keeps_its_pictures_unless_asked(house: Guest) -> None:
    for asks in (False, True):
        plot = house.plots.create(asked(("Steps", "1-2")))
        images = [cell.image for cell in drawn(house, plot).values()]
        house.plots.delete(plot, pictures=asks)
        assert [house.image(image).binned for image in images] == [asks] * 2
        assert plot not in [line.head.id for line in house.plots.list()] and not [job for job in house.jobs() if job.problems]


# ---- kills ----


FRONT = """
import sys, time
from pathlib import Path
if __name__ == '__main__':      # a worker process imports this file again
    from tests.tiny.house import open_house
    house = open_house(Path(sys.argv[1]))
    supervisor = house._components.dispatcher._supervisors[0]
    plots = [(house.backend.as_(house.backend.accounts.named(name).user).plots, plot) for name, plot in (each.split('=') for each in sys.argv[2:])]
    print(supervisor._handle is None, flush=True)
    while True:
        time.sleep(0.05)
        handle = supervisor._handle
        states = [cell.state for of_user, plot in plots for cell in of_user.get(plot).cells]
        print(handle.pid if handle else 0, states.count('done'), len([one for one in states if one in ('queued', 'running')]), flush=True)
"""


class Front:
    """A front in a process of its own, which tells of its worker and of how many cells are done and left."""

    def __init__(self, folder: Path, plots: dict[str, str]) -> None:
        script = folder / "front.py"
        script.write_text(FRONT)
        self.process = subprocess.Popen([sys.executable, script, folder, *map("=".join, plots.items())], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "PYTHONPATH": ROOT})
        self.process.stdout.readline()

    def look(self) -> tuple[int, int, int]:
        return tuple(map(int, self.process.stdout.readline().split()))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.slow
def test_twenty_kills_of_worker_and_front_lose_no_cell_and_draw_none_twice(tmp_path: Path) -> None:
    """Kills are counted when a cell was done since the one before: each hits another cell, of one of two people."""
    house = open_house(tmp_path, start_workers=False)
    accounts, plots = house.backend.accounts, {}
    for name, prompt in {"ann": "a cat", "bob": "a dog"}.items():
        door = house.backend.as_(accounts.add(name, "artist", "a good password").user)
        plots[name] = door.plots.create(asked(("Seed", "1-20"), ("Steps", "1-3"), request={"prompt": f"{prompt} slow=0.004"}))
    house.close()
    kills, done, front = 0, 0, Front(tmp_path, plots)
    while kills < 20:
        pid, now, left = front.look()
        assert left, "all was drawn before it was killed twenty times"
        if not pid or now <= done:
            continue
        if (kills + 1) % 6:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:      # the one that was killed before; its successor is not known yet
                continue
        else:
            front.kill()
            front = Front(tmp_path, plots)
        kills, done = kills + 1, now
    while front.look()[2]:
        continue
    front.kill()
    house = open_house(tmp_path, start_workers=False)
    files = list(house.settings.outputs.rglob("*.png"))
    assert len(files) == 120 and not list(house.settings.outputs.rglob("*.easel-tmp"))
    assert house.images(limit=500) == []
    for name, prompt in {"ann": "a cat", "bob": "a dog"}.items():
        door = house.backend.as_(house.backend.accounts.named(name).user)
        cells = door.plots.get(plots[name]).cells
        assert len(cells) == 60 and {cell.state for cell in cells} == {"done"} and len({cell.image for cell in cells}) == 60 == len(door.images(limit=500))
        for cell in cells:
            seed, steps = map(int, cell.cell.split(","))
            request = json.loads(read_metadata(door.image_file(cell.image)).request_json)
            assert (request["seed"], request["steps"]) == (seed + 1, steps + 1) and request["prompt"].startswith(prompt)
        other = next(plot for owner, plot in plots.items() if owner != name)
        with pytest.raises(NotFound):
            door.plots.get(other)
    house.close()


# ---- A1111's scripts ----


def answered(client: TestClient, route: str = "txt2img", **payload: Any) -> tuple[list[Image.Image], dict[str, Any]]:
    answer = client.post(f"/sdapi/v1/{route}", json={**BASE, **payload})
    assert answer.status_code == 200, answer.text
    pictures = [Image.open(io.BytesIO(base64.b64decode(image))) for image in answer.json()["images"]]
    return pictures, json.loads(answer.json()["info"])


def xyz(*axes: Any, **switches: Any) -> list[Any]:
    """Arguments of A1111's X/Y/Z plot: (type, values, list) for each axis."""
    args = [part for axis in (*axes, *[(0, "", [])] * (3 - len(axes))) for part in axis]
    names = ("draw_legend", "sub_images", "sub_grids", "keep", "vary_x", "vary_y", "vary_z", "margin", "csv")
    return [*args, *(switches.get(name, name == "draw_legend") for name in names[:7]), switches.get("margin", 0), switches.get("csv", False)]


def test_the_xyz_plot_of_a1111s_api(client: TestClient) -> None:
    args = xyz((4, "1-3", []), ("Checkpoint name", "", ["other", "demo"]), (7, "cat, dog", []), sub_images=True)
    pictures, info = answered(client, script_name="x/y/z plot", script_args=args)
    assert len(pictures) == 13 and pictures[0].width >= 3 * 64 and pictures[0].height >= 4 * 64
    assert info["all_prompts"] == ["a cat"] * 7 + ["a dog"] * 6 and info["index_of_first_image"] == 1
    assert [text.split("Steps: ")[1][0] for text in info["infotexts"]] == ["1", *"123" * 4]
    assert "Script: X/Y/Z plot, X Type: Steps, X Values: 1-3, Y Type: Checkpoint name" in info["infotexts"][0]
    assert pictures[0].info["parameters"] == info["infotexts"][0]
    grids, info = answered(client, script_name="x/y/z plot", script_args=xyz((4, "1-2", []), (0, "", []), (7, "cat, dog", []), sub_grids=True, draw_legend=False))
    assert [picture.size for picture in grids] == [(128, 128), (128, 64), (128, 64)] and len(info["infotexts"]) == 3
    (grid,), info = answered(client, script_name="X/Y/Z plot", script_args=xyz((1, "-1, 3", [])))
    assert grid.width >= 128 and len(info["infotexts"]) == 1 and "Fixed X Values" in info["infotexts"][0]


def test_a1111s_other_scripts_that_draw_plots(client: TestClient) -> None:
    pictures, info = answered(client, prompt="a|b|c", script_name="prompt matrix", script_args=[False, True, "positive", "comma", 0])
    assert len(pictures) == 5 and info["all_prompts"][1:] == ["a", "a, b", "a, c", "a, b, c"] and info["all_seeds"][1:] == [5, 6, 7, 8]
    lines = "x\n--prompt y --seed 9"
    pictures, info = answered(client, prompt="", script_name="prompts from file or textbox", script_args=[True, False, "start", lines, False])
    assert len(pictures) == 2 and (info["all_prompts"], info["all_seeds"]) == (["x", "y"], [5, 9])
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(out, "PNG")
    start = {"init_images": [base64.b64encode(out.getvalue()).decode()], "denoising_strength": 0.5}
    (grid,), info = answered(client, "img2img", script_name="x/y/z plot", script_args=xyz(("Denoising", "0.2, 0.4", [])), **start)
    assert grid.width >= 128 and "X Type: Denoising" in info["infotexts"][0]
    there = client.get("/sdapi/v1/scripts").json()
    assert {"x/y/z plot", "prompt matrix", "prompts from file or textbox"} <= set(there["txt2img"]) & set(there["img2img"])
    (told,) = [one for one in client.get("/sdapi/v1/script-info").json() if one["name"] == "x/y/z plot" and not one["is_img2img"]]
    assert len(told["args"]) == 18 and told["args"][0]["label"] == "X type"


@pytest.mark.parametrize(("args", "field"), [
    (xyz((4, "x", [])), "script_args.1"), (xyz((0, "", []), ("Stpes", "1", [])), "script_args.3"), (xyz((99, "1", [])), "script_args.0"),
    (xyz((4, "1", []), margin="wide"), "script_args.16"), (xyz((4, "1-1000", []), (1, "1-1000", [])), "script_args"), ([0] * 30, "script_args"), (xyz((4, "1", []), (4, "2", [])), "script_args.3"),
])
def test_wrong_arguments_of_a_script_are_named(client: TestClient, house: Guest, args: list[Any], field: str) -> None:
    before = len(house.plots.list(limit=200))
    answer = client.post("/sdapi/v1/txt2img", json={**BASE, "script_name": "x/y/z plot", "script_args": args})
    assert answer.status_code == 422 and answer.json()["problems"][0]["field"] == field, answer.text
    assert len(house.plots.list(limit=200)) == before


def test_a_hole_is_black_in_the_answered_grid_and_said_in_the_notes(client: TestClient) -> None:
    pictures, info = answered(client, script_name="x/y/z plot", script_args=xyz((7, "cat, fail=0 always", []), sub_images=True))
    assert len(pictures) == 2 and "prompt: too wild" in info["notes"]
    answer = client.post("/sdapi/v1/txt2img", json={**BASE, "script_name": "x/y/z plot", "script_args": xyz((7, "cat, dog", [])), "prompt": "cat fail=0 always"})
    assert answer.status_code == 422 and answer.json()["problems"][0]["message"] == "too wild"


def test_a_plot_as_files(client: TestClient, house: Guest) -> None:
    plot = house.plots.create(asked(("Steps", "2-3"), ("CFG Scale", "4, 5, 6"), title="Größe/1"))
    drawn(house, plot)
    address = f"/easel/plots/{plot}/export"
    for ending, kind in (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")):
        answer = client.get(f"{address}.{ending}", params={"legend": 0, "margin": 2, "hide": "1:0"})
        image = Image.open(io.BytesIO(answer.content))
        assert (answer.status_code, image.format, image.size) == (200, kind, (130, 130)), answer.text
        assert f"Gr%C3%B6%C3%9Fe_1.{ending}" in answer.headers["content-disposition"]
    told = client.post("/easel/settings", content=client.get(f"{address}.png").content).json()
    assert [axis["label"] for axis in told["plot"]["axes"]] == ["Steps", "CFG Scale"] and told["values"]["prompt"] == "a cat"
    page = client.get(f"{address}.html", params={"scale": 0.5})
    assert page.headers["content-type"].startswith("text/html") and page.text.count("data:image/webp") == 6
    assert len(zipfile.ZipFile(io.BytesIO(client.get(f"{address}.zip").content)).namelist()) == 6
    assert client.get(f"{address}.csv").text.splitlines()[0].startswith("\ufeffSteps,CFG Scale,State")
    refused = {query: client.get(f"{address}.png?{query}").json()["problems"][0]["field"] for query in ("page=1", "hide=x", "hide=1", "rows=0")}
    assert refused == {"page=1": "page", "hide=x": "hide", "hide=1": "hide", "rows=0": "rows"}
    assert [client.get(url).status_code for url in (f"{address}.gif", f"{address}.png?scale=2", "/easel/plots/none/export.zip")] == [422, 422, 404]
    empty = house.plots.create(asked(("Steps", "2"), request={"checkpoint": "demo", "prompt": "fail=0 always"}))
    drawn(house, empty)
    assert client.get(f"/easel/plots/{empty}/export.zip").status_code == 404
    assert client.get(f"/easel/plots/{empty}/export.png").status_code == 200, "a plot of holes is a picture all the same"


def test_pictures_of_a_plot_stay_out_of_the_history_where_sub_images_are_not_wanted(house: Guest) -> None:
    ann = Guest(house, "sub images")
    cells = {on: drawn(ann, ann.plots.create(asked(("Prompt S/R", "cat, dog"), include_sub_images=on))) for on in (True, False)}
    seen = {entry.image.id for entry in ann.gallery.search(Query())[0]}
    assert seen == {cell.image for cell in cells[True].values()}
    hidden = cells[False]["0"].image
    ann.gallery.star([hidden])
    assert [entry.image.id for entry in ann.gallery.search(Query(starred=True))[0]] == [hidden] and ann.image(hidden)
    assert [used.prompt for used in ann.prompt_library.used()] == ["a cat"]
