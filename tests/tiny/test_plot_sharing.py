"""What the cells of a plot have in common is done once, and nothing of it can be seen in any of their pictures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import backend.worker.engine.admission as admission
import backend.worker.engine.engine as engines
from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import CHECKPOINT, LORA, UPSCALER
from backend.messages import Cancelled, Done, Failed, Loading, Picture, Progress, Run, Skipped
from backend.request.field import Field
from backend.request.record import Record
from backend.request.request import FIELDS, Request
from backend.worker.device import place
from backend.worker.draw import pipeline
from backend.worker.draw.shared_results import READ_LATER, first_pass_key
from backend.worker.engine.engine import Engine
from backend.worker.models.memory import Memory
from tests.tiny import upscalers
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.networks import attention, lora, save, tensors
from tests.tiny.test_engine import BASE

PLAIN = BASE.replace(prompt="a cat", negative_prompt="", sampler="Euler", checkpoint="first")
HIRES = PLAIN.replace(enable_hr=True, hr_scale=1.5, hr_upscaler="Latent", denoising_strength=0.5)
STRENGTHS = (0.3, 0.5, 0.7, 0.9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three tiny checkpoints, a LoRA and an upscaler."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("models")
    networks = [tiny(seed=seed) for seed in range(3)]
    for each, name in zip(networks, ("first", "second", "third"), strict=True):
        save_folder(each, home / "checkpoints" / name)
    unet = networks[0].unet
    save(home / "loras" / "style.safetensors", tensors(unet, "lora_unet_", attention(unet), lora()))
    (home / "upscalers").mkdir()
    save_file(upscalers.compact(scale=2), home / "upscalers" / "larger.safetensors")
    return home


@pytest.fixture(scope="module")
def house(folder):
    """(memory, files by kind and name), in float32."""
    catalog = ModelCatalog((folder,))
    named = [*((CHECKPOINT, name) for name in ("first", "second", "third")), (LORA, "style"), (UPSCALER, "larger")]
    files = {(kind, name): catalog.find(kind, name) for kind, name in named}
    return Memory(place("cpu", exact=True)), files


@pytest.fixture
def calls(monkeypatch):
    """The rows of each network call."""
    original, calls = engines.denoise, []
    monkeypatch.setattr(engines, "denoise", lambda rows: calls.append(rows) or original(rows))
    return calls


@pytest.fixture
def codings(house, monkeypatch):
    """What was encoded and decoded, by name."""
    found: list[str] = []
    kind = type(house[0].get(house[1][CHECKPOINT, "first"]))
    for name in ("encode_text", "encoding", "decoding"):
        original = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda self, *rest, original=original, name=name, **more: (
            found.append(name) or original(self, *rest, **more)))
    return found


class Plotter:
    """An engine with its events."""

    def __init__(self, house, policy="solo"):
        self.memory, self.files = house
        self.events: list[object] = []
        self.engine = Engine(self.memory, policy, self.events.append)

    def add(self, job: str, request: Request, plot: str = "p") -> None:
        self.engine.add(Run(job, "local", request, tuple(range(request.count)), self.files, plot=plot))

    def step(self) -> bool:
        with torch.inference_mode():
            return self.engine.step()

    def run(self) -> Plotter:
        while self.step():
            assert len(self.events) < 100_000
        return self

    def of(self, kind, job=None):
        return [each for each in self.events if isinstance(each, kind) and job in (None, getattr(each, "job", None))]

    @property
    def pictures(self) -> dict[str, bytes]:
        return {each.job: each.pixels for each in self.of(Picture) if not each.unfinished}


def drawn(house, cells: Mapping[str, Request], policy="solo") -> Plotter:
    """All cells in hand at once."""
    plotter = Plotter(house, policy)
    for job, request in cells.items():
        plotter.add(job, request)
    plotter.run()
    assert not plotter.of(Failed) and len(plotter.of(Done)) == len(cells), plotter.of(Failed)
    return plotter


def one_by_one(house, cells: Mapping[str, Request], plot=True, policy="solo") -> dict[str, bytes]:
    """Each in hand alone: nothing to share. `plot`: at the row count of plots all the same."""
    plotter = Plotter(house, policy)
    for job, request in cells.items():
        plotter.add(job, request, f"plot of {job}" if plot else "")
        plotter.run()
    assert not plotter.of(Failed), plotter.of(Failed)
    return plotter.pictures


def difference(one: Iterable[bytes], other: Iterable[bytes]) -> int:
    """The largest of all pixels."""
    pairs = zip(one, other, strict=True)
    return max(np.abs(np.subtract(*(np.frombuffer(each, np.uint8).astype(int) for each in pair))).max() for pair in pairs)


def hires_cells(**more) -> dict[str, Request]:
    return {str(strength): HIRES.replace(denoising_strength=strength, **more) for strength in STRENGTHS}


def first_passes(calls) -> int:
    """Network calls at the first pass's size."""
    return sum(rows[0].x.shape[-1] == HIRES.width // 8 for rows in calls)


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_one_first_pass_and_one_encoding_for_all_that_differ_later(house, calls, codings, policy):
    cells = hires_cells(prompt=f"a cat, {policy}")
    plotter = drawn(house, cells, policy)
    assert first_passes(calls) == HIRES.steps and codings.count("encode_text") == 2
    for job in cells:
        assert plotter.of(Progress, job)[-1].step == plotter.of(Progress, job)[-1].steps
    alone = one_by_one(house, cells)
    assert len(set(alone.values())) == len(cells)
    found = [plotter.pictures[job] for job in cells]
    assert found == list(alone.values()) if policy == "solo" else difference(found, alone.values()) <= 1
    assert difference(found, one_by_one(house, cells, plot=False).values()) <= 1


def test_one_run_of_the_upscaler_and_one_encoding_of_what_it_made(house, calls, codings, monkeypatch):
    tiles = []
    original = engines.PixelNetworks.answer
    monkeypatch.setattr(engines.PixelNetworks, "answer", lambda self, run, work, owner: tiles.append(work) or original(self, run, work, owner))
    cells = hires_cells(hr_upscaler="larger")
    plotter = drawn(house, cells)
    assert sum(isinstance(work, engines.Enlarge) for work in tiles) == 1
    assert first_passes(calls) == HIRES.steps and codings.count("encoding") == 1
    assert codings.count("decoding") == 1 + len(cells), "the first pass's picture once, and each finished one alone"
    assert plotter.pictures == one_by_one(house, cells)


def test_one_encoding_of_the_source(house, codings):
    png = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(png, "PNG")
    plotter = Plotter(house)
    for strength in STRENGTHS:
        request = PLAIN.replace(init_image="red", denoising_strength=strength)
        plotter.engine.add(Run(str(strength), "local", request, (0,), house[1], {"red": png.getvalue()}, plot="p"))
    assert len(plotter.run().pictures) == len(STRENGTHS) and codings.count("encoding") == 1


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_equal_rows_of_a_call_are_computed_once(house, calls, policy):
    """Guidance begins to differ after the first step, and a LoRA that starts half-way changes nothing before."""
    cells = {f"{scale} {strength}": PLAIN.replace(steps=4, cfg_scale=scale, prompt=f"a cat <lora:style:0:{strength}:start=0.5>")
             for scale, strength in product((3.0, 5.0), (0.2, 0.6))}
    plotter = drawn(house, cells, policy)
    different = [len({row.x.data_ptr() for row in rows}) for rows in calls]
    assert different == [1, 2, 4, 4] and len(calls[0]) == (8 if policy == "solo" else 2)
    alone = one_by_one(house, cells)
    assert len(set(alone.values())) == len(cells)
    found = [plotter.pictures[job] for job in cells]
    assert found == list(alone.values()) if policy == "solo" else difference(found, alone.values()) <= 1


def test_a_cell_is_the_same_whoever_is_beside_it(house, calls):
    cells = {f"{scale} {seed}": PLAIN.replace(cfg_scale=scale, seed=seed) for scale, seed in product((1.0, 3.0, 5.0), (1, 2, 3))}
    together = drawn(house, cells)
    assert {len(rows) for rows in calls} == {8}, "a call that is not full is padded"
    for job in list(cells)[::2]:
        assert drawn(house, {job: cells[job]}).pictures[job] == together.pictures[job]


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_a_refiner_of_the_shared_pass_decodes_for_all(house, policy):
    refined = {"refiner_checkpoint": "second", "refiner_switch_at": 0.5, "hires_fix_refiner_pass": "first pass", "hr_upscaler": "Lanczos"}
    cells = hires_cells(**refined) | {"no second pass": HIRES.replace(denoising_strength=0, **refined)}
    alone, together = one_by_one(house, cells, policy=policy), drawn(house, cells, policy).pictures
    assert difference((together[job] for job in cells), (alone[job] for job in cells)) <= 1


def test_all_cells_tell_what_the_shared_pass_used(house):
    cells = hires_cells(prompt="a cat <lora:style:0.8>", hr_prompt="a dog")
    told = [(each.facts["Lora hashes"], each.notes) for each in drawn(house, cells).of(Picture)]
    assert len(told) == len(cells) and len(set(told)) == 1 and "style" in told[0][1][0]


@pytest.mark.parametrize("policy", ["solo", "packed"])
@pytest.mark.parametrize("command", ["cancel", "skip"])
def test_a_cell_that_ends_in_the_shared_pass_harms_no_other(house, policy, command):
    cells = hires_cells()
    undisturbed = drawn(house, cells, policy).pictures
    first, *others = cells
    plotter = Plotter(house, policy)
    for job, request in cells.items():
        plotter.add(job, request)
    while not plotter.of(Progress):
        plotter.step()
    assert {each.job for each in plotter.of(Progress)} == {first}
    getattr(plotter.engine, command)(first)
    plotter.run()
    assert {each.job for each in plotter.of(Done)} >= set(others) and not plotter.of(Failed)
    assert plotter.of(Cancelled if command == "cancel" else Skipped, first)
    assert [e.unfinished for e in plotter.of(Picture, first)] == [True], "it is shown as far as it came"
    assert {job: plotter.pictures[job] for job in others} == {job: undisturbed[job] for job in others}


def test_who_waits_can_be_stopped_too(house):
    cells = hires_cells()
    plotter = Plotter(house)
    for job, request in cells.items():
        plotter.add(job, request)
    while not plotter.of(Progress):
        plotter.step()
    first, second, *_ = cells
    plotter.engine.cancel(second)
    assert plotter.of(Cancelled, second) and not plotter.of(Picture)
    assert set(plotter.run().pictures) == cells.keys() - {second}
    assert not plotter.engine.tasks and first in plotter.pictures


def test_a_cell_that_fails_in_the_shared_pass_leaves_it_to_the_next(house, monkeypatch):
    """The culprit is the first, whose first pass the others wait for."""
    original = engines.denoise

    def denoise(rows):
        if any(row.x.isnan().any() for row in rows):
            raise RuntimeError("poisoned row")
        return original(rows)

    monkeypatch.setattr(engines, "denoise", denoise)
    cells = hires_cells()
    plotter = Plotter(house)
    for job, request in cells.items():
        plotter.add(job, request)
    while not plotter.of(Progress):
        plotter.step()
    maker = next(program for program in plotter.engine.programs if isinstance(program.work, list))
    maker.work = [engines.replace(row, x=row.x * float("nan")) for row in maker.work]
    plotter.run()
    assert [each.job for each in plotter.of(Failed)] == [next(iter(cells))]
    assert len(plotter.pictures) == len(cells) - 1


def test_one_cells_error_is_its_own(house):
    cells = hires_cells() | {"wrong": HIRES.replace(hr_prompt="a <lora:missing:1>")}
    plotter = Plotter(house)
    for job, request in cells.items():
        plotter.add(job, request)
    plotter.run()
    assert [each.job for each in plotter.of(Failed)] == ["wrong"] and len(plotter.pictures) == len(STRENGTHS)


@pytest.mark.parametrize("policy", ["solo", "packed"])
def test_each_checkpoint_is_loaded_once(folder, house, policy, monkeypatch):
    """20 cells over three checkpoints in a memory that holds one, while a turn would be over after two calls."""
    monkeypatch.setattr(admission, "FAIR_CALLS", 2)
    largest = max(house[0].get(house[1][CHECKPOINT, name]).bytes for name in ("first", "second", "third"))
    plotter = Plotter((Memory(place("cpu", exact=True), budget_bytes=int(largest * 1.5)), house[1]), policy)
    cells = [PLAIN.replace(checkpoint=name, seed=seed) for name, seed in product(("first", "second", "third"), range(7))][:20]
    for number, request in enumerate(cells):        # in the order in which a plot queues them
        plotter.add(str(number), request)
    plotter.run()
    assert len(plotter.pictures) == 20
    assert [each.checkpoint for each in plotter.of(Loading) if each.done] == ["first", "second", "third"]


def test_a_single_job_between_the_cells_is_not_passed_over(house):
    plotter = Plotter(house)
    for number in range(3):
        plotter.add(f"early {number}", PLAIN.replace(seed=number))
    plotter.add("single", PLAIN.replace(seed=100), plot="")
    for number in range(3):
        plotter.add(f"late {number}", PLAIN.replace(seed=10 + number))
    order = [each.job for each in plotter.run().of(Picture)]
    assert order.index("single") == 3 and set(order[:3]) == {"early 0", "early 1", "early 2"}
    alone = Plotter(house)
    alone.add("single", PLAIN.replace(seed=100), plot="")
    assert alone.run().pictures["single"] == plotter.pictures["single"]


def test_nothing_is_kept_when_no_cell_is_in_hand_and_short_memory_costs_only_time(house, calls):
    memory, cells = house[0], hires_cells()
    before = drawn(house, cells).pictures
    calls.clear()
    plotter = Plotter(house)
    for job, request in cells.items():
        plotter.add(job, request)
    while len(calls) <= HIRES.steps:
        plotter.step()
        memory.free_idle()
    assert plotter.run().pictures == before
    calls.clear()
    plotter.add("another", HIRES.replace(denoising_strength=0.4))
    plotter.run()
    assert first_passes(calls) == HIRES.steps


def test_the_first_pass_reads_nothing_that_its_key_leaves_out(house, monkeypatch):
    """All that stands in no key is changed at once, and the first pass's latent stays the same to the bit."""
    found = []
    original = pipeline._enlarged

    def enlarged(request, canvas, latent):
        found.append(latent)
        return original(request, canvas, latent)

    monkeypatch.setattr(pipeline, "_enlarged", enlarged)
    other = {
        "hr_upscaler": "Lanczos", "hr_scale": 2.0, "hr_resize_x": 96, "hr_resize_y": 128, "hr_second_pass_steps": 2, "hr_sampler": "DDIM",
        "hr_schedule": "Karras", "hr_prompt": "a dog", "hr_negative_prompt": "bad", "hr_cfg": 3.0, "hr_checkpoint_name": "second",
        "denoising_strength": 0.9, "extra_noise": 0.1, "face_restoration_weight": 0.1, "image_format": "jpg", "image_quality": 5,
        "webp_lossless": True, "folder_pattern": "x", "name_pattern": "y", "save_grid": True, "save_incomplete_images": True,
        "preview_every": 1, "preview_method": "Full", "template": "z", "negative_template": "w", "face_restoration": "None", "detailers": (),
    } | {name: another(FIELDS[name]) for name in READ_LATER if name.startswith("face_")} | {"face_restoration": "None"}
    assert other.keys() == set(READ_LATER)
    plotter = Plotter(house)
    for job, request in {"plain": HIRES, "other": HIRES.replace(**other)}.items():
        plotter.add(job, request, job)
        plotter.run()
    assert [each.job for each in plotter.of(Failed)] == ["other"], "there are no faces to swap, which comes after the passes"
    assert len(found) == 2 and torch.equal(*found)


def another(field: Field):
    """A value of the field that is not its default."""
    if field.kind == "bool":
        return not field.default
    if field.kind in ("int", "float", "seed"):
        return (field.default or 0) + 1
    return {"texts": ("other",), "pictures": ("other",), "records": (Record({"other": 1}),)}.get(field.kind, "other")


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in READ_LATER])
def test_cells_that_the_first_pass_can_tell_apart_share_no_key(name):
    """Each field by itself, those that come one day too; what may be left out is held by the test above."""
    canvas = SimpleNamespace(model=SimpleNamespace(identity="a"), shape=(4, 8, 8))
    other = SimpleNamespace(model=SimpleNamespace(identity="b"), shape=(4, 8, 8))
    request = Request(**{name: another(FIELDS[name])})
    assert first_pass_key(request, canvas) != first_pass_key(Request(), canvas) != first_pass_key(Request(), other)


def red_and_blue() -> dict[str, bytes]:
    found = {}
    for colour in ("red", "blue"):
        png = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(png, "PNG")
        found[colour] = png.getvalue()
    return found


def test_what_differs_in_any_stage_is_shared_in_none(house):
    """Texts, sources, first passes, upscaler's runs, checkpoints: each cell of one plot is the picture that it is alone."""
    base = HIRES.replace(steps=2, hr_second_pass_steps=1)
    later = [{"hr_upscaler": upscaler, "hr_scale": scale, "hr_checkpoint_name": name}
             for upscaler, scale, name in (("Lanczos", 1.5, "first"), ("larger", 1.5, "first"), ("larger", 2.0, "first"), ("larger", 2.0, "second"))]
    first = [{"prompt": "a dog"}, {"negative_prompt": "a dog"}, {"clip_skip": 2}, {"prompt": "a cat <lora:style:1>"}]
    cells = [base.replace(**each) for each in later] + [PLAIN.replace(steps=2, **each) for each in first]
    cells += [PLAIN.replace(steps=1, init_image=picture, denoising_strength=1, **more)
              for picture, more in (("red", {}), ("blue", {}), ("red", {"mask": "blue"}), ("red", {"checkpoint": "second"}))]
    pictures = red_and_blue()

    def made(plot_of):
        plotter = Plotter(house)
        for number, request in enumerate(cells):
            plotter.engine.add(Run(str(number), "local", request, (0,), house[1], pictures, plot=plot_of(number)))
            if plot_of(0) != plot_of(1):
                plotter.run()
        assert not plotter.run().of(Failed), plotter.of(Failed)
        return plotter.pictures

    together, alone = made(lambda number: "p"), made(lambda number: f"plot of {number}")
    assert len(together) == len(cells) and len(set(alone.values())) == len(cells)
    assert [number for number in together if together[number] != alone[number]] == []
