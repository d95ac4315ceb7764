"""CLIP's text encoders: their config from tensors, their names in transformers, their tokenizer.

OpenAI's CLIP-L lies in single files under transformers' names; OpenCLIP's encoders under their own, with the three
projections of an attention in one matrix and the text projection the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from backend.catalog.checkpoints import tokenizer_folder
from backend.catalog.model_file import ModelFile
from backend.errors import CheckpointError
from backend.prompt.chunks import Chunk
from backend.prompt.tokenizer import Tokenizer
from backend.worker.models.assemble import assemble
from backend.worker.models.base import Component
from backend.worker.models.encoded import Embeddings
from backend.worker.models.layerwise_casting import compute_in
from backend.worker.models.ldm_layout import count

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
OPEN_CLIP_BIG_G: Config = CLIP_L | {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
HEAD_WIDTH = 64                     # of every CLIP text encoder, and of the UNets that read OpenCLIP's

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


def open_clip_config(tensors: Mapping[str, Tensor]) -> Config:
    """OpenCLIP bigG's config in the sizes of these tensors, in OpenCLIP's names. Raises KeyError, see above."""
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


def open_clip_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's text tensors as transformers names and shapes them; others are left out."""
    renamed = {"text_model." + new: part for name, tensor in tensors.items() for new, part in _renamed(name, tensor)}
    if "text_projection" in tensors:
        renamed["text_projection.weight"] = tensors["text_projection"].T.contiguous()
    return renamed


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


def counts(embeddings: Embeddings) -> dict[str, int]:
    """How many tokens each takes."""
    return {name: len(each.vectors[0]) for name, each in embeddings.items()}


def used(chunks: Iterable[Chunk]) -> tuple[str, ...]:
    """The names of the embeddings in a text, each once."""
    return tuple(dict.fromkeys(name for chunk in chunks for _, name in chunk.fixes))


@contextmanager
def inserted(encoder: nn.Module, chunks: Sequence[Chunk], vectors: Mapping[str, Tensor]) -> Iterator[None]:
    """While a batch of chunks is encoded, the embeddings in it stand where their tokens are, each as its vectors.

    They are put in behind the table of tokens, so that no token id is one of theirs.
    """
    fixes = ((number, fix) for number, chunk in enumerate(chunks) for fix in chunk.fixes)
    places = [(number, offset + 1, vectors[name]) for number, (offset, name) in fixes]

    def put(table: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        for number, start, held in places:
            output[number, start : start + len(held)] = held.to(output)
        return output

    handle = encoder.get_input_embeddings().register_forward_hook(put) if places else None
    try:
        yield
    finally:
        if handle:
            handle.remove()


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
