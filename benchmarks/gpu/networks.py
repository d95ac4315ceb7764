"""The networks that are measured on a card: Stable Diffusion 1's and XL's with random weights, made on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.catalog.model_file import CHECKPOINT, ModelFile
from backend.prompt.tokenizer import Tokenizer
from backend.sampling.noise_table import NoiseTable
from backend.sampling.parametrisation import Epsilon
from backend.worker.device import Placement, place
from backend.worker.models import clip_text, open_clip_layout, sd1, sdxl
from backend.worker.models.memory import Memory
from backend.worker.models.model_base import Model
from backend.worker.models.preview_colours import preview_factors

TINY = {"block_out_channels": (32, 64), "norm_num_groups": 8, "layers_per_block": 1}
TINY_VAE = TINY | {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
TINY_CLIP = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1}


@dataclass(frozen=True, slots=True)
class Sizes:
    """The configs of a family's networks, and the pixels of a side that it draws."""

    side: int
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    texts: tuple[Mapping[str, Any], ...]


FULL = {
    "sd1": Sizes(512, sd1.UNET, sd1.VAE, (clip_text.CLIP_L,)),
    "sdxl": Sizes(1024, sdxl.UNET, sdxl.VAE, (clip_text.CLIP_L, open_clip_layout.OPEN_CLIP_BIG_G)),
}
REHEARSED = {
    "sd1": Sizes(
        64, sd1.UNET | TINY | {"down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "cross_attention_dim": 64,
                               "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "attention_head_dim": 2},
        sd1.VAE | TINY_VAE, (clip_text.CLIP_L | TINY_CLIP,)),
    "sdxl": Sizes(
        64, sdxl.UNET | TINY | {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "cross_attention_dim": 128,
                                "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "attention_head_dim": (1, 2),
                                "transformer_layers_per_block": (1, 2), "addition_time_embed_dim": 8,
                                "projection_class_embeddings_input_dim": 64 + 6 * 8},
        sdxl.VAE | TINY_VAE,
        (clip_text.CLIP_L | TINY_CLIP, open_clip_layout.OPEN_CLIP_BIG_G | TINY_CLIP | {"projection_dim": 64})),
}


def checkpoint(family: str) -> ModelFile:
    return ModelFile(CHECKPOINT, family, path="", family=family, sha256="0" * 64)


def random_memory(family: str, dtype: torch.dtype | None, *, tiny: bool) -> tuple[Memory, ModelFile, int]:
    """A memory that hands out the random networks in place of a file's, the checkpoint to ask for, and its side."""
    placement = place("cpu" if tiny else "auto")
    if dtype is not None and not tiny:
        placement = Placement(placement.device, dtype, dtype, dtype)
    sizes = (REHEARSED if tiny else FULL)[family]
    return Memory(placement, load=lambda found, where: _model(found, where, sizes)), checkpoint(family), sizes.side


def _model(found: ModelFile, placement: Placement, sizes: Sizes) -> Model:
    torch.manual_seed(0)
    with placement.device:
        unet = UNet2DConditionModel.from_config(dict(sizes.unet))
        unet.to(dtype=placement.unet, memory_format=torch.channels_last)
        autoencoder = AutoencoderKL.from_config(dict(sizes.vae))
        autoencoder.to(dtype=placement.vae, memory_format=torch.channels_last)
        texts = [_text(config, last=bool(number)).to(dtype=placement.text) for number, config in enumerate(sizes.texts)]
    for network in (unet, autoencoder, *texts):
        network.eval().requires_grad_(False)
    parts: dict[str, Any] = {
        "checkpoint": found, "placement": placement, "denoiser": unet, "vae": autoencoder,
        "text_encoders": tuple(texts), "tokenizer": Tokenizer.clip(),
        "parametrisation": Epsilon(NoiseTable.from_betas()),
    }
    if len(texts) == 1:
        return sd1.SD1(**parts, preview_factors=preview_factors(autoencoder, sd1.COLOURS))
    tokenizer_2 = clip_text.open_clip_tokenizer(parts["tokenizer"])
    return sdxl.SDXL(**parts, tokenizer_2=tokenizer_2, preview_factors=preview_factors(autoencoder, sdxl.COLOURS))


def _text(config: Mapping[str, Any], *, last: bool) -> nn.Module:
    kind = CLIPTextModelWithProjection if last else CLIPTextModel
    return kind(CLIPTextConfig(**config, bos_token_id=49406, eos_token_id=49407))
