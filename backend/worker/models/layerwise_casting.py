"""Weights that lie in fewer bytes than their network computes in: each is widened while its layer runs.

What a float16 file holds is the same in float32, so the result is that of float32 weights, in half their memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class NarrowLinear(nn.Linear):
    """Computes in the format of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in) -> (..., out)."""
        return functional.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class NarrowEmbedding(nn.Embedding):
    """Answers in `wide`, whatever its table is stored in."""

    wide: torch.dtype = torch.float32

    def forward(self, ids: Tensor) -> Tensor:
        """ids (...) -> (..., width)."""
        return super().forward(ids).to(self.wide)


def compute_in(network: nn.Module, wide: torch.dtype) -> nn.Module:
    """The network, computing in `wide`. Linear layers and embeddings stay stored as they are, all else is widened."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Linear) and module.weight.dtype != wide:
            network.set_submodule(name, _linear(module))
        elif isinstance(module, nn.Embedding) and module.weight.dtype != wide:
            network.set_submodule(name, _embedding(module, wide))
        elif not list(module.children()):
            module.to(wide)
    return network


def _linear(module: nn.Linear) -> NarrowLinear:
    narrow = NarrowLinear(module.in_features, module.out_features, module.bias is not None, device="meta")
    narrow.weight, narrow.bias = module.weight, module.bias
    return narrow.train(module.training)


def _embedding(module: nn.Embedding, wide: torch.dtype) -> NarrowEmbedding:
    narrow = NarrowEmbedding(module.num_embeddings, module.embedding_dim, module.padding_idx, device="meta")
    narrow.weight, narrow.wide = module.weight, wide
    return narrow.train(module.training)
