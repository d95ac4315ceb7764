"""Which family of networks a model file holds, told from the names and shapes of its tensors. Nothing is unpickled.

The rules are those of AUTOMATIC1111's sd_models_config and of diffusers' single-file detection, as one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.catalog.headers import Shapes
from backend.catalog.regular_files import read_config

LOADABLE = ("sd1", "sd1-inpaint", "sd1-edit")
"""Families that the worker can load."""

UNKNOWN = "unknown"
NO_CHECKPOINT = ""

LABELS = {
    "sd1": "Stable Diffusion 1",
    "sd1-inpaint": "Stable Diffusion 1 inpainting",
    "sd1-edit": "InstructPix2Pix",
    "sd2": "Stable Diffusion 2",
    "sd2-inpaint": "Stable Diffusion 2 inpainting",
    "sd2-depth": "Stable Diffusion 2 depth",
    "sd2-unclip": "Stable unCLIP 2",
    "sdxl": "Stable Diffusion XL",
    "sdxl-inpaint": "Stable Diffusion XL inpainting",
    "sdxl-refiner": "Stable Diffusion XL refiner",
    "playground": "Playground 2.5",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
    "chroma": "Chroma",
    "upscaler": "Stable Diffusion x4 upscaler",
    "alt": "AltDiffusion",
}

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
    "StableDiffusionXLImg2ImgPipeline": "sdxl-refiner",
    "StableDiffusionInstructPix2PixPipeline": "sd1-edit",
    "StableDiffusionDepth2ImgPipeline": "sd2-depth",
    "StableDiffusionUpscalePipeline": "upscaler",
    "StableUnCLIPImg2ImgPipeline": "sd2-unclip",
    "StableDiffusionXLInpaintPipeline": "sdxl-inpaint",
}
_PIPELINE_STARTS = {"StableDiffusionXL": "sdxl", "StableDiffusion3": "sd3", "Flux": "flux", "Chroma": "chroma"}


def detect(shapes: Shapes) -> str:
    """The family of a single file; NO_CHECKPOINT for adapters, VAEs and other parts; UNKNOWN when no rule holds."""
    return next((rule.family for rule in RULES if rule.holds(shapes)), UNKNOWN)


def detect_folder(folder: Path) -> str:
    """The family of a diffusers folder, from its model_index.json and UNet config. Raises CheckpointError."""
    pipeline = str(read_config(folder / "model_index.json").get("_class_name", ""))
    if pipeline in _PIPELINES:
        return _PIPELINES[pipeline]
    for start, family in _PIPELINE_STARTS.items():
        if pipeline.startswith(start):
            return family
    if not pipeline.startswith("StableDiffusion"):
        return UNKNOWN
    unet = read_config(folder / "unet" / "config.json")
    version = "sd2" if unet.get("cross_attention_dim") == 1024 else "sd1"
    channels = unet.get("in_channels", 4)
    return version + ({9: "-inpaint", 8: "-edit"}.get(channels, "") if isinstance(channels, int) else "")


def why_not(family: str) -> str:
    """Why a family cannot be used, as a sentence; "" when it can."""
    if family in LOADABLE:
        return ""
    if family in LABELS:
        return f"this is a {LABELS[family]} model; Easel draws with Stable Diffusion 1 models so far"
    return "its tensors are of no family that Easel knows"


def _has(names: Mapping[str, object], pattern: str) -> bool:
    if pattern.startswith("*"):
        return any(name.endswith(pattern[1:]) for name in names)
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names
