"""Which family of networks a model file holds, told from the names and shapes of its tensors. Nothing is unpickled.

The rules are those of AUTOMATIC1111's sd_models_config and of diffusers' single-file detection, as one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.catalog.headers import Shapes
from backend.catalog.regular_files import read_config

UNKNOWN = "unknown"
NO_CHECKPOINT = ""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of networks. `side`: pixels of the pictures that they learnt from, 0 for a family that is not loaded."""

    label: str
    side: int = 0


FAMILIES = {
    "sd1": Family("Stable Diffusion 1", 512),
    "sd1-inpaint": Family("Stable Diffusion 1 inpainting", 512),
    "sd1-edit": Family("InstructPix2Pix", 512),
    "sd2": Family("Stable Diffusion 2"),
    "sd2-inpaint": Family("Stable Diffusion 2 inpainting"),
    "sd2-depth": Family("Stable Diffusion 2 depth"),
    "sd2-unclip": Family("Stable unCLIP 2"),
    "sdxl": Family("Stable Diffusion XL", 1024),
    "sdxl-inpaint": Family("Stable Diffusion XL inpainting", 1024),
    "sdxl-edit": Family("InstructPix2Pix for Stable Diffusion XL"),
    "sdxl-refiner": Family("Stable Diffusion XL refiner"),
    "playground": Family("Playground 2.5"),
    "sd3": Family("Stable Diffusion 3"),
    "flux": Family("Flux"),
    "chroma": Family("Chroma"),
    "upscaler": Family("Stable Diffusion x4 upscaler"),
    "alt": Family("AltDiffusion"),
}
LOADABLE = tuple(name for name, family in FAMILIES.items() if family.side)
"""Families that the worker can load."""

_UNET = "model.diffusion_model."
_FIRST = _UNET + "input_blocks.0.0.weight"
_CONTEXT = _UNET + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
_XL = "conditioner.embedders.1.model.ln_final.weight"
_OPEN_CLIP = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"


@dataclass(frozen=True, slots=True)
class Rule:
    """A file belongs to `family` when it has a tensor `name` and, if told, that tensor's `axis` has `size`, and `also`.

    `name` and `also` may begin or end with "*". The first rule that holds wins; NO_CHECKPOINT hides the file.
    """

    family: str
    name: str
    axis: int = 0
    size: int = 0
    also: str = ""

    def holds(self, shapes: Shapes) -> bool:
        if not _has(shapes, self.name) or self.also and not _has(shapes, self.also):
            return False
        shape = shapes.get(self.name, ())
        return not self.size or -len(shape) <= self.axis < len(shape) and shape[self.axis] == self.size


_ADAPTERS = (
    "*.lora_down.weight", "*.lora_up.weight", "*.lora_A.weight", "*.lora.down.weight", "*.hada_w1_a", "*.lokr_w1",
    "*.lokr_w1_a", "*.oft_blocks", "*.oft_diag", "*.dora_scale", "*.on_input", "*.diff", "*.a1.weight",
    "control_model.*", "controlnet_*", "input_hint_block.*", "lora_controlnet", "task_embedding",
    "image_proj.*", "ip_adapter.*", "adapter.body.*", "body.0.block1.weight",
    "emb_params", "clip_l", "string_to_param*",
)
_PARTS = (
    "encoder.conv_in.weight", "decoder.conv_in.weight", "first_stage_model.*", "vae.*", "text_model.*",
    "encoder.block.0.*", "shared.weight", "vision_model.*", "params_ema*", "conv_first.weight",
)

RULES = (
    *(Rule(NO_CHECKPOINT, name) for name in _ADAPTERS),
    Rule("playground", "edm_mean"),
    Rule("sdxl-inpaint", _FIRST, 1, 9, also=_XL),
    Rule("sdxl-edit", _FIRST, 1, 8, also=_XL),
    Rule("sdxl", _XL),
    Rule("sdxl", "conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"),
    Rule("sdxl-refiner", "conditioner.embedders.0.model.ln_final.weight"),
    Rule("sdxl", _UNET + "label_emb.0.0.weight"),
    Rule("upscaler", _UNET + "input_blocks.10.0.skip_connection.bias", also="low_scale_model.*"),
    Rule("sd2-depth", "depth_model.*"),
    Rule("sd2-unclip", "embedder.model.ln_final.weight"),
    Rule("alt", "cond_stage_model.roberta.*"),
    Rule("sd2-inpaint", _FIRST, 1, 9, also=_OPEN_CLIP),
    Rule("sd2", _OPEN_CLIP),
    Rule("sd2", _CONTEXT, -1, 1024),
    Rule("sd3", "*joint_blocks.0.context_block.adaLN_modulation.1.bias"),
    Rule("chroma", "*distilled_guidance_layer.norms.0.scale"),
    Rule("flux", "*double_blocks.0.img_attn.norm.key_norm.scale"),
    Rule("sd1-inpaint", _FIRST, 1, 9),
    Rule("sd1-edit", _FIRST, 1, 8),
    Rule("sd1", _FIRST, 1, 4),
    *(Rule(NO_CHECKPOINT, name) for name in _PARTS),
)

_PIPELINES = {
    "StableDiffusionInstructPix2PixPipeline": "sd1-edit",
    "StableDiffusionDepth2ImgPipeline": "sd2-depth",
    "StableDiffusionUpscalePipeline": "upscaler",
    "StableUnCLIPImg2ImgPipeline": "sd2-unclip",
}
# In this order; "" where the UNet's config tells the rest
_PIPELINE_STARTS = {"StableDiffusionXL": "", "StableDiffusion3": "sd3", "Flux": "flux", "Chroma": "chroma",
                    "StableDiffusion": ""}


def detect(shapes: Shapes) -> str:
    """The family of a single file; NO_CHECKPOINT for adapters, VAEs and other parts; UNKNOWN when no rule holds."""
    return next((rule.family for rule in RULES if rule.holds(shapes)), UNKNOWN)


def detect_folder(folder: Path) -> str:
    """The family of a diffusers folder, from its model_index.json and UNet config. Raises CheckpointError."""
    index = read_config(folder / "model_index.json")
    pipeline = str(index.get("_class_name", ""))
    if pipeline in _PIPELINES:
        return _PIPELINES[pipeline]
    start = next((start for start in _PIPELINE_STARTS if pipeline.startswith(start)), "")
    if not start:
        return UNKNOWN
    if start == "StableDiffusionXL" and "EDM" in str(index.get("scheduler", "")):
        return "playground"
    if start == "StableDiffusionXL" and not (folder / "text_encoder").is_dir():
        return "sdxl-refiner"
    return _PIPELINE_STARTS[start] or _by_unet(start, read_config(folder / "unet" / "config.json"))


def _by_unet(pipeline: str, config: Mapping[str, Any]) -> str:
    """The family of a folder whose pipeline does not tell enough."""
    version = "sd2" if config.get("cross_attention_dim") == 1024 else "sd1"
    channels = config.get("in_channels", 4)
    suffix = {9: "-inpaint", 8: "-edit"}.get(channels, "") if isinstance(channels, int) else ""
    return ("sdxl" if pipeline == "StableDiffusionXL" else version) + suffix


def defaults(family: str) -> dict[str, int]:
    """Field values that suit a family: the size of the pictures that it learnt from."""
    side = FAMILIES[family].side if family in FAMILIES else 0
    return {"width": side, "height": side} if side else {}


def why_not(family: str) -> str:
    """Why a family cannot be used, as a sentence; "" when it can."""
    if family in LOADABLE:
        return ""
    if family in FAMILIES:
        return f"this is a {FAMILIES[family].label} model; Easel draws with Stable Diffusion 1 and XL models so far"
    return "its tensors are of no family that Easel knows"


def _has(names: Mapping[str, object], pattern: str) -> bool:
    if pattern.startswith("*"):
        return any(name.endswith(pattern[1:]) for name in names)
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names
