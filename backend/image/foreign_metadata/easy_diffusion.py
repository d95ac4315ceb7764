"""Easy Diffusion: a chunk for each setting, or all of them as JSON; by its own names or as its page shows them."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from backend.image.foreign_metadata.settings_text import listed, model_name, sampling, settings_text, size
from backend.image.foreign_metadata.texts import COMMENT, PARAMETERS, Texts

NAMES = {
    "prompt": "Prompt", "negative_prompt": "Negative Prompt", "seed": "Seed", "num_inference_steps": "Steps",
    "guidance_scale": "Guidance Scale", "width": "Width", "height": "Height", "sampler_name": "Sampler",
    "use_stable_diffusion_model": "Stable Diffusion model", "clip_skip": "Clip Skip",
    "use_lora_model": "LoRA model", "lora_alpha": "LoRA Strength", "tiling": "Seamless Tiling",
}  # fmt: skip


def is_by_easy_diffusion(texts: Texts) -> bool:
    told = _table(texts)
    return any(told.get(name) is not None for name in _both("guidance_scale")) and any(
        name in told for name in _both("num_inference_steps"))


def from_easy_diffusion(texts: Texts) -> str:
    table = _table(texts)
    told = {name: next((table[key] for key in _both(name) if key in table), None) for name in NAMES}
    names = [name for name in listed(told["use_lora_model"]) if name != "None"]
    return settings_text("Easy Diffusion", told["prompt"], told["negative_prompt"], {
        "Steps": told["num_inference_steps"], **sampling(told["sampler_name"]), "CFG scale": told["guidance_scale"],
        "Seed": told["seed"], "Size": size(told["width"], told["height"]),
        "Model": model_name(told["use_stable_diffusion_model"]),
        "Clip skip": 2 if str(told["clip_skip"]).lower() == "true" else None,
        "Tiling": "True" if told["tiling"] == "xy" else None},
        zip_longest(names, listed(told["lora_alpha"])[:len(names)]))


def _both(name: str) -> tuple[str, str]:
    return name, NAMES[name]


def _table(texts: Texts) -> dict[str, Any]:
    return texts.table(COMMENT, PARAMETERS) or dict(texts.by_place)
