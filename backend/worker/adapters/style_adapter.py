"""The style adapter of T2I-Adapter (Mou et al. 2023): vectors of a picture that stand behind those of the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear, multi_head_attention_forward

from backend.worker.device import Placement
from backend.worker.models.ldm_layout import count
from backend.worker.models.owned_network import OwnedNetwork

NEEDED = ("style_embedding", "proj", "ln_pre.weight", "ln_pre.bias", "ln_post.weight", "ln_post.bias")
HEAD_WIDTH = 128            # 1024 numbers in 8 heads


class StyleNetwork(nn.Module):
    """Learnt vectors that look at a picture's through a few transformer layers; the names are those of files."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterDict({name.replace(".", "/"): nn.Parameter(each, requires_grad=False)
                                         for name, each in weights.items()})
        self.layers = count(weights, r"transformer_layes\.(\d{1,2})\.")

    def forward(self, picture: Tensor) -> Tensor:
        """(1, patches + 1, W), CLIP's last layer, -> (T, words)."""
        own = self._of("style_embedding")
        x = torch.cat([picture, own.expand(len(picture), -1, -1)], dim=1)
        x = self._norm(x, "ln_pre")
        for layer in range(self.layers):
            x = self._layer(x, f"transformer_layes.{layer}")
        return (self._norm(x[:, -own.shape[1]:], "ln_post") @ self._of("proj"))[0]

    def _layer(self, x: Tensor, name: str) -> Tensor:
        x = x + self._attention(self._norm(x, f"{name}.ln_1"), f"{name}.attn")
        inner = linear(self._norm(x, f"{name}.ln_2"), *self._pair(f"{name}.mlp.c_fc"))
        return x + linear(inner * torch.sigmoid(1.702 * inner), *self._pair(f"{name}.mlp.c_proj"))

    def _attention(self, x: Tensor, name: str) -> Tensor:
        x, width = x.transpose(0, 1), x.shape[-1]
        found, _ = multi_head_attention_forward(
            x, x, x, width, max(width // HEAD_WIDTH, 1), self._of(f"{name}.in_proj_weight"),
            self._of(f"{name}.in_proj_bias"), None, None, False, 0.0, *self._pair(f"{name}.out_proj"),
            training=False, need_weights=False)
        return found.transpose(0, 1)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return layer_norm(x, x.shape[-1:], *self._pair(name))

    def _pair(self, name: str) -> tuple[Tensor, Tensor]:
        return self._of(f"{name}.weight"), self._of(f"{name}.bias")

    def _of(self, name: str) -> Tensor:
        return self.weights[name.replace(".", "/")]


@dataclass(eq=False)
class StyleAdapter(OwnedNetwork):
    """A style adapter in memory. Owned by `Memory`."""

    network: StyleNetwork

    def vectors(self, last: Tensor) -> Tensor:
        """Of a picture that CLIP has seen, by its last layer (1, patches + 1, W): (T, words), float32."""
        return self.network(last.to(next(self.network.parameters()))).float()


def style_adapter(found: Mapping[str, Tensor], placement: Placement) -> StyleAdapter:
    """From the tensors of a file. KeyError names a missing one."""
    missing = next((name for name in NEEDED if name not in found), None)
    if missing:
        raise KeyError(missing)
    return StyleAdapter(StyleNetwork(found).to(placement.device, placement.unet).eval())
