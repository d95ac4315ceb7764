"""Which family of networks a model file holds, told from the names and shapes of its tensors. Nothing is unpickled.

A family is a row of this table and a file of its own for the worker, which the row names. The rules are those of
AUTOMATIC1111's sd_models_config and of diffusers' single-file detection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.catalog.headers import Shapes
from backend.files.regular_files import read_config
from backend.request.output_size import CELL
from backend.table import Table

UNKNOWN = "unknown"
NO_CHECKPOINT = ""

_UNET = "model.diffusion_model."
_FIRST = _UNET + "input_blocks.0.0.weight"
_CONTEXT = _UNET + "input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight"
_XL = "conditioner.embedders.1.model.ln_final.weight"
_OPEN_CLIP = "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight"


@dataclass(frozen=True, slots=True)
class TensorRule:
    """A file has a tensor `name` and, if told, that tensor's `axis` has `size`, and there is `also`.

    `name` and `also` may begin or end with "*".
    """

    name: str
    axis: int = 0
    size: int = 0
    also: str = ""

    def holds(self, shapes: Shapes) -> bool:
        """Whether a file with these tensors is one."""
        if not _has(shapes, self.name) or self.also and not _has(shapes, self.also):
            return False
        shape = shapes.get(self.name, ())
        return not self.size or -len(shape) <= self.axis < len(shape) and shape[self.axis] == self.size


@dataclass(frozen=True, slots=True)
class FolderRule:
    """A diffusers folder is of a `pipeline` (may end with "*"); its denoiser's config has `values`, if told.

    `scheduler`: the name of its scheduler has this in it. `lacks`: it has no such component.
    """

    pipeline: str
    values: Mapping[str, object] = field(default_factory=dict)
    scheduler: str = ""
    lacks: str = ""

    def holds(self, folder: Path, index: Mapping[str, Any]) -> bool:
        """Whether a folder with this model_index.json is one. Raises CheckpointError for a config that is no object."""
        if not _has({str(index.get("_class_name", "")): None}, self.pipeline):
            return False
        if self.scheduler not in str(index.get("scheduler", "")) or self.lacks and (folder / self.lacks).is_dir():
            return False
        config = read_config(folder / "unet" / "config.json") if self.values else {}
        return all(config.get(name) == value for name, value in self.values.items())


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of networks: how its files and folders are told from others, and who loads them.

    `loader` is "module:class" of the worker's side, a `worker.models.base.Model`; "" for a family that Easel cannot
    load. `defaults` are field values that suit it. `cell`: pixels per latent cell; sizes are multiples of it.
    `begins`: it can draw a picture from its first step on. `networks`: its components that LoRAs and their kin change,
    and how the flat names of their modules begin there.
    """

    name: str
    label: str
    files: tuple[TensorRule, ...] = ()
    folders: tuple[FolderRule, ...] = ()
    loader: str = ""
    cell: int = CELL
    defaults: Mapping[str, Any] = field(default_factory=dict)
    begins: bool = True
    networks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def square(side: int) -> dict[str, int]:
    """The default size of a family that learnt from pictures of `side` pixels."""
    return {"width": side, "height": side}


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

_UNET_MODULES = ("lora_unet_", "oft_unet_", "unet_", "model_diffusion_model_", "diffusion_model_")
_CLIP_L = ("clip_l_", "clip_l_transformer_", "text_encoders_clip_l_transformer_")
_CLIP_G = ("clip_g_", "clip_g_transformer_", "text_encoders_clip_g_transformer_")
_TEXT_MODULES = (*_CLIP_L, "lora_te1_", "lora_te_", "oft_te_", "oft_te1_", "text_encoder_", "te1_", "te_")
_TEXT_2_MODULES = (*_CLIP_G, "lora_te2_", "oft_te2_", "text_encoder_2_", "te2_")
_SD1 = {
    "loader": "backend.worker.models.sd1:SD1", "defaults": square(512),
    "networks": {"unet": _UNET_MODULES, "text_encoder": (*_TEXT_MODULES, "cond_stage_model_transformer_")},
}
_SDXL = {
    "loader": "backend.worker.models.sdxl:SDXL", "defaults": square(1024),
    "networks": {"unet": _UNET_MODULES, "text_encoder_2": _TEXT_2_MODULES, "text_encoder": _TEXT_MODULES},
}
_SD2 = {
    "loader": "backend.worker.models.sd2:SD2", "defaults": square(768),
    "networks": {"unet": _UNET_MODULES, "text_encoder": (*_TEXT_MODULES, "cond_stage_model_model_")},
}

# In the order in which they are asked: the first that knows a file has it.
BUILT_IN = (
    Family("playground", "Playground 2.5", (TensorRule("edm_mean"),),
           (FolderRule("StableDiffusionXL*", scheduler="EDM"),)),
    Family("cosxl", "CosXL", (TensorRule("edm_vpred.sigma_max"),)),
    Family("sdxl-refiner", "Stable Diffusion XL refiner",
           (TensorRule("conditioner.embedders.0.model.ln_final.weight"),),
           (FolderRule("StableDiffusionXL*", lacks="text_encoder"),),
           loader="backend.worker.models.sdxl_refiner:SDXLRefiner", defaults=square(1024), begins=False),
    Family("sdxl-inpaint", "Stable Diffusion XL inpainting", (TensorRule(_FIRST, 1, 9, also=_XL),),
           (FolderRule("StableDiffusionXL*", {"in_channels": 9}),), **_SDXL),
    Family("sdxl-edit", "InstructPix2Pix for Stable Diffusion XL", (TensorRule(_FIRST, 1, 8, also=_XL),),
           (FolderRule("StableDiffusionXL*", {"in_channels": 8}),)),
    Family("sdxl", "Stable Diffusion XL",
           (TensorRule(_XL), TensorRule("conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"),
            TensorRule(_UNET + "label_emb.0.0.weight")),
           (FolderRule("StableDiffusionXL*"),), **_SDXL),
    Family("upscaler", "Stable Diffusion x4 upscaler",
           (TensorRule(_UNET + "input_blocks.10.0.skip_connection.bias", also="low_scale_model.*"),),
           (FolderRule("StableDiffusionUpscalePipeline"),)),
    Family("sd2-depth", "Stable Diffusion 2 depth", (TensorRule("depth_model.*"),),
           (FolderRule("StableDiffusionDepth2ImgPipeline"),)),
    Family("sd2-unclip", "Stable unCLIP 2", (TensorRule("embedder.model.ln_final.weight"),),
           (FolderRule("StableUnCLIPImg2ImgPipeline"),)),
    Family("alt", "AltDiffusion", (TensorRule("cond_stage_model.roberta.*"),)),
    Family("sd3", "Stable Diffusion 3", (TensorRule("*joint_blocks.0.context_block.adaLN_modulation.1.bias"),),
           (FolderRule("StableDiffusion3*"),)),
    Family("sd2-inpaint", "Stable Diffusion 2 inpainting", (TensorRule(_FIRST, 1, 9, also=_OPEN_CLIP),),
           (FolderRule("StableDiffusion*", {"use_linear_projection": True, "in_channels": 9}),),
           **_SD2 | {"defaults": square(512)}),
    Family("sd2", "Stable Diffusion 2", (TensorRule(_OPEN_CLIP), TensorRule(_CONTEXT, -1, 1024)),
           (FolderRule("StableDiffusion*", {"cross_attention_dim": 1024}),
            FolderRule("StableDiffusion*", {"use_linear_projection": True, "in_channels": 4})), **_SD2),
    Family("chroma", "Chroma", (TensorRule("*distilled_guidance_layer.norms.0.scale"),), (FolderRule("Chroma*"),)),
    Family("flux", "Flux", (TensorRule("*double_blocks.0.img_attn.norm.key_norm.scale"),), (FolderRule("Flux*"),)),
    Family("sd1-inpaint", "Stable Diffusion 1 inpainting", (TensorRule(_FIRST, 1, 9),),
           (FolderRule("StableDiffusion*", {"in_channels": 9}),), **_SD1),
    Family("sd1-edit", "InstructPix2Pix", (TensorRule(_FIRST, 1, 8),),
           (FolderRule("StableDiffusionInstructPix2PixPipeline"), FolderRule("StableDiffusion*", {"in_channels": 8})),
           **_SD1),
    Family("sd1", "Stable Diffusion 1", (TensorRule(_FIRST, 1, 4),), (FolderRule("StableDiffusion*"),), **_SD1),
)
FAMILIES: Table[Family] = Table("model families", BUILT_IN)
"""Families that extensions add are asked first: they know their own files best."""


def detect(shapes: Shapes) -> str:
    """The family of a single file; NO_CHECKPOINT for adapters, VAEs and other parts; UNKNOWN when no rule holds."""
    return next(_claims(shapes), UNKNOWN)


def _claims(shapes: Shapes) -> Iterator[str]:
    added = [family for family in FAMILIES.values() if family not in BUILT_IN]
    yield from (family.name for family in added if any(rule.holds(shapes) for rule in family.files))
    yield from (NO_CHECKPOINT for name in _ADAPTERS if _has(shapes, name))
    yield from (family.name for family in BUILT_IN if any(rule.holds(shapes) for rule in family.files))
    yield from (NO_CHECKPOINT for name in _PARTS if _has(shapes, name))


def detect_folder(folder: Path) -> str:
    """The family of a diffusers folder, from its model_index.json and UNet config. Raises CheckpointError."""
    index = read_config(folder / "model_index.json")
    asked = sorted(FAMILIES.values(), key=lambda family: family in BUILT_IN)
    return next((family.name for family in asked if any(rule.holds(folder, index) for rule in family.folders)), UNKNOWN)


def defaults(family: str) -> Mapping[str, Any]:
    """Field values that suit a family; none for one that Easel does not know."""
    return FAMILIES[family].defaults if family in FAMILIES else {}


def cell(family: str) -> int:
    """Pixels per latent cell of a family."""
    return FAMILIES[family].cell if family in FAMILIES else CELL


def begins(family: str) -> bool:
    """Whether a family can draw a picture from its first step on; a refiner only ends what another has begun."""
    return family not in FAMILIES or FAMILIES[family].begins


def base(family: str) -> str:
    """The plain family of a variant: inpainting and edit checkpoints take the networks that it takes."""
    return family.partition("-")[0]


def why_not(family: str) -> str:
    """Why a family cannot be used, as a sentence; "" when it can."""
    known = FAMILIES.get(family)
    if known is None:
        return "its tensors are of no family that Easel knows"
    if known.loader:
        return ""
    return f"this is a {known.label} model, and Easel cannot draw with these yet"


def _has(names: Mapping[str, object], pattern: str) -> bool:
    if pattern.startswith("*"):
        return any(name.endswith(pattern[1:]) for name in names)
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names
