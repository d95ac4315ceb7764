"""Ultralytics' own files: read as data, run with the numbers that ultralytics recorded; what else lies there is named, and never run."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.pickled_objects import read_objects
from backend.catalog.yolo_checkpoints import MAX_PARTS, PARTS, read_yolo
from backend.errors import CheckpointError
from backend.settings import HOME
from backend.worker.device import place
from backend.worker.models import object_detector, yolo_checkpoint

FILES = HOME / "tests" / "data" / "detectors"
NAMES = ("yolov8n-seg", "yolo11n", "yolov9t")
CPU = place("cpu", exact=True)


def shown() -> np.ndarray:
    """The picture that ultralytics was shown, (1, 3, 64, 96), 0..1."""
    rows, columns = np.arange(64)[:, None], np.arange(96)[None]
    waves = np.stack([np.sin(rows / 5 + columns / 7), np.cos(rows / 3 - columns / 9), np.sin(rows * columns / 200)])
    return waves[None].astype(np.float32) / 2 + 0.5


@pytest.mark.parametrize("name", NAMES)
def test_it_gives_the_numbers_that_ultralytics_gives(name: str) -> None:
    detector = yolo_checkpoint.load(FILES / f"{name}.pt", CPU)
    with torch.inference_mode(), np.load(FILES / "recorded.npz") as recorded:
        rows, parts = detector.network(torch.from_numpy(shown()))
        assert rows[0].shape == recorded[name].shape and np.abs(rows[0].numpy() - recorded[name]).max() < 1e-4
        assert (parts is not None) == (f"{name}.parts" in recorded.files)
        assert parts is None or np.abs(parts[0].numpy() - recorded[f"{name}.parts"]).max() < 1e-4
    assert detector.names == ("face", "hand") and detector.side == 640 and detector.bytes < 1 << 20 and not detector.single


def test_a_picture_is_looked_at_by_the_same_rules_as_with_an_export(tmp_path: Path) -> None:
    shutil.copytree(FILES, tmp_path / "ultralytics" / "segm")
    catalog = ModelCatalog((tmp_path,))
    detector = object_detector.load(catalog.find("object_detector", "yolov8n-seg.pt"), CPU)
    picture = np.random.default_rng(3).integers(0, 256, (48, 80, 3), np.uint8)
    found = detector.objects(picture, 0.3)
    assert len(found.boxes) and found.outlines.shape == (len(found.boxes), 48, 80)
    for box, outline in zip(found.boxes.round().astype(int), found.outlines, strict=True):
        left, top, right, bottom = box.clip(0)
        assert not outline[:, :left].any() and not outline[:, right:].any() and not outline[:top].any() and not outline[bottom:].any()
    both = len(detector.objects(picture, 0.3, "face, 1").boxes)
    assert both == len(found.boxes) >= len(detector.objects(picture, 0.3, "hand").boxes)
    assert len(detector.objects(picture, 0).boxes) <= object_detector.MOST, "however unsure"
    assert detector.to(torch.device("cpu")) is detector and detector.device.type == "cpu"


def test_a_detector_is_found_with_and_without_its_ending_and_beside_an_export(tmp_path: Path) -> None:
    for folder in ("adetailer", "yolo"):
        (tmp_path / folder).mkdir()
    shutil.copy(FILES / "yolo11n.pt", tmp_path / "adetailer" / "face_yolo11n.pt")
    catalog = ModelCatalog((tmp_path,))
    assert {catalog.find("object_detector", name).path for name in ("face_yolo11n", "face_yolo11n.pt")} == {str(tmp_path / "adetailer" / "face_yolo11n.pt")}
    (tmp_path / "yolo" / "face_yolo11n.onnx").write_bytes(b"an export")
    catalog.refresh()
    assert catalog.find("object_detector", "face_yolo11n.pt").path.endswith(".pt") and catalog.find("object_detector", "face_yolo11n.onnx").path.endswith(".onnx")


def test_every_part_that_is_known_has_a_layer() -> None:
    assert set(yolo_checkpoint._LAYERS) | {"BatchNorm2d", "DFL"} == PARTS


# ---- what is something else ----

def altered(name: str, folder: Path, change: dict[bytes, bytes]) -> Path:
    """The same file with other words in its pickle."""
    path = folder / f"{name}.pt"
    with zipfile.ZipFile(FILES / f"{name}.pt") as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                for before, after in change.items():
                    assert before in content
                    content = content.replace(before, after)
            new.writestr(entry.filename, content)
    return path


def problem(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_yolo(path)
    with pytest.raises(CheckpointError):
        yolo_checkpoint.load(path, CPU)
    return str(caught.value)


GLOBAL = b"cultralytics.nn.modules.block\nC3k2\n"


@pytest.mark.parametrize("change, told", [
    ({GLOBAL: b"cultralytics.nn.modules.block\nA2C2f\n"}, r"DetectionModel with A2C2f\): export it .*yolo export model=yolo11n.pt format=onnx.*put yolo11n.onnx into models/adetailer"),
    ({b"cultralytics.nn.tasks\nDetectionModel\n": b"cultralytics.nn.tasks\nWorldModel\n", GLOBAL: b"cultralytics.nn.modules.block\nC2fAttn\n"}, r"YOLO-World with C2fAttn\): export it"),
    ({b"cultralytics.nn.tasks\nDetectionModel\n": b"cmodels.yolo\nDetectionModel\n"}, "'models.yolo.DetectionModel', a network of YOLOv5's.*take a detector that ultralytics has trained"),
    ({b"cultralytics.nn.modules.head\nDetect\n": b"cultralytics.nn.modules.head\nClassify\n"}, "tells what a whole picture shows, not where: take a detector of things"),
    ({b"cultralytics.nn.modules.head\nDetect\n": b"cultralytics.nn.modules.head\nOBB\n"}, "finds turned boxes: take a detector of things"),
    ({GLOBAL: b"cos\nsystem\n"}, r"DetectionModel with system\): export"),
], ids=["YOLO12", "World", "YOLOv5", "classes", "turned", "os.system"])
def test_other_networks_are_named_with_what_to_do(tmp_path: Path, change: dict[bytes, bytes], told: str) -> None:
    path = altered("yolo11n", tmp_path, change)
    with pytest.raises(CheckpointError, match=told):
        read_yolo(path)
    with pytest.raises(CheckpointError, match=told):
        yolo_checkpoint.load(path, CPU)


class Calls:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def saved(path: Path, root: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(root, protocol=2))
    return path


def test_nothing_in_a_file_is_ever_run(tmp_path: Path) -> None:
    assert "no network of ultralytics'" in problem(saved(tmp_path / "x.pt", {"model": Calls(tmp_path / "ran"), "ema": Calls(tmp_path / "ran")}))
    assert "no network of ultralytics'" in problem(saved(tmp_path / "y.pt", Calls(tmp_path / "ran")))
    torch.save({"model": Calls(tmp_path / "ran")}, tmp_path / "z.pt")
    assert "no network of ultralytics'" in problem(tmp_path / "z.pt") and not (tmp_path / "ran").exists()


def test_files_of_other_kinds_and_broken_ones(tmp_path: Path) -> None:
    torch.save({"state_dict": OrderedDict({"model.diffusion_model.x": torch.zeros(2)})}, tmp_path / "renamed.pt")
    assert "holds no network of ultralytics'" in problem(tmp_path / "renamed.pt")
    torch.jit.script(torch.nn.ReLU()).save(tmp_path / "script.pt")
    assert "is TorchScript, which is a program" in problem(tmp_path / "script.pt")
    whole = (FILES / "yolov9t.pt").read_bytes()
    for name, content in {"short": whole[:-1000], "empty": b"", "text": b"no network" * 99, "pickle": pickle.dumps({})}.items():
        (tmp_path / f"{name}.pt").write_bytes(content)
        assert "is broken or cut off" in problem(tmp_path / f"{name}.pt")
    assert problem(tmp_path / "missing.pt").startswith("the file cannot be read")


def test_parts_that_hold_each_other_and_layers_that_do_not_fit_are_refused_in_time(tmp_path: Path) -> None:
    """The pickle of a Sequential that holds itself, and files whose numbers are other ones than their parts say."""
    sequential = b"ctorch.nn.modules.container\nSequential\n)\x81"
    inner = b"}X\x08\0\0\0_modulesq\x01"
    circle = sequential + b"q\x02" + inner + b"}(X\x01\0\0\0" + b"0h\x02" + b"X\x01\0\0\0" + b"1h\x02usb"
    network = b"cultralytics.nn.tasks\nDetectionModel\n)\x81}X\x08\0\0\0_modules}X\x05\0\0\0model" + circle + b"ssb"
    with zipfile.ZipFile(tmp_path / "circle.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}X\x03\0\0\0ema" + network + b"s.")
    assert isinstance(read_objects(tmp_path / "circle.pt"), dict) and MAX_PARTS < 1 << 20
    assert "has more parts than any detector" in problem(tmp_path / "circle.pt")
    for change in ({b"_modules": b"_nodules"}, {b"running_var": b"running_bar"}, {b"ctorch\nHalfStorage": b"ctorch\nLongStorage"},
                   {b"\nConcat\n": b"\nIdentity\n"}, {b"X\x06\0\0\0stride": b"X\x06\0\0\0strude"}):
        changed = altered("yolov9t", tmp_path, change)
        with pytest.raises(CheckpointError):
            yolo_checkpoint.load(changed, CPU)


def test_a_tensor_outside_of_its_numbers_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "less.pt"
    with zipfile.ZipFile(FILES / "yolov9t.pt") as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, content[:-2] if "/data/" in entry.filename and len(content) > 100 else content)
    with pytest.raises(CheckpointError, match="is broken or cut off"):
        yolo_checkpoint.load(path, CPU)
    packed = io.BytesIO()
    with zipfile.ZipFile(FILES / "yolov9t.pt") as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    path.write_bytes(packed.getvalue())
    with pytest.raises(CheckpointError, match="is broken or cut off"):
        yolo_checkpoint.load(path, CPU)
