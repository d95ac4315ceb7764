"""Writes models/clip/demo: a transformers CLIP folder with its tokenizer and image processor, in float16."""

from __future__ import annotations

import shutil

import torch
from torch import Tensor
from transformers import CLIPModel

from .clip_pictures import SIDE
from .data import MODEL, PROJECT
from .publish import forget_origin, keep_documents, size, write_json

CLIP = PROJECT / "models" / "clip" / "demo"
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": SIDE},
}


def normalized(pixels: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) in 0..1 as the picture tower takes them."""
    return (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def publish_clip(model: CLIPModel) -> None:
    """Written beside its place and renamed, so that a reader never sees half a model."""
    aside, old = CLIP.with_name(".demo.new"), CLIP.with_name(".demo.old")
    for folder in (aside, old):
        shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(aside)
    for name in TOKENIZER_FILES:
        shutil.copy2(MODEL / "tokenizer" / name, aside / name)
    write_json(aside / "preprocessor_config.json", PROCESSOR)
    forget_origin(aside)
    keep_documents(CLIP, aside)
    if CLIP.exists():
        CLIP.rename(old)
    aside.rename(CLIP)
    shutil.rmtree(old, ignore_errors=True)
    print(f"{CLIP}: {size(CLIP) / 1e6:.2f} MB")
