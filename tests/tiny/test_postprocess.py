"""Extras through the engine: no checkpoint is loaded, progress counts tiles, faces are found, made clean and put back."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image, ImageDraw

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile
from backend.image import save
from backend.messages import Cancelled, Done, Failed, Loading, Picture, Progress, Run
from backend.request.choices import EXTRAS
from backend.request.request import Request
from backend.worker.device import place
from backend.worker.engine.engine import Engine
from backend.worker.models.face_detector import load as load_detector
from backend.worker.models.memory import Memory
from backend.worker.models.upscaler import Reach
from backend.worker.pixels import pixel_networks as retouch
from backend.worker.pixels import postprocess as extras
from backend.worker.pixels.face_restoration import TEMPLATE, FindFaces, RestoreFace, aligned, alignment, paste, restored
from backend.worker.pixels.postprocess import Goal
from tests.tiny import upscalers
from tests.tiny.ldm import save_folder, tiny
from tests.tiny.test_upscaling import picture

CASES = Path(__file__).parent.parent / "data" / "metadata"
PICTURE = "0" * 64
PLACE = place("cpu", exact=True)
BASE = Request(process=EXTRAS, init_image=PICTURE, seed=1, variation_seed=1)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Room:
    """An engine without any checkpoint."""

    def __init__(self, folder: Path, policy: str = "solo") -> None:
        torch.set_num_threads(1)
        self.events, self.folder = [], folder
        self.engine = Engine(Memory(PLACE), policy, self.events.append)

    def file(self, name: str, state: upscalers.State) -> ModelFile:
        return ModelFile("upscaler", name, str(upscalers.save(state, self.folder / f"{name}.pth")))

    def add(self, request: Request, pixels: np.ndarray, *files: ModelFile, job: str = "mine") -> None:
        self.engine.add(Run(job, "local", request, (0,), {(file.kind, file.key): file for file in files}, {PICTURE: png(pixels)}))

    def run(self) -> Room:
        with torch.inference_mode():
            while self.engine.step():
                pass
        return self

    def of(self, kind: type, job: str = "mine") -> list:
        return [event for event in self.events if isinstance(event, kind) and event.job == job]

    def picture(self, job: str = "mine") -> np.ndarray:
        assert not self.of(Failed, job), self.of(Failed, job)
        (event,) = self.of(Picture, job)
        return np.frombuffer(event.pixels, np.uint8).reshape(event.height, event.width, 3)


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_built_in_upscaler_by_a_factor(room: Room) -> None:
    pixels = picture(40, 30)
    room.add(BASE.replace(upscaler_1="Lanczos", upscale_by=2.5), pixels)
    result = room.run().picture()
    assert np.array_equal(result, np.asarray(Image.fromarray(pixels).resize((100, 75), Image.Resampling.LANCZOS)))
    assert room.of(Done) and not [event for event in room.events if isinstance(event, Loading)]


def test_a_file_in_tiles_tells_its_progress(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.worker.models.upscaler.NEAR", Reach(64, 64, 1 << 30))
    pixels = picture(200, 150)
    room.add(BASE.replace(upscaler_1="sharp", upscale_by=2), pixels, room.file("sharp", upscalers.nearest(2)))
    result = room.run().picture()
    assert np.array_equal(result[::2, 1::2], pixels)
    steps = [(event.step, event.steps) for event in room.of(Progress)]
    assert len(steps) > 6 and steps == [(n + 1, len(steps)) for n in range(len(steps))]


def test_two_are_blended_by_the_visibility_of_the_second(room: Room) -> None:
    pixels = picture(40, 30)
    request = BASE.replace(upscaler_1="Nearest", upscaler_2="plain", upscaler_2_visibility=0.25, upscale_by=2)
    room.add(request, pixels, room.file("plain", upscalers.compact(2)))
    first, mixed = (np.asarray(Image.fromarray(pixels).resize((80, 60), Image.Resampling.NEAREST)).astype(float), room.run().picture())
    other = Room(room.folder)
    other.add(request.replace(upscaler_1="plain", upscaler_2="None"), pixels, room.file("plain", upscalers.compact(2)))
    assert np.abs(mixed - (first * 0.75 + other.run().picture() * 0.25)).max() <= 1


@pytest.mark.parametrize("values, size, crop", [
    ({"upscale_by": 2}, (200, 100), (200, 100)),
    ({"upscale_by": 0.5}, (50, 25), (50, 25)),
    ({"upscale_to_width": 300}, (300, 150), (300, 150)),
    ({"upscale_to_height": 300}, (600, 300), (600, 300)),
    ({"upscale_to_width": 200, "upscale_to_height": 200}, (400, 200), (200, 200)),
    ({"upscale_to_width": 200, "upscale_to_height": 200, "upscale_crop": False}, (400, 200), (400, 200)),
    ({"upscale_to_width": 333, "upscale_to_height": 77}, (333, 166), (333, 77)),
    ({"upscale_by": 0.1}, (10, 5), (10, 5)),
])
def test_sizes_by_factor_and_to_a_size(values: dict, size: tuple, crop: tuple) -> None:
    goal = Goal.of(BASE.replace(**values), (100, 50))
    assert (goal.size, goal.crop) == (size, crop)
    assert goal.cut(np.zeros((size[1], size[0], 3), np.uint8)).shape == (crop[1], crop[0], 3)


def test_a_crop_takes_the_middle(room: Room) -> None:
    pixels = picture(100, 50)
    room.add(BASE.replace(upscaler_1="Nearest", upscale_to_width=50, upscale_to_height=50), pixels)
    assert np.array_equal(room.run().picture(), pixels[:, 25:75])


def test_one_pixel_becomes_many(room: Room) -> None:
    room.add(BASE.replace(upscaler_1="sharp", upscale_by=16), np.full((1, 1, 3), 77, np.uint8), room.file("sharp", upscalers.nearest(2)))
    assert room.run().picture().shape == (16, 16, 3) and (room.picture() == 77).all()


def test_what_would_be_too_large_names_its_field(room: Room) -> None:
    room.add(BASE.replace(upscaler_1="Lanczos", upscale_to_width=16384, upscale_to_height=16384), np.zeros((10, 1000, 3), np.uint8))
    problem = room.run().of(Failed)[0].problems[0]
    assert problem.field == "upscale_to_width" and "megapixels" in problem.message


def test_nothing_to_do_gives_the_picture_with_a_note(room: Room) -> None:
    pixels = picture(30, 20)
    room.add(BASE, pixels)
    assert np.array_equal(room.run().picture(), pixels) and room.of(Picture)[0].notes == (extras.NOTHING,)


def test_a_cancel_comes_between_two_tiles(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.worker.models.upscaler.NEAR", Reach(64, 64, 1 << 30))
    room.add(BASE.replace(upscaler_1="sharp", upscale_by=2), picture(400, 300), room.file("sharp", upscalers.nearest(2)))
    with torch.inference_mode():
        while len(room.of(Progress)) < 3:
            room.engine.step()
        room.engine.cancel("mine")
    room.run()
    assert room.of(Cancelled) and len(room.of(Progress)) == 3 and not room.of(Picture)


def test_short_memory_is_lived_with(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    run = retouch.Upscaler.run

    def narrow(self: retouch.Upscaler, pixels: np.ndarray) -> np.ndarray:
        if pixels.shape[0] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, pixels)

    monkeypatch.setattr(retouch.Upscaler, "run", narrow)
    pixels = picture(250, 150)
    room.add(BASE.replace(upscaler_1="sharp", upscale_by=2), pixels, room.file("sharp", upscalers.nearest(2)))
    assert np.array_equal(room.run().picture()[::2, ::2], pixels)
    monkeypatch.setattr(retouch.Upscaler, "run", lambda self, pixels: narrow(self, np.zeros((200, 1, 3), np.uint8)))
    room.add(BASE.replace(upscaler_1="sharp", upscale_by=2), pixels, room.file("sharp", upscalers.nearest(2)), job="other")
    assert "more memory than there is" in room.run().of(Failed, "other")[0].problems[0].message


def test_a_file_that_went_bad_names_the_field(room: Room) -> None:
    (room.folder / "bad.pth").write_bytes(b"x")
    room.add(BASE.replace(upscaler_1="bad"), picture(9, 9), ModelFile("upscaler", "bad", str(room.folder / "bad.pth")))
    problem = room.run().of(Failed)[0].problems[0]
    assert problem.field == "upscaler_1" and "bad cannot be loaded" in problem.message


def test_packed_jobs_all_come_to_their_end(tmp_path: Path) -> None:
    room = Room(tmp_path, "packed")
    file = room.file("sharp", upscalers.nearest(2))
    for n in range(4):
        room.add(BASE.replace(upscaler_1="sharp", upscale_by=2), picture(20 + n, 20), file, job=str(n))
    room.run()
    assert [room.picture(str(n)).shape for n in range(4)] == [(40, 40 + 2 * n, 3) for n in range(4)]


def test_drawing_comes_between_the_tiles_when_jobs_are_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.worker.models.upscaler.NEAR", Reach(64, 64, 1 << 30))
    save_folder(tiny(seed=1), tmp_path / "models" / "checkpoints" / "first")
    (checkpoint,) = ModelCatalog((tmp_path / "models",)).scan()
    room = Room(tmp_path, "packed")
    room.add(BASE.replace(upscaler_1="sharp", upscale_by=2), picture(300, 300), room.file("sharp", upscalers.nearest(2)))
    drawn = Request(prompt="a cat", steps=6, width=64, height=64, seed=1, variation_seed=1, preview_every=0)
    room.engine.add(Run("drawn", "local", drawn, (0,), {("checkpoint", ""): checkpoint}))
    room.run()
    order = [event.job for event in room.events if isinstance(event, Progress)]
    first, last = order.index("drawn"), len(order) - 1 - order[::-1].index("drawn")
    assert order.count("drawn") == 6 and order[first:last + 1].count("mine") >= 5, "they take turns"
    assert room.picture().shape == (600, 600, 3) and room.of(Done, "drawn")


# ---- faces ----


def turned(degrees: float, scale: float, across: float, down: float) -> np.ndarray:
    angle = math.radians(degrees)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([turn, [across, down]])


@pytest.mark.parametrize("degrees, scale", [(0, 1), (30, 0.4), (-75, 0.2), (180, 0.7)])
def test_a_turned_face_is_brought_upright(degrees: float, scale: float) -> None:
    there = turned(degrees, scale, 300, 250)
    points = np.column_stack([TEMPLATE, np.ones(5)]) @ there.T
    found = alignment(points)
    assert np.allclose(np.column_stack([points, np.ones(5)]) @ found.T, TEMPLATE, atol=1e-6)


def test_a_face_put_back_unchanged_changes_nothing_to_see() -> None:
    pixels = np.asarray(Image.fromarray(picture(60, 50)).resize((600, 500), Image.Resampling.BICUBIC))
    points = np.column_stack([TEMPLATE, np.ones(5)]) @ turned(20, 0.5, 250, 80).T
    turn, result = alignment(points), pixels.copy()
    paste(result, aligned(pixels, turn), turn)
    difference = np.abs(result.astype(int) - pixels)
    assert difference.mean() < 0.5 and np.percentile(difference, 99) <= 4
    assert np.array_equal(result[:20], pixels[:20])


def test_the_edge_of_a_face_is_feathered() -> None:
    pixels = np.zeros((512, 512, 3), np.uint8)
    paste(pixels, np.full((512, 512, 3), 200, np.uint8), alignment(TEMPLATE))
    assert (pixels[256, 100:400] == 200).all() and pixels[0, 256].max() <= 4
    assert np.abs(np.diff(pixels[256, :, 0].astype(int))).max() <= 6


def test_a_face_at_the_border_is_put_back_too() -> None:
    pixels = picture(100, 80)
    points = np.column_stack([TEMPLATE, np.ones(5)]) @ turned(0, 0.3, -60, -70).T
    result = drive(restored(pixels, "GFPGAN"), [points], np.full((512, 512, 3), 9, np.uint8))[0]
    assert result.shape == pixels.shape and not np.array_equal(result, pixels)


def drive(program, points: list, face: np.ndarray) -> tuple:
    answer = None
    while True:
        try:
            work = program.send(answer)
        except StopIteration as end:
            return end.value
        answer = points if isinstance(work, FindFaces) else face
        assert not isinstance(work, RestoreFace) or work.face.shape == (512, 512, 3)


def test_tiny_faces_are_left_alone() -> None:
    pixels = picture(64, 64)
    result, found = drive(restored(pixels, "GFPGAN"), [TEMPLATE / 100], np.zeros((512, 512, 3), np.uint8))
    assert found == 0 and np.array_equal(result, pixels)


def detector(folder: Path, faces: list[tuple[int, np.ndarray]]) -> ModelFile:
    """A network in SCRFD's form that always sees the same: (cell of the stride 32, points as offsets in strides)."""
    outputs, nodes = [], []
    for kind, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in (8, 16, 32):
            values = np.zeros((2 * (640 // stride) ** 2, width), np.float32)
            for cell, points in faces if stride == 32 else ():
                values[2 * cell] = {"score": 0.9, "box": 2.0}.get(kind, 0) if kind != "points" else points.reshape(-1)
                values[2 * cell + 1] = values[2 * cell] * 0.95 if kind == "score" else values[2 * cell]
            name = f"{kind}{stride}"
            tensor = helper.make_tensor(f"{name}_value", TensorProto.FLOAT, values.shape, values.ravel())
            nodes.append(helper.make_node("Constant", [], [name], value=tensor))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
    entry = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "h", "w"])
    model = helper.make_model(helper.make_graph(nodes, "scrfd", [entry], outputs), opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 9
    onnx.save(model, folder / "det_test.onnx")
    return ModelFile("face_detector", "", str(folder / "det_test.onnx"))


def test_faces_are_found_at_their_place_and_once(tmp_path: Path) -> None:
    points = np.array([[-1, -1], [1, -1], [0, 0], [-0.8, 1], [0.8, 1]], float)
    found = load_detector(detector(tmp_path, [(5 * 20 + 7, points)]), PLACE).faces(np.zeros((320, 160, 3), np.uint8))
    assert len(found) == 1, "the double with the lower score is left out"
    assert np.allclose(found[0], (points * 32 + (7 * 32, 5 * 32)) / 2)


class Restorer:
    """In place of a network of 300 MB: paints the face's middle white."""

    bytes, device = 0, torch.device("cpu")

    def to(self, device: torch.device) -> Restorer:
        return self

    def restore(self, face: np.ndarray, weight: float) -> np.ndarray:
        image = Image.fromarray(face)
        ImageDraw.Draw(image).ellipse((200, 200, 312, 312), fill=(255, 255, round(weight * 100)))
        return np.asarray(image)


@pytest.mark.parametrize("visibility", [1.0, 0.5])
def test_faces_are_made_clean_before_the_picture_grows(room: Room, monkeypatch: pytest.MonkeyPatch, visibility: float) -> None:
    monkeypatch.setattr("backend.worker.models.upscaler.load", lambda file, placement: Restorer())
    points = (TEMPLATE * 0.5 - (0, 0)) / 32 - (4, 4)
    finder = detector(room.folder, [(4 * 20 + 4, points)])
    request = BASE.replace(codeformer_visibility=visibility, codeformer_weight=0.5, upscaler_1="Nearest", upscale_by=2)
    room.add(request, np.zeros((640, 640, 3), np.uint8), finder, ModelFile("face_restorer", "CodeFormer", "there"))
    result = room.run().picture()
    assert result.shape == (1280, 1280, 3)
    middle = result[256, 256]
    assert np.abs(middle.astype(int) - np.array([255, 255, 50]) * visibility).max() <= 2
    assert not result[700:].any()


def test_where_no_face_is_found_the_picture_stays_and_a_note_says_so(room: Room) -> None:
    pixels = picture(64, 48)
    room.add(BASE.replace(gfpgan_visibility=1.0), pixels, detector(room.folder, []), ModelFile("face_restorer", "GFPGAN", "there"))
    assert np.array_equal(room.run().picture(), pixels) and room.of(Picture)[0].notes == (extras.NO_FACES,)


def test_a_detector_that_is_none_names_the_field(room: Room) -> None:
    (room.folder / "det.onnx").write_bytes(b"no network")
    room.add(BASE.replace(gfpgan_visibility=1.0), picture(9, 9), ModelFile("face_detector", "", str(room.folder / "det.onnx")))
    problem = room.run().of(Failed)[0].problems[0]
    assert problem.field == "gfpgan_visibility" and "cannot be loaded" in problem.message


def see_through(room: Room) -> np.ndarray:
    (event,) = room.run().of(Picture)
    return np.asarray(save.to_image(event))


@pytest.mark.parametrize("values", [{"upscale_by": 2.0}, {"upscale_to_width": 32, "upscale_to_height": 24}, {"upscale_by": 2.0, "upscale_first": True}])
def test_what_is_transparent_stays_so(room: Room, values: dict) -> None:
    pixels = np.asarray(Image.open(CASES / "transparent.png"))
    assert pixels.shape == (12, 16, 4)
    room.add(BASE.replace(upscaler_1="Lanczos", **values), pixels)
    result = see_through(room)
    assert result.shape == (24, 32, 4)
    assert (result[:, :14, 3] == 255).all() and (result[:, 18:, 3] == 0).all()


def test_a_jpeg_has_it_white() -> None:
    data = save.encode(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "JPEG", "")
    assert min(Image.open(io.BytesIO(data)).getpixel((4, 4))) > 250
    assert Image.open(io.BytesIO(save.encode(Image.new("RGBA", (8, 8), (255, 0, 0, 9)), "WEBP", ""))).mode == "RGBA"
