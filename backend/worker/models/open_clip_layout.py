"""OpenCLIP's text encoders in single files: the config that shapes tell, and transformers' names.

The three projections of an attention lie in one matrix there, and the text projection the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from backend.worker.models.clip_text import CLIP_L, Config, heads
from backend.worker.models.ldm_layout import count

OPEN_CLIP_BIG_G: Config = CLIP_L | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}

_TOP = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_BLOCK = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
          "attn.out_proj": "self_attn.out_proj"}
_ATTENTION = ("q_proj", "k_proj", "v_proj")
_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+?)[._](weight|bias)$")


def config_of(tensors: Mapping[str, Tensor]) -> Config:
    """OpenCLIP bigG's config in the sizes of these tensors, in OpenCLIP's names.

    Raises KeyError with the name of a missing one.
    """
    vocabulary, width = tensors["token_embedding.weight"].shape
    return OPEN_CLIP_BIG_G | {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": tensors["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": count(tensors, r"transformer\.resblocks\.(\d{1,3})\."),
        "num_attention_heads": heads([width])[0],
        "max_position_embeddings": tensors["positional_embedding"].shape[0],
        "projection_dim": tensors["text_projection"].shape[1],
    }


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's text tensors as transformers names and shapes them; others are left out."""
    found = {"text_model." + new: part for name, tensor in tensors.items() for new, part in _renamed(name, tensor)}
    if "text_projection" in tensors:
        found["text_projection.weight"] = tensors["text_projection"].T.contiguous()
    return found


def _renamed(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """One tensor, or the three that lie in it."""
    if name in _TOP:
        yield _TOP[name], tensor
    found = _RESBLOCK.match(name)
    if not found:
        return
    number, module, kind = found.groups()
    if module in _BLOCK:
        yield f"encoder.layers.{number}.{_BLOCK[module]}.{kind}", tensor
    if module == "attn.in_proj":
        for part, third in zip(_ATTENTION, tensor.chunk(3), strict=True):
            yield f"encoder.layers.{number}.self_attn.{part}.{kind}", third
