"""Folders and files that libraries open by themselves, made to hurt: looked at before, refused in time and in a sentence."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.catalog.model_file import CAPTIONER, SEGMENTER, ModelFile
from backend.errors import CheckpointError
from backend.worker.device import place
from backend.worker.draw.trained_preprocessors import load, preprocessor
from backend.worker.models import captioner, segmenter
from tests.tiny import describers
from tests.tiny.test_detailer import sam
from tests.tiny.test_hostile_tensor_files import HOSTILE
from tests.tiny.test_trained_preprocessors import depth

SECONDS = 8.0       # most of it is imports


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    depth(folder)
    sam().save_pretrained(folder / "sam")
    describers.save_blip(folder / "blip")
    return folder


def told(path: Path, *keys: str, value: Any) -> None:
    config = json.loads((path / "config.json").read_text())
    inner = config
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    (path / "config.json").write_text(json.dumps(config))


def asks(side: int) -> Callable[[Path], None]:
    size = {"image_processor_type": "DPTImageProcessor", "do_resize": True, "size": {"height": side, "width": side}}
    return lambda path: (path / "preprocessor_config.json").write_text(json.dumps(size)) and None


def piped(path: Path) -> None:
    (path / "preprocessor_config.json").unlink()
    os.mkfifo(path / "preprocessor_config.json")


HURTS: dict[str, Callable[[Path], None]] = {
    "layers": lambda path: told(path, "backbone_config", "num_hidden_layers", value=10**7),
    "fewer layers": lambda path: told(path, "backbone_config", "num_hidden_layers", value=30_000),
    "necks": lambda path: told(path, "neck_hidden_sizes", value=[8] * 100_000),
    "heads": lambda path: told(path, "backbone_config", "num_attention_heads", value=0),
    "list": lambda path: told(path, "backbone_config", "hidden_size", value=[4]),
    "library": lambda path: told(path, "quantization_config", value={"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "deep": lambda path: (path / "config.json").write_text("[" * 100_000) and None,
    "squares": asks(20_000), "larger squares": asks(10**6), "pipe": piped,
}


@pytest.mark.parametrize("hurt", HURTS)
def test_a_folder_is_refused_in_time_and_in_a_sentence(folders: Path, tmp_path: Path, hurt: str) -> None:
    shutil.copytree(folders / "depth_anything_v2", tmp_path / "x")
    HURTS[hurt](tmp_path / "x")
    started = time.process_time()
    with pytest.raises(CheckpointError, match=r"^x (is not what depth_anything_v2 needs|asks for larger pictures)"):
        load("depth_anything_v2", [tmp_path / "x"])
    assert time.process_time() - started < SECONDS


def test_a_whole_folder_is_read(folders: Path) -> None:
    made = load("depth_anything_v2", [folders / "depth_anything_v2"])
    assert preprocessor("depth_anything_v2", made)(np.zeros((64, 64, 3), np.uint8), 64, 0, 0).shape == (64, 64, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["zeros", "set", "digits", "tensor", "repeated"])
def test_weights_of_a_preprocessor_are_looked_at_before_a_library_opens_them(tmp_path: Path, name: str) -> None:
    torch.save({"w": torch.ones(1), "x": HOSTILE[name]()}, tmp_path / "7_model.pth")
    started = time.process_time()
    with pytest.raises(CheckpointError, match=r"^7_model.pth is not what softedge_teed needs \(7_model.pth: the file "):
        load("softedge_teed", [tmp_path / "7_model.pth"])
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize("kind, name, read", [
    (SEGMENTER, "sam", lambda file: segmenter.load(file, place("cpu", exact=True))),
    (CAPTIONER, "blip", lambda file: captioner.load(file, place("cpu", exact=True)))])
def test_no_network_gets_more_layers_than_any_has(folders: Path, tmp_path: Path, kind: str, name: str, read: Callable[[ModelFile], object]) -> None:
    shutil.copytree(folders / name, tmp_path / "x")
    told(tmp_path / "x", "vision_config", "num_hidden_layers", value=10**7)
    started = time.process_time()
    with pytest.raises(CheckpointError, match=r"^x cannot be loaded: .*more layers than any"):
        read(ModelFile(kind, "x", str(tmp_path / "x")))
    assert time.process_time() - started < SECONDS
