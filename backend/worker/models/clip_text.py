"""CLIP's text encoders: their config from tensors, their names in transformers, their tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.catalog.checkpoints import tokenizer_folder
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.prompt.tokenizer import Tokenizer
from backend.worker.models.assemble import assemble
from backend.worker.models.layerwise_casting import compute_in
from backend.worker.models.ldm_layout import count
from backend.worker.models.model_base import Component

Config = dict[str, Any]

CLIP_L: Config = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}
HEAD_WIDTH = 64                     # of every CLIP text encoder, and of the UNets that read OpenCLIP's


def heads(widths: Iterable[int]) -> tuple[int, ...]:
    """How many heads attentions of these widths have."""
    return tuple(max(1, width // HEAD_WIDTH) for width in widths)


def text_config(tensors: Mapping[str, Tensor]) -> Config:
    """CLIP-L's config in the sizes of these tensors. Raises KeyError with the name of a missing one."""
    vocabulary, width = tensors["embeddings.token_embedding.weight"].shape
    return CLIP_L | {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": tensors["encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": count(tensors, r"encoder\.layers\.(\d{1,3})\."),
        "num_attention_heads": heads([width])[0],
        "max_position_embeddings": tensors["embeddings.position_embedding.weight"].shape[0],
        "projection_dim": width,
    }


def plain_text_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's tensors as transformers 5 names them; older files say `text_model.` before each."""
    return {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}


def text_encoder(component: Component, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """CLIP's text encoder without a projection. Raises CheckpointError naming missing tensors."""
    tensors = plain_text_names(component.tensors)
    return assemble(lambda: CLIPTextModel(CLIPTextConfig.from_dict(dict(component.config))), tensors, dtype, device)


def projecting_text_encoder(component: Component, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A text encoder with the projection that pools a text; stored as its tensors are, computing in `dtype`.

    Raises CheckpointError naming missing tensors.
    """
    config = component.config
    encoder = assemble(
        lambda: CLIPTextModelWithProjection(CLIPTextConfig.from_dict(dict(config))), component.tensors, None, device
    )
    return compute_in(encoder, dtype)


def tokenizer(checkpoint: ModelFile, encoder: nn.Module) -> Tokenizer:
    """The checkpoint's own, else CLIP's. Raises CheckpointError when it is broken or too large for the encoder."""
    folder = tokenizer_folder(checkpoint)
    try:
        found = Tokenizer.from_folder(folder) if folder else Tokenizer.clip()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"its tokenizer cannot be read: {error}") from error
    if max(found.start, found.end) >= encoder.config.vocab_size:
        raise CheckpointError("its text encoder knows fewer words than its tokenizer")
    return found


def open_clip_tokenizer(clip: Tokenizer) -> Tokenizer:
    """OpenCLIP's for an encoder of CLIP's own words; for others, the same words with OpenCLIP's padding."""
    own = Tokenizer.open_clip()
    return own if clip.end == own.end else replace(clip, pad=0)
