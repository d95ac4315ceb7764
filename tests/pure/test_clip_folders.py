"""CLIP folders as the catalogue tells them: whole ones by name, others with what they lack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from backend.catalog.model_catalog import ModelCatalog
from backend.errors import NotFound

CONFIG = {"model_type": "clip", "text_config": {}, "vision_config": {}}
PROJECTIONS = ("text_projection.weight", "visual_projection.weight")


def clip(models: Path, name: str = "small", config: object = CONFIG, tensors: tuple[str, ...] = PROJECTIONS) -> Path:
    folder = models / "clip" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.json").write_text("{}")
    save_file({name: np.zeros((2, 2), np.float32) for name in tensors}, folder / "model.safetensors")
    return folder


def test_a_folder_is_one_model_by_its_name(tmp_path: Path) -> None:
    clip(tmp_path)
    clip(tmp_path, "openai/large")
    catalog = ModelCatalog((tmp_path,))
    assert [(file.key, file.problem, file.single_file) for file in catalog.usable("clip")] == [("large", "", False), ("small", "", False)]
    small = catalog.find("clip", "small")
    assert small.fingerprint is not None and len(catalog.hash_of(small)) == 64


def test_changed_weights_are_noticed(tmp_path: Path) -> None:
    folder = clip(tmp_path)
    catalog = ModelCatalog((tmp_path,))
    before = catalog.hash_of(catalog.find("clip", "small"))
    save_file({name: np.ones((2, 2), np.float32) for name in PROJECTIONS}, folder / "model.safetensors")
    assert catalog.hash_of(catalog.find("clip", "small")) != before


@pytest.mark.parametrize(("broken", "told"), [
    ({"config": {**CONFIG, "model_type": "siglip"}}, "no CLIP with a text tower and a picture tower"),
    ({"config": {"model_type": "clip", "text_config": {}}}, "no CLIP with a text tower and a picture tower"),
    ({"tensors": PROJECTIONS[:1]}, "lacks the tensor visual_projection.weight"),
])
def test_what_is_none_says_why(tmp_path: Path, broken: dict, told: str) -> None:
    clip(tmp_path, **broken)
    assert told in ModelCatalog((tmp_path,)).find("clip", "small").problem


@pytest.mark.parametrize(("gone", "told"), [("model.safetensors", "lacks model.safetensors"), ("vocab.json", "tokenizer")])
def test_a_folder_that_lacks_a_file_says_which(tmp_path: Path, gone: str, told: str) -> None:
    (clip(tmp_path) / gone).unlink()
    files = ModelCatalog((tmp_path,)).listed("clip")
    assert not files or told in files[0].problem


def test_none_at_all_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no CLIP yet; put a folder with a config.json into models/clip"):
        ModelCatalog((tmp_path,)).find("clip", "demo")
