"""Tiny T2I-Adapters with random weights, in the layouts of real files."""

from __future__ import annotations

import re

import torch
from diffusers import T2IAdapter
from torch import Tensor, nn

KINDS = ("full_adapter", "light_adapter", "full_adapter_xl")


def adapter(kind: str, widths: tuple[int, ...], grey: bool = False) -> T2IAdapter:
    torch.manual_seed(5)
    large = kind == "full_adapter_xl"
    network = T2IAdapter(1 if grey else 3, list(widths), 2, 16 if large else 8, kind)
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * 0.1
    return network.eval().requires_grad_(False)


def authors(network: T2IAdapter) -> dict[str, Tensor]:
    """By the names of TencentARC's files."""
    return {_name(name.removeprefix("adapter."), network.config.adapter_type): tensor.clone() for name, tensor in network.state_dict().items()}


def _name(name: str, kind: str) -> str:
    found = re.fullmatch(r"body\.(\d+)\.resnets\.(\d+)\.(.+)", name)
    if kind == "light_adapter":
        return f"body.{found[1]}.body.{found[2]}.{found[3]}" if found else name
    if found:
        return f"body.{2 * int(found[1]) + int(found[2])}.{found[3]}"
    inner = re.fullmatch(r"body\.(\d+)\.in_conv\.(.+)", name)
    return f"body.{2 * int(inner[1])}.in_conv.{inner[2]}" if inner else name


def style(width: int = 128, words: int = 32, tokens: int = 3) -> dict[str, Tensor]:
    """The tensors of a style adapter."""
    torch.manual_seed(6)
    shapes = {"style_embedding": (1, tokens, width), "proj": (width, words)}
    shapes |= {f"ln_{end}.{kind}": (width,) for end in ("pre", "post") for kind in ("weight", "bias")}
    for layer in range(2):
        name = f"transformer_layes.{layer}"
        shapes |= {f"{name}.{norm}.{kind}": (width,) for norm in ("ln_1", "ln_2") for kind in ("weight", "bias")}
        for part, out, inner in (("attn.in_proj", 3 * width, width), ("attn.out_proj", width, width), ("mlp.c_fc", 4 * width, width), ("mlp.c_proj", width, 4 * width)):
            joint = "_" if part == "attn.in_proj" else "."
            shapes |= {f"{name}.{part}{joint}weight": (out, inner), f"{name}.{part}{joint}bias": (out,)}
    return {name: torch.randn(shape) * 0.1 for name, shape in shapes.items()}


class TheirStyle(nn.Module):
    """As the authors write it, with torch's own attention."""

    def __init__(self, found: dict[str, Tensor]) -> None:
        super().__init__()
        width = found["proj"].shape[0]
        self.found, self.layers = found, []
        for layer in range(2):
            attention = nn.MultiheadAttention(width, max(width // 128, 1))
            attention.load_state_dict({name.split("attn.")[1]: each for name, each in found.items() if name.startswith(f"transformer_layes.{layer}.attn.")})
            self.layers.append(attention.eval())

    def forward(self, picture: Tensor) -> Tensor:
        norm = lambda x, name: nn.functional.layer_norm(x, x.shape[-1:], self.found[f"{name}.weight"], self.found[f"{name}.bias"])  # noqa: E731
        linear = lambda x, name: x @ self.found[f"{name}.weight"].T + self.found[f"{name}.bias"]  # noqa: E731
        tokens = self.found["style_embedding"].shape[1]
        x = norm(torch.cat([picture, self.found["style_embedding"]], dim=1), "ln_pre").permute(1, 0, 2)
        for number, attention in enumerate(self.layers):
            name = f"transformer_layes.{number}"
            y = norm(x, f"{name}.ln_1")
            x = x + attention(y, y, y, need_weights=False)[0]
            inner = linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")
            x = x + linear(inner * torch.sigmoid(1.702 * inner), f"{name}.mlp.c_proj")
        return norm(x.permute(1, 0, 2)[:, -tokens:], "ln_post") @ self.found["proj"]
