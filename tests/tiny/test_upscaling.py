"""Upscalers: what their tiles make together is what the whole would have been, whatever the network and the memory."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from spandrel.architectures.GFPGAN import GFPGAN

from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError, OutOfMemory
from backend.worker.device import place
from backend.worker.models.memory import Memory
from backend.worker.models.upscaler import Upscaler, load
from backend.worker.pixels.tile_blender import blended, spans
from backend.worker.pixels.upscaling import Enlarge, Expect, Inspect, enlarged, planned
from tests.tiny import upscalers

PLACE = place("cpu", exact=True)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


def picture(width: int, height: int) -> np.ndarray:
    """Soft colours with edges and fine grain: what shows a seam."""
    across, down = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 6, height))
    layers = [127 + 90 * np.sin(across * (1 + n)) * np.cos(down * (2 - n)) for n in range(3)]
    pixels = np.stack(layers, -1) + np.random.default_rng(5).normal(0, 6, (height, width, 1))
    pixels[height // 3:height // 2, width // 4:width // 2] = (240, 30, 60)
    return pixels.clip(0, 255).astype(np.uint8)


def loaded(state: upscalers.State, folder: Path, name: str = "model.safetensors") -> Upscaler:
    return load(ModelFile("upscaler", "model", str(upscalers.save(state, folder / name))), PLACE)


@torch.inference_mode()
def through(upscaler: Upscaler, pixels: np.ndarray, size: tuple[int, int], tile: int = 0, room: int = 10**9) -> tuple[np.ndarray, dict]:
    """The enlarged picture, and how many tiles were expected and made; `room` is the pixels that memory has room for."""
    program, answer, told = enlarged(pixels, "model", *size), None, {"expected": 0, "made": 0, "refused": 0}
    while True:
        try:
            work = program.send(answer)
        except StopIteration as end:
            return end.value, told
        match work:
            case Inspect():
                answer = replace(upscaler.traits, tile=tile or upscaler.traits.tile)
            case Expect():
                told["expected"] += work.tiles
                answer = None
            case Enlarge():
                fits = work.tile.shape[0] * work.tile.shape[1] <= room
                told["made" if fits else "refused"] += 1
                answer = upscaler.run(work.tile) if fits else None


@pytest.mark.parametrize("length, tile", [(1, 64), (64, 64), (65, 64), (100, 64), (97, 96), (1000, 192), (333, 128)])
@pytest.mark.parametrize("ratio", [1, 1.37, 2, 4])
def test_every_pixel_is_made_once_altogether(length, tile, ratio):
    target = round(length * ratio)
    found, total = spans(length, target, tile), np.zeros(target)
    assert (found[0].start, found[-1].stop, found[0].first, found[-1].end) == (0, length, 0, target)
    for span in found:
        assert span.stop - span.start == min(tile, length) and span.weights.min() >= 0
        total[span.first:span.end] += span.weights
        shown = np.flatnonzero(span.weights)
        edge = 0.2 * 32 * ratio
        assert span.start == 0 or span.first + shown[0] >= span.start * ratio + edge - 1, "a tile's outermost pixels are not used"
    assert np.allclose(total, 1, atol=1e-5)


def test_blending_is_a_ramp_without_steps():
    rows = spans(200, 200, 96)
    blending = blended(rows, rows)
    box, value = next(blending), 0
    with pytest.raises(StopIteration) as end:
        while True:
            value = 200 - value
            shape = box.row.end - box.row.first, box.column.end - box.column.first, 3
            box = blending.send(np.full(shape, value, np.uint8))
    whole = end.value.value.astype(int)
    steps = max(np.abs(np.diff(whole, axis=axis)).max() for axis in (0, 1))
    assert set(np.unique(whole)) >= {0, 200} and steps <= 200 / 16 + 1


@pytest.mark.parametrize("name", upscalers.ARCHITECTURES)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_every_architecture_enlarges(name, ending, tmp_path):
    make, scale = upscalers.ARCHITECTURES[name]
    upscaler = loaded(make(), tmp_path, f"model{ending}")
    assert upscaler.traits.scale == scale and upscaler.bytes > 0
    pixels = picture(53, 41)
    result, told = through(upscaler, pixels, (53 * scale, 41 * scale))
    assert result.shape == (41 * scale, 53 * scale, 3) and result.dtype == np.uint8
    assert told == {"expected": 1, "made": 1, "refused": 0}
    assert np.array_equal(result, through(upscaler, pixels, (53 * scale, 41 * scale))[0])


def test_tiles_of_a_local_network_are_the_whole(tmp_path):
    upscaler = loaded(upscalers.compact(), tmp_path)
    pixels = picture(210, 170)
    whole, _ = through(upscaler, pixels, (840, 680), tile=512)
    tiled, told = through(upscaler, pixels, (840, 680), tile=64)
    assert told["expected"] == told["made"] > 20
    assert np.abs(tiled.astype(int) - whole).max() <= 1, "only rounding"


def test_tiles_scaled_to_another_size_are_the_whole_scaled(tmp_path):
    upscaler = loaded(upscalers.compact(), tmp_path)
    pixels = picture(210, 170)
    whole, _ = through(upscaler, pixels, (840, 680), tile=512)
    tiled, _ = through(upscaler, pixels, (517, 419), tile=80)
    scaled = np.asarray(Image.fromarray(whole).resize((517, 419), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(tiled - scaled).max() <= 2


def test_a_network_that_adds_nothing_is_nearest_neighbours(tmp_path):
    pixels = picture(150, 100)
    result, _ = through(loaded(upscalers.nearest(), tmp_path), pixels, (600, 400), tile=64)
    assert np.array_equal(result, np.asarray(Image.fromarray(pixels).resize((600, 400), Image.Resampling.NEAREST)))


def test_a_grey_network_gives_grey(tmp_path):
    pixels = picture(40, 30)
    result, _ = through(loaded(upscalers.compact(2, channels=1), tmp_path), pixels, (80, 60))
    assert (result == result[..., :1]).all()


def test_networks_that_look_around_get_larger_tiles(tmp_path):
    assert loaded(upscalers.nafnet(), tmp_path).traits.tile > loaded(upscalers.compact(2), tmp_path, "b.safetensors").traits.tile


def test_a_network_whose_numbers_outgrow_float16_goes_on_in_float32(tmp_path):
    state = upscalers.compact(2)
    for layer, factor in ((0, 1e3), (2, 1e3), (4, 1e-3), (6, 1e-3)):
        state[f"body.{layer}.weight"] *= factor
    upscaler, exact = loaded(state, tmp_path), loaded(state, tmp_path, "b.safetensors")
    upscaler.network.half()
    pixels = picture(20, 20)
    difference = np.abs(upscaler.run(pixels).astype(int) - exact.run(pixels))
    assert upscaler.network.dtype == torch.float32 and difference.max() <= 1


@pytest.mark.parametrize("scale, source, target, sizes", [
    (4, (100, 80), (400, 320), [(400, 320)]),
    (4, (100, 80), (150, 120), [(150, 120)]),
    (2, (100, 80), (800, 640), [(200, 160), (400, 320), (800, 640)]),
    (2, (100, 80), (1600, 1280), [(200, 160), (400, 320), (1600, 1280)]),
    (4, (100, 80), (100, 80), [(100, 80)]),
    (4, (100, 80), (50, 40), []),
    (1, (100, 80), (200, 160), [(200, 160)]),
])
def test_a_network_runs_as_often_as_it_takes(scale, source, target, sizes, tmp_path):
    upscaler = loaded(upscalers.compact(scale), tmp_path)
    program, plan = planned("model", source, target), None
    try:
        next(program)
        program.send(upscaler.traits)
    except StopIteration as end:
        plan = end.value
    assert list(plan.steps) == sizes


@pytest.mark.parametrize("name, method", [("Lanczos", Image.Resampling.LANCZOS), ("Nearest", Image.Resampling.NEAREST)])
def test_built_in_ones_ask_for_nothing(name, method):
    pixels = picture(30, 20)
    with pytest.raises(StopIteration) as end:
        next(enlarged(pixels, name, 47, 99))
    assert np.array_equal(end.value.value, np.asarray(Image.fromarray(pixels).resize((47, 99), method)))


def test_short_memory_halves_the_tiles(tmp_path):
    upscaler = loaded(upscalers.nearest(2), tmp_path)
    pixels = picture(300, 200)
    result, told = through(upscaler, pixels, (600, 400), tile=256, room=100 * 100)
    assert result.shape == (400, 600, 3) and told["refused"] == 2
    assert np.array_equal(result[::2, ::2], pixels)
    with pytest.raises(OutOfMemory, match="more memory than there is"):
        through(upscaler, pixels, (600, 400), tile=256, room=10)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('code from the file ran')",)


@pytest.mark.parametrize("content, words", [
    (b"", "broken or cut off"),
    (b"no model at all" * 100, "broken or cut off|could run code"),
    (pickle.dumps({"params": Trap()}), "could run code|broken"),
    (None, "no longer there"),
])
def test_files_that_are_no_upscalers_are_refused_in_a_sentence(content, words, tmp_path):
    path = tmp_path / "bad.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        load(ModelFile("upscaler", "bad", str(path)), PLACE)


@pytest.mark.parametrize("state", [{"a.weight": torch.zeros(3)}, {}, {**upscalers.compact(), "body.2.weight": torch.zeros(2)}], ids=["other", "empty", "misfit"])
def test_tensors_of_something_else_are_refused(state, tmp_path):
    path = tmp_path / "other.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="other cannot be loaded"):
        load(ModelFile("upscaler", "other", str(path)), PLACE)


def test_a_trap_in_a_torch_file_does_not_go_off(tmp_path):
    path = tmp_path / "trap.pth"
    torch.save({"params": Trap()}, path)
    with pytest.raises(CheckpointError, match="could run code"):
        load(ModelFile("upscaler", "trap", str(path)), PLACE)


def test_twenty_switches_stay_within_the_budget(tmp_path):
    files = [ModelFile("upscaler", str(n), str(upscalers.save(upscalers.compact(), tmp_path / f"{n}.pth"))) for n in range(4)]
    each = Path(files[0].path).stat().st_size
    memory = Memory(PLACE, budget_bytes=int(each * 2.5))

    def fetch(file: ModelFile) -> Upscaler:
        return memory.fetch("upscaler", file.key, file.path, lambda: load(file, PLACE))

    for turn in range(20):
        fetch(files[turn % 4])
        assert len(memory.loaded) <= 3 and memory.loaded[-1] == files[turn % 4].key
    assert fetch(files[3]) is fetch(files[3])
    upscalers.save(upscalers.compact(2), Path(files[3].path))
    assert fetch(files[3]).traits.scale == 2, "a changed file is read again"
    assert memory.loaded.count("3") == 1


def test_gfpgan_makes_the_same_face_twice(tmp_path, monkeypatch):
    """A narrow one that adds noise, as trained ones do; a new one's has no strength."""
    def narrow(**sizes):
        return GFPGAN(**{**sizes, "narrow": 1 / 16})

    monkeypatch.setattr("spandrel.architectures.GFPGAN.GFPGAN", narrow)
    state = {name: torch.ones(1) if tensor.shape == (1,) else tensor for name, tensor in upscalers.made(narrow).items()}
    upscaler = loaded(state, tmp_path, "GFPGANv1.4.pth")
    assert upscaler.restores_faces
    face = picture(512, 512)
    with torch.inference_mode():
        first = upscaler.restore(face)
        assert first.shape == face.shape and np.array_equal(first, upscaler.restore(face)), "its noise is not drawn anew"
        assert len(np.unique(first)) > 100


def test_codeformers_weight_reaches_it(tmp_path, monkeypatch):
    upscaler, seen = loaded(upscalers.compact(1), tmp_path), []
    monkeypatch.setattr(type(upscaler.network.architecture), "id", "CodeFormer")
    upscaler.network._model = lambda picture, weight: seen.append((float(picture.min()), float(picture.max()), weight)) or (picture,)
    upscaler.network.__class__ = type("Still", (type(upscaler.network),), {"device": torch.device("cpu"), "dtype": torch.float32})
    face = np.array([[[0, 128, 255]]], np.uint8)
    assert np.array_equal(upscaler.restore(face, 0.25), face) and seen == [(-1.0, 1.0, 0.25)]
