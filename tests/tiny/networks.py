"""Network files with random weights for tiny models, in kohya's names unless they say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Parts = dict[str, Tensor]
Make = Callable[[nn.Module, torch.Generator], Parts]


def attention(module: nn.Module) -> list[str]:
    """Paths of the linear layers of a network's attentions and their neighbours: what a plain LoRA changes."""
    return [path for path, each in module.named_modules() if isinstance(each, nn.Linear)
            and any(word in path for word in ("attn", "ff.", "proj_in", "proj_out", "mlp", "_proj"))]


def lora(rank: int = 4, alpha: float | None = 2.0, strength: float = 0.3) -> Make:
    """Low-rank factors for a linear layer or a convolution."""

    def made(module: nn.Module, random: torch.Generator) -> Parts:
        out, *rest = module.weight.shape
        inside = torch.randn(rank, *rest, generator=random) * strength
        up = torch.randn(out, rank, *[1] * (len(rest) - 1), generator=random) * strength
        return {"lora_down.weight": inside, "lora_up.weight": up} | ({} if alpha is None else {"alpha": torch.tensor(alpha)})

    return made


def tensors(module: nn.Module, prefix: str, paths: Iterable[str], make: Make, seed: int = 0) -> dict[str, Tensor]:
    """The layers of one component."""
    random = torch.Generator().manual_seed(seed)
    modules = dict(module.named_modules())
    return {f"{prefix}{path.replace('.', '_')}.{part}": tensor
            for path in paths for part, tensor in make(modules[path], random).items()}


def save(file: Path, content: dict[str, Tensor], **metadata: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in content.items()}, file, metadata or None)
    return file
