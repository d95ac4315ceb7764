"""Writes models/demo: a complete diffusers folder, put together aside and swapped in at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.42.1",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": False,
}
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
DEFAULTS = {
    "title": "Easel demo",
    "width": 128,
    "height": 128,
    "steps": 20,
    "cfg_scale": 5,
    "example_prompts": [
        "a small red circle and a blue star on a yellow background",
        "purple heart, white background",
        "a big yellow moon in a night sky with stars",
        "green tree, day sky over grass",
        "a red boat over a sea at sunset",
        "an orange house and a green tree on a cyan background",
        "a pink flower on the left and a brown house on the right on a white background",
        "[red:blue:0.5] star, black background",
    ],
}


def publish(autoencoder: Path, text_encoder: Path, tokenizer: Path, unet: Path, target: Path) -> Path:
    """Puts the stages' folders together as `target`; the UNet in float16, the small rest as it was trained.

    The new folder is written beside `target` and renamed, so that a reader never sees half a model.
    """
    aside, old = target.with_name(f".{target.name}.new"), target.with_name(f".{target.name}.old")
    for folder in (aside, old):
        shutil.rmtree(folder, ignore_errors=True)
    AutoencoderKL.from_pretrained(autoencoder).save_pretrained(aside / "vae")
    UNet2DConditionModel.from_pretrained(unet, torch_dtype=torch.float16).save_pretrained(aside / "unet")
    CLIPTextModel.from_pretrained(text_encoder).save_pretrained(aside / "text_encoder")
    shutil.copytree(tokenizer, aside / "tokenizer")
    write_json(aside / "scheduler" / "scheduler_config.json", SCHEDULER)
    write_json(aside / "model_index.json", MODEL_INDEX)
    write_json(aside / "easel.json", DEFAULTS)
    forget_origin(aside)
    keep_documents(target, aside)
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def forget_origin(folder: Path) -> None:
    """Takes the training machine's paths out of the configs, and makes every file readable like its neighbours."""
    for path in folder.glob("*/config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)
        write_json(path, config)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def keep_documents(source: Path, target: Path) -> None:
    """The page about the model, its measured figures and its samples outlive a new publication."""
    for path in (*source.glob("*.md"), *source.glob("measured*.json"), *source.glob("samples*.png")):
        shutil.copy2(path, target / path.name)


def size(folder: Path) -> int:
    """Bytes of all files in `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
