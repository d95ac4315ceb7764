"""How much a picture prompt counts in each attention of a network, from the words and numbers of a unit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.prompt.block_weights import block_of
from backend.request.ip_adapter_weight_types import LINEAR, in_order, own_weights, turned, weights
from backend.worker.adapters.ip_adapter import cross_attentions
from backend.worker.models.model_base import Model


def attention_weights(model: Model, kind: str = LINEAR, own: str = "") -> Tensor:
    """(A,), by one of WEIGHT_TYPES, or by numbers of one's `own`. Raises ValueError where those do not fit."""
    blocks = _blocks(model)
    if own.strip():
        return _spread(own_weights(own, in_order(blocks)), blocks)
    return _spread(weights(kind, in_order(blocks), _is_xl(model)), blocks)


def turned_weights(model: Model, kind: str) -> Tensor:
    """(A,), of attentions in which the picture is to be kept out; all 0 but for the precise kinds."""
    blocks = _blocks(model)
    return _spread(turned(kind, in_order(blocks), _is_xl(model)), blocks)


def _spread(found: Mapping[str, float], blocks: list[str]) -> Tensor:
    return torch.tensor([found.get(block, 0.0) for block in blocks])


def _blocks(model: Model) -> list[str]:
    """The block of each cross-attention, in the order of files."""
    modules = {id(module): name for name, module in model.denoiser.named_modules()}
    resnets = model.denoiser.config.layers_per_block
    resnets = resnets if isinstance(resnets, int) else resnets[0]
    names = [modules[id(module)].replace(".", "_") for module in cross_attentions(model.denoiser)]
    return [block_of(name, resnets) for name in names]


def _is_xl(model: Model) -> bool:
    return model.denoiser.config.addition_embed_type == "text_time"
