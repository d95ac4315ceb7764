"""Tiny CLIPs with random weights, in transformers folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel

from backend.catalog.model_catalog import ModelCatalog
from backend.catalog.model_file import ModelFile

DEMO = Path(__file__).parents[2] / "models" / "demo"
WIDTH = 16


def random_clip(models: Path, name: str = "tiny", seed: int = 0) -> Path:
    """A folder below `models`/clip with the demo's words; its path."""
    vocabulary = json.loads((DEMO / "tokenizer" / "vocab.json").read_text())
    tower = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 8}
    text = {**tower, "vocab_size": len(vocabulary), "bos_token_id": len(vocabulary) - 2, "eos_token_id": len(vocabulary) - 1}
    torch.manual_seed(seed)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={**tower, "image_size": 32, "patch_size": 8}, projection_dim=8))
    folder = models / "clip" / name
    model.save_pretrained(folder)
    for file in (DEMO / "tokenizer").iterdir():
        shutil.copy(file, folder)
    return folder


def clip_file(models: Path, name: str = "tiny") -> ModelFile:
    return ModelCatalog((models,)).find("clip", name)
